package partial

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// CiliumClusterwideNetworkPolicy is Cilium's policy for all namespaces.
// https://docs.cilium.io/en/stable/network/kubernetes/policy/
type CiliumClusterwideNetworkPolicy struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`
	Spec              *CiliumRule  `json:"spec,omitempty"`
	Specs             []CiliumRule `json:"specs,omitempty"`
}

// CiliumNetworkPolicy is the namespaced form.
type CiliumNetworkPolicy struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`
	Spec              *CiliumRule  `json:"spec,omitempty"`
	Specs             []CiliumRule `json:"specs,omitempty"`
}

// CiliumRule is one spec of a Cilium policy.
type CiliumRule struct {
	EndpointSelector  *metav1.LabelSelector `json:"endpointSelector,omitempty"`
	EnableDefaultDeny *CiliumDefaultDeny    `json:"enableDefaultDeny,omitempty"`
	Ingress           []CiliumPeerRule      `json:"ingress,omitempty"`
	IngressDeny       []CiliumPeerRule      `json:"ingressDeny,omitempty"`
	Egress            []CiliumPeerRule      `json:"egress,omitempty"`
	EgressDeny        []CiliumPeerRule      `json:"egressDeny,omitempty"`
}

// CiliumDefaultDeny says whether what no rule admits is refused.
type CiliumDefaultDeny struct {
	Ingress *bool `json:"ingress,omitempty"`
	Egress  *bool `json:"egress,omitempty"`
}

// CiliumPeerRule is one rule of either direction. For lists of peers, absent and empty differ: an empty one
// matches nobody, so they keep what they were given.
type CiliumPeerRule struct {
	FromEndpoints  []metav1.LabelSelector `json:"fromEndpoints"`
	ToEndpoints    []metav1.LabelSelector `json:"toEndpoints"`
	FromEntities   []string               `json:"fromEntities"`
	ToEntities     []string               `json:"toEntities"`
	FromCIDR       []string               `json:"fromCIDR"`
	ToCIDR         []string               `json:"toCIDR"`
	FromCIDRSet    []CiliumCIDR           `json:"fromCIDRSet"`
	ToCIDRSet      []CiliumCIDR           `json:"toCIDRSet"`
	FromNodes      []metav1.LabelSelector `json:"fromNodes"`
	ToNodes        []metav1.LabelSelector `json:"toNodes"`
	FromRequires   []metav1.LabelSelector `json:"fromRequires,omitempty"`
	ToRequires     []metav1.LabelSelector `json:"toRequires,omitempty"`
	FromGroups     []Present              `json:"fromGroups,omitempty"`
	ToGroups       []Present              `json:"toGroups,omitempty"`
	ToServices     []Present              `json:"toServices,omitempty"`
	ToFQDNs        []Present              `json:"toFQDNs,omitempty"`
	Authentication *Present               `json:"authentication,omitempty"`
	ToPorts        []CiliumPortRules      `json:"toPorts,omitempty"`
}

// Present stands for an object of which only that it is there is read.
type Present struct{}

// CiliumCIDR is a CIDR without some parts of it.
type CiliumCIDR struct {
	CIDR   string   `json:"cidr,omitempty"`
	Except []string `json:"except,omitempty"`
}

// CiliumPortRules lists ports of a rule, and what is looked for in the requests.
type CiliumPortRules struct {
	Ports []CiliumPort `json:"ports,omitempty"`
	Rules *CiliumL7    `json:"rules,omitempty"`
}

// CiliumL7 is what Cilium's own proxy looks for in requests; what it looks for in DNS is left out.
type CiliumL7 struct {
	HTTP  []Present `json:"http,omitempty"`
	Kafka []Present `json:"kafka,omitempty"`
	L7    []Present `json:"l7,omitempty"`
}

// CiliumPort is one port, a number or a name, as text.
type CiliumPort struct {
	Port     string `json:"port,omitempty"`
	EndPort  int32  `json:"endPort,omitempty"`
	Protocol string `json:"protocol,omitempty"`
}

// AdminNetworkPolicy is policy.networking.k8s.io/v1alpha1: an administrator's policy, asked before all others.
// https://network-policy-api.sigs.k8s.io/api-overview/
type AdminNetworkPolicy struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`
	Spec              AdminPolicySpec `json:"spec,omitempty"`
}

// BaselineAdminNetworkPolicy is the one that is asked last.
type BaselineAdminNetworkPolicy struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`
	Spec              AdminPolicySpec `json:"spec,omitempty"`
}

// AdminPolicySpec is what both have in common; a baseline has no priority.
type AdminPolicySpec struct {
	Priority int32        `json:"priority,omitempty"`
	Subject  AdminSubject `json:"subject,omitempty"`
	Ingress  []AdminRule  `json:"ingress,omitempty"`
	Egress   []AdminRule  `json:"egress,omitempty"`
}

// AdminSubject selects pods.
type AdminSubject struct {
	Namespaces *metav1.LabelSelector `json:"namespaces,omitempty"`
	Pods       *AdminPods            `json:"pods,omitempty"`
}

// AdminPods selects pods by their namespace's labels and their own.
type AdminPods struct {
	NamespaceSelector metav1.LabelSelector `json:"namespaceSelector,omitempty"`
	PodSelector       metav1.LabelSelector `json:"podSelector,omitempty"`
}

// AdminRule is one rule; absent ports are all ports.
type AdminRule struct {
	Action string       `json:"action,omitempty"`
	From   []AdminPeer  `json:"from,omitempty"`
	To     []AdminPeer  `json:"to,omitempty"`
	Ports  *[]AdminPort `json:"ports,omitempty"`
}

// AdminPeer is one peer of a rule.
type AdminPeer struct {
	AdminSubject `json:",inline"`
	Networks     []string              `json:"networks,omitempty"`
	Nodes        *metav1.LabelSelector `json:"nodes,omitempty"`
	DomainNames  []string              `json:"domainNames,omitempty"`
}

// AdminPort is one port of a rule.
type AdminPort struct {
	PortNumber *AdminPortNumber `json:"portNumber,omitempty"`
	PortRange  *AdminPortRange  `json:"portRange,omitempty"`
	NamedPort  string           `json:"namedPort,omitempty"`
}

// AdminPortNumber is a single port.
type AdminPortNumber struct {
	Protocol string `json:"protocol,omitempty"`
	Port     int32  `json:"port,omitempty"`
}

// AdminPortRange is a range of ports.
type AdminPortRange struct {
	Protocol string `json:"protocol,omitempty"`
	Start    int32  `json:"start,omitempty"`
	End      int32  `json:"end,omitempty"`
}

// CalicoNetworkPolicy is projectcalico.org/v3 NetworkPolicy.
// https://docs.tigera.io/calico/latest/reference/resources/networkpolicy
type CalicoNetworkPolicy struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`
	Spec              CalicoPolicySpec `json:"spec,omitempty"`
}

// CalicoGlobalNetworkPolicy is projectcalico.org/v3 GlobalNetworkPolicy.
type CalicoGlobalNetworkPolicy struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`
	Spec              CalicoPolicySpec `json:"spec,omitempty"`
}

// CalicoCRDNetworkPolicy is the same as it is stored, crd.projectcalico.org/v1.
type CalicoCRDNetworkPolicy struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`
	Spec              CalicoPolicySpec `json:"spec,omitempty"`
}

// CalicoCRDGlobalNetworkPolicy is the stored form of the global one.
type CalicoCRDGlobalNetworkPolicy struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`
	Spec              CalicoPolicySpec `json:"spec,omitempty"`
}

// CalicoPolicySpec is what all of them have in common.
type CalicoPolicySpec struct {
	Tier                   string       `json:"tier,omitempty"`
	Order                  *float64     `json:"order,omitempty"`
	Selector               string       `json:"selector,omitempty"`
	NamespaceSelector      string       `json:"namespaceSelector,omitempty"`
	ServiceAccountSelector string       `json:"serviceAccountSelector,omitempty"`
	Types                  []string     `json:"types,omitempty"`
	Ingress                []CalicoRule `json:"ingress,omitempty"`
	Egress                 []CalicoRule `json:"egress,omitempty"`
	ApplyOnForward         bool         `json:"applyOnForward,omitempty"`
	PreDNAT                bool         `json:"preDNAT,omitempty"`
	DoNotTrack             bool         `json:"doNotTrack,omitempty"`
}

// CalicoRule is one rule.
type CalicoRule struct {
	Action      string              `json:"action,omitempty"`
	Protocol    *intstr.IntOrString `json:"protocol,omitempty"`
	NotProtocol *intstr.IntOrString `json:"notProtocol,omitempty"`
	Source      CalicoEntityRule    `json:"source,omitempty"`
	Destination CalicoEntityRule    `json:"destination,omitempty"`
	HTTP        *Present            `json:"http,omitempty"`
}

// CalicoEntityRule is one end of a rule.
type CalicoEntityRule struct {
	Nets              []string               `json:"nets,omitempty"`
	NotNets           []string               `json:"notNets,omitempty"`
	Selector          string                 `json:"selector,omitempty"`
	NotSelector       string                 `json:"notSelector,omitempty"`
	NamespaceSelector string                 `json:"namespaceSelector,omitempty"`
	Ports             []intstr.IntOrString   `json:"ports,omitempty"`
	NotPorts          []intstr.IntOrString   `json:"notPorts,omitempty"`
	Domains           []string               `json:"domains,omitempty"`
	ServiceAccounts   *CalicoServiceAccounts `json:"serviceAccounts,omitempty"`
	Services          *Present               `json:"services,omitempty"`
}

// CalicoServiceAccounts names service accounts.
type CalicoServiceAccounts struct {
	Names    []string `json:"names,omitempty"`
	Selector string   `json:"selector,omitempty"`
}

// DeepCopyObject implements runtime.Object.
func (in *CiliumClusterwideNetworkPolicy) DeepCopyObject() runtime.Object { return clone(in) }

// DeepCopyObject implements runtime.Object.
func (in *CiliumNetworkPolicy) DeepCopyObject() runtime.Object { return clone(in) }

// DeepCopyObject implements runtime.Object.
func (in *AdminNetworkPolicy) DeepCopyObject() runtime.Object { return clone(in) }

// DeepCopyObject implements runtime.Object.
func (in *BaselineAdminNetworkPolicy) DeepCopyObject() runtime.Object { return clone(in) }

// DeepCopyObject implements runtime.Object.
func (in *CalicoNetworkPolicy) DeepCopyObject() runtime.Object { return clone(in) }

// DeepCopyObject implements runtime.Object.
func (in *CalicoGlobalNetworkPolicy) DeepCopyObject() runtime.Object { return clone(in) }

// DeepCopyObject implements runtime.Object.
func (in *CalicoCRDNetworkPolicy) DeepCopyObject() runtime.Object { return clone(in) }

// DeepCopyObject implements runtime.Object.
func (in *CalicoCRDGlobalNetworkPolicy) DeepCopyObject() runtime.Object { return clone(in) }
