package netpol_test

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/sidestep-mesh/sidestep/internal/mesh/netpol"
	"github.com/sidestep-mesh/sidestep/internal/meshtest"
)

func pod(namespace string, labels map[string]string) *netpol.End {
	return &netpol.End{
		Namespace: namespace, Labels: labels, ServiceAccount: labels["app"], Named: map[string]int32{"main": 8080},
		NamespaceLabels: map[string]string{"kubernetes.io/metadata.name": namespace},
	}
}

var (
	cart    = pod("shop", map[string]string{"app": "cart"})
	front   = pod("web", map[string]string{"app": "front"})
	other   = pod("web", map[string]string{"app": "other"})
	known   = &netpol.End{Namespace: "web", IPs: []netip.Addr{netip.MustParseAddr("10.1.2.3")}}
	probe   = &netpol.End{Address: netip.MustParseAddr("169.254.7.127")}
	outside = &netpol.End{Address: netip.MustParseAddr("203.0.113.9")}
)

func k8s(spec string) string {
	return "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: p, namespace: shop}\nspec: " + spec + "\n"
}

func cilium(spec string) string {
	return "apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {name: p, namespace: shop}\nspec: " + spec + "\n"
}

func ciliumAll(spec string) string {
	return "apiVersion: cilium.io/v2\nkind: CiliumClusterwideNetworkPolicy\nmetadata: {name: all}\nspec: " + spec + "\n"
}

func calico(name, spec string) string {
	return "apiVersion: projectcalico.org/v3\nkind: NetworkPolicy\nmetadata: {name: " + name + ", namespace: shop}\nspec: " + spec + "\n"
}

func admin(kind, name, spec string) string {
	return "apiVersion: policy.networking.k8s.io/v1alpha1\nkind: " + kind + "\nmetadata: {name: " + name + "}\nspec: " + spec + "\n"
}

const (
	allCart  = "podSelector: {matchLabels: {app: cart}}"
	fromWeb  = "from: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: web}}}]"
	toShop   = "subject: {namespaces: {matchLabels: {kubernetes.io/metadata.name: shop}}}"
	denyRest = "{action: Deny, from: [{namespaces: {}}]}"
)

// TestAdmits asks policies about single calls to cart. Each line of want is a peer, a port, and yes or no.
func TestAdmits(t *testing.T) {
	peers := map[string]*netpol.End{"front": front, "other": other, "cart": cart, "known": known, "probe": probe, "outside": outside}
	for name, c := range map[string]struct {
		yaml string
		want string
	}{
		"no policy":                          {"apiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n", "front 8080 yes, probe 8080 yes"},
		"one that selects others":            {k8s("{podSelector: {matchLabels: {app: db}}}"), "front 8080 yes"},
		"deny all":                           {k8s("{podSelector: {}}"), "front 8080 no, probe 8080 no, cart 8080 no"},
		"types that leave ingress out":       {k8s("{podSelector: {}, policyTypes: [Egress]}"), "front 8080 yes"},
		"a port for everybody":               {k8s("{" + allCart + ", ingress: [{ports: [{port: 8080}]}]}"), "front 8080 yes, front 15008 no, probe 8080 yes"},
		"a named port":                       {k8s("{" + allCart + ", ingress: [{ports: [{port: main}]}]}"), "front 8080 yes, front 15008 no"},
		"a range":                            {k8s("{" + allCart + ", ingress: [{ports: [{port: 8000, endPort: 16000}]}]}"), "front 15008 yes, front 7999 no, front 16001 no"},
		"a protocol without port":            {k8s("{" + allCart + ", ingress: [{ports: [{protocol: TCP}]}]}"), "front 15008 yes"},
		"UDP is not TCP":                     {k8s("{" + allCart + ", ingress: [{ports: [{port: 8080, protocol: UDP}]}]}"), "front 8080 no"},
		"a namespace":                        {k8s("{" + allCart + ", ingress: [{" + fromWeb + "}]}"), "front 15008 yes, cart 8080 no, probe 8080 no"},
		"pods of the policy's own namespace": {k8s("{" + allCart + ", ingress: [{from: [{podSelector: {}}]}]}"), "cart 8080 yes, front 8080 no"},
		"pods of a namespace":                {k8s("{" + allCart + ", ingress: [{from: [{namespaceSelector: {}, podSelector: {matchLabels: {app: front}}}]}]}"), "front 8080 yes, other 8080 no"},
		"two peers add up":                   {k8s("{" + allCart + ", ingress: [{from: [{namespaceSelector: {matchLabels: {a: b}}}, {podSelector: {}}]}]}"), "cart 8080 yes, front 8080 no"},
		"a block and what is left out of it": {k8s("{" + allCart + ", ingress: [{from: [{ipBlock: {cidr: 10.0.0.0/8, except: [10.1.2.0/24]}}]}]}"), "known 8080 no, front 8080 yes, outside 8080 no, probe 8080 no"},
		"all addresses but private ones":     {k8s("{" + allCart + ", ingress: [{from: [{ipBlock: {cidr: 0.0.0.0/0, except: [10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16, 100.64.0.0/10]}}]}]}"), "front 8080 no, outside 8080 yes, probe 8080 yes"},
		"policies add up":                    {k8s("{podSelector: {}}") + "---\n" + strings.Replace(k8s("{"+allCart+", ingress: [{"+fromWeb+", ports: [{port: 8080}]}]}"), "name: p", "name: q", 1), "front 8080 yes, front 9090 no, cart 8080 no"},

		"cilium: a port from a namespace":                 {cilium("{endpointSelector: {matchLabels: {app: cart}}, ingress: [{fromEndpoints: [{matchLabels: {'k8s:io.kubernetes.pod.namespace': web}}], toPorts: [{ports: [{port: '8080', protocol: TCP}]}]}]}"), "front 8080 yes, front 15008 no, cart 8080 no"},
		"cilium: endpoints stay in their namespace":       {cilium("{endpointSelector: {}, ingress: [{fromEndpoints: [{}]}]}"), "cart 8080 yes, front 8080 no"},
		"cilium: an empty rule admits nobody":             {cilium("{endpointSelector: {}, ingress: [{}]}"), "cart 8080 no, front 8080 no"},
		"cilium: an empty list of peers admits nobody":    {cilium("{endpointSelector: {}, ingress: [{fromEndpoints: [], toPorts: [{ports: [{port: '8080'}]}]}]}"), "front 8080 no"},
		"cilium: entities":                                {cilium("{endpointSelector: {}, ingress: [{fromEntities: [cluster]}]}"), "front 8080 yes, probe 8080 no, outside 8080 no"},
		"cilium: a refusal comes first":                   {cilium("{endpointSelector: {}, ingress: [{fromEntities: [all]}], ingressDeny: [{fromEndpoints: [{matchLabels: {'k8s:io.kubernetes.pod.namespace': web}}], toPorts: [{ports: [{port: '15008', protocol: TCP}]}]}]}"), "front 8080 yes, front 15008 no, cart 15008 yes"},
		"cilium: no default refusal":                      {cilium("{endpointSelector: {}, enableDefaultDeny: {ingress: false}, ingress: [{fromEndpoints: [{}]}]}"), "front 8080 yes"},
		"cilium: a CIDR is no pod":                        {ciliumAll("{endpointSelector: {}, ingress: [{fromCIDR: [169.254.7.127/32, 10.0.0.0/8]}]}"), "probe 8080 yes, front 8080 no, known 8080 no"},
		"cilium: a service account":                       {ciliumAll("{endpointSelector: {}, ingress: [{fromEndpoints: [{matchLabels: {io.cilium.k8s.policy.serviceaccount: front}}]}]}"), "front 8080 yes, other 8080 no"},
		"cilium: labels of the namespace, clusterwide":    {ciliumAll("{endpointSelector: {matchLabels: {'any:app': cart}}, ingress: [{fromEndpoints: [{matchLabels: {io.cilium.k8s.namespace.labels.kubernetes.io/metadata.name: web}}]}]}"), "front 8080 yes, cart 8080 no"},
		"cilium: for nodes":                               {ciliumAll("{nodeSelector: {}, ingress: [{fromEntities: [cluster]}]}"), "front 8080 yes, probe 8080 yes"},
		"cilium and Kubernetes' own add up":               {k8s("{podSelector: {}}") + "---\n" + cilium("{endpointSelector: {}, ingress: [{fromEntities: [cluster]}]}"), "front 8080 yes, outside 8080 no"},
		"calico: selectors, ports and ranges":             {calico("p", "{selector: app == 'cart', types: [Ingress], ingress: [{action: Allow, protocol: TCP, source: {namespaceSelector: \"projectcalico.org/name == 'web'\", selector: \"app in {'front', 'x'}\"}, destination: {ports: [8080, '9000:9010']}}]}"), "front 8080 yes, front 9005 yes, front 15008 no, other 8080 no, cart 8080 no"},
		"calico: the order decides":                       {calico("first", "{order: 1, selector: all(), ingress: [{action: Deny, source: {selector: app == 'front', namespaceSelector: all()}}]}") + "---\n" + calico("second", "{order: 2, selector: all(), ingress: [{action: Allow}]}"), "front 8080 no, other 8080 yes"},
		"calico: beside a NetworkPolicy, of order 1000":   {k8s("{podSelector: {}, ingress: [{ports: [{port: 8080}]}]}") + "---\n" + calico("late", "{order: 2000, selector: all(), ingress: [{action: Deny}]}"), "front 8080 yes, front 9090 no"},
		"calico: a rule for UDP and one that only logs":   {calico("p", "{selector: all(), ingress: [{action: Log}, {action: Allow, protocol: UDP}]}"), "front 8080 no"},
		"calico: no type but egress":                      {calico("p", "{selector: all(), egress: [{action: Allow}]}"), "front 8080 yes"},
		"calico: an expression of selectors":              {calico("p", "{selector: \"has(app) && !(app == 'db' || app starts with 'x')\", ingress: [{action: Allow, source: {nets: [203.0.113.0/24]}}]}"), "outside 8080 yes, front 8080 no"},
		"administrators are asked first":                  {admin("AdminNetworkPolicy", "a", "{priority: 5, "+toShop+", ingress: [{action: Deny, from: [{namespaces: {matchLabels: {kubernetes.io/metadata.name: web}}}], ports: [{portNumber: {protocol: TCP, port: 15008}}]}]}") + "---\n" + k8s("{podSelector: {}, ingress: [{}]}"), "front 15008 no, front 8080 yes, cart 15008 yes"},
		"an administrator passes on":                      {admin("AdminNetworkPolicy", "a", "{priority: 5, "+toShop+", ingress: [{action: Pass, from: [{namespaces: {}}]}, "+denyRest+"]}") + "---\n" + k8s("{podSelector: {}}"), "front 8080 no, cart 8080 no"},
		"an administrator admits what others refuse":      {admin("AdminNetworkPolicy", "a", "{priority: 5, "+toShop+", ingress: [{action: Allow, from: [{pods: {namespaceSelector: {}, podSelector: {matchLabels: {app: front}}}}], ports: [{portRange: {start: 8000, end: 16000}}]}]}") + "---\n" + k8s("{podSelector: {}}"), "front 15008 yes, other 15008 no, front 80 no"},
		"the baseline is asked where no other governs":    {admin("BaselineAdminNetworkPolicy", "default", "{"+toShop+", ingress: ["+denyRest+"]}"), "front 8080 no, outside 8080 yes"},
		"the baseline is not asked where another governs": {admin("BaselineAdminNetworkPolicy", "default", "{"+toShop+", ingress: ["+denyRest+"]}") + "---\n" + k8s("{podSelector: {}, ingress: [{"+fromWeb+"}]}"), "front 8080 yes, cart 8080 no"},
	} {
		t.Run(name, func(t *testing.T) {
			policies := netpol.Compile(meshtest.Load(t, c.yaml)).Of(cart)
			for _, p := range policies {
				if p.NotJudged != "" {
					t.Errorf("not judged: %s", p.NotJudged)
				}
			}
			for _, line := range strings.Split(c.want, ", ") {
				f := strings.Fields(line)
				port := map[string]int32{"80": 80, "7999": 7999, "8080": 8080, "9005": 9005, "9090": 9090, "15008": 15008, "16001": 16001}[f[1]]
				if got, _ := netpol.Admits(policies, netpol.Ingress, cart, peers[f[0]], port); got != (f[2] == "yes") {
					t.Errorf("%s: got %v", line, got)
				}
			}
		})
	}
}

// TestEgress asks cart's own policies about its calls to front.
func TestEgress(t *testing.T) {
	for name, c := range map[string]struct {
		yaml       string
		http, mesh bool
	}{
		"ingress alone limits no calls out": {k8s("{podSelector: {}}"), true, true},
		"rules imply the type":              {k8s("{podSelector: {}, egress: [{ports: [{port: 53, protocol: UDP}]}]}"), false, false},
		"a port":                            {k8s("{podSelector: {}, policyTypes: [Egress], egress: [{to: [{namespaceSelector: {}}], ports: [{port: 8080}]}]}"), true, false},
		"a name is that of the other pod":   {k8s("{podSelector: {}, policyTypes: [Egress], egress: [{ports: [{port: main}]}]}"), true, false},
		"cilium":                            {cilium("{endpointSelector: {}, egress: [{toEndpoints: [{matchLabels: {'k8s:io.kubernetes.pod.namespace': web}}]}]}"), true, true},
		"calico":                            {calico("p", "{selector: all(), types: [Egress], egress: [{action: Allow, protocol: 6, destination: {namespaceSelector: all(), ports: [15008]}}]}"), false, true},
		"an administrator":                  {admin("AdminNetworkPolicy", "a", "{"+toShop+", egress: [{action: Deny, to: [{namespaces: {}}], ports: [{namedPort: main}]}]}"), false, true},
	} {
		t.Run(name, func(t *testing.T) {
			policies := netpol.Compile(meshtest.Load(t, c.yaml)).Of(cart)
			for port, want := range map[int32]bool{8080: c.http, 15008: c.mesh} {
				if got, _ := netpol.Admits(policies, netpol.Egress, cart, front, port); got != want {
					t.Errorf("port %d: %v", port, got)
				}
			}
		})
	}
}

// TestNotJudged holds for what is not evaluated: it is said, and what it selects is known all the same.
func TestNotJudged(t *testing.T) {
	for name, yaml := range map[string]string{
		"cilium looks into requests":    cilium("{endpointSelector: {}, ingress: [{toPorts: [{ports: [{port: '8080'}], rules: {http: [{method: GET}]}}]}]}"),
		"cilium asks for more":          cilium("{endpointSelector: {}, ingress: [{fromRequires: [{matchLabels: {a: b}}]}]}"),
		"cilium calls Services":         cilium("{endpointSelector: {}, egress: [{toServices: [{k8sService: {serviceName: a}}]}]}"),
		"calico has tiers":              calico("p", "{tier: security, selector: all(), ingress: [{action: Allow}]}"),
		"calico has a strange selector": calico("p", "{selector: \"app ~ 'x'\", ingress: [{action: Allow}]}"),
		"calico names what is not":      calico("p", "{selector: all(), ingress: [{action: Allow, source: {notNets: [10.0.0.0/8]}}]}"),
		"calico looks into requests":    calico("p", "{selector: all(), ingress: [{action: Allow, http: {methods: [GET]}}]}"),
		"an administrator's new action": admin("AdminNetworkPolicy", "a", "{"+toShop+", ingress: [{action: Audit, from: [{namespaces: {}}]}]}"),
	} {
		t.Run(name, func(t *testing.T) {
			policies := netpol.Compile(meshtest.Load(t, yaml)).Of(cart)
			if len(policies) != 1 || policies[0].NotJudged == "" || !policies[0].Governs(netpol.Ingress) && !policies[0].Governs(netpol.Egress) {
				t.Errorf("got %+v", policies)
			}
		})
	}
}

// TestBothGroupsOfCalico: a cluster with Calico's API server shows each policy twice.
func TestBothGroupsOfCalico(t *testing.T) {
	spec := "{selector: all(), ingress: [{action: Allow}]}"
	yaml := calico("default.p", spec) + "---\n" + strings.Replace(calico("default.p", spec), "projectcalico.org/v3", "crd.projectcalico.org/v1", 1)
	if got := netpol.Compile(meshtest.Load(t, yaml)).Len(); got != 1 {
		t.Errorf("%d policies, want 1", got)
	}
}
