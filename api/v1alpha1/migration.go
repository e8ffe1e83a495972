package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// Migration says which namespaces move from sidecars to ambient mode, how far the controller may go by itself, and what has to hold
// on the way. Its status says where they are, and what is wrong now.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:scope=Cluster,categories=mesh
// +kubebuilder:printcolumn:name="Mode",type=string,JSONPath=`.spec.mode`
// +kubebuilder:printcolumn:name="Sidecar",type=integer,JSONPath=`.status.workloads.sidecar`,description="Workloads that have a sidecar"
// +kubebuilder:printcolumn:name="Ambient",type=integer,JSONPath=`.status.workloads.ambient`,description="Workloads in ambient mode"
// +kubebuilder:printcolumn:name="To move",type=integer,JSONPath=`.status.workloads.toMove`,description="Workloads with a sidecar that can go without"
// +kubebuilder:printcolumn:name="Safe",type=string,JSONPath=`.status.conditions[?(@.type=="Safe")].status`,description="Whether every workload's mode enforces what its policies say"
// +kubebuilder:printcolumn:name="State",type=string,JSONPath=`.status.conditions[?(@.type=="Progressing")].reason`
// +kubebuilder:printcolumn:name="Message",type=string,priority=1,JSONPath=`.status.conditions[?(@.type=="Progressing")].message`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type Migration struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec MigrationSpec `json:"spec"`
	// +optional
	Status MigrationStatus `json:"status,omitempty"`
}

// MigrationList is a list of Migrations.
//
// +kubebuilder:object:root=true
type MigrationList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []Migration `json:"items"`
}

// Mode is how far the controller goes by itself.
//
// +kubebuilder:validation:Enum=Observe;Recommend;Enforce
type Mode string

// Modes.
const (
	// Observe: it looks, and says what it sees in conditions, events and metrics. It writes nothing but that.
	Observe Mode = "Observe"
	// Recommend: it also plans, and keeps the plan and the labels it would set in a ConfigMap.
	Recommend Mode = "Recommend"
	// Enforce: it carries the plan out as approvals and gates allow, and keeps migrated workloads in their modes.
	Enforce Mode = "Enforce"
)

// MigrationSpec is what is asked for.
type MigrationSpec struct {
	// scope says which namespaces the Migration is about.
	Scope Scope `json:"scope"`
	// mode says how far the controller goes by itself: Observe writes nothing, Recommend writes its plan down, Enforce carries it out.
	// +kubebuilder:default=Observe
	// +optional
	Mode Mode `json:"mode,omitempty"`
	// paused stops every write but that of the status; what is under way stays as it is, which is safe at every step.
	// +optional
	Paused bool `json:"paused,omitempty"`
	// strategy bounds what moves at once.
	// +optional
	Strategy Strategy `json:"strategy,omitempty"`
	// gates say what has to be seen before the next step.
	// +optional
	Gates Gates `json:"gates,omitempty"`
	// review says when a person has to approve a wave.
	// +optional
	Review Review `json:"review,omitempty"`
	// approvals are given by people, each for one plan.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=64
	Approvals []Approval `json:"approvals,omitempty"`
	// accept are divergences that a person takes, as with sidestep plan --accept.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=256
	Accept []Acceptance `json:"accept,omitempty"`
	// assertions are sentences about who must and who must never be able to call whom; they are examined after every change, for ever.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=64
	Assertions []Assertion `json:"assertions,omitempty"`
}

// Scope names namespaces: those listed and those that the selector matches.
//
// +kubebuilder:validation:XValidation:rule="(has(self.namespaces) && size(self.namespaces) > 0) || has(self.namespaceSelector)",message="name at least one namespace, or give a namespaceSelector; {} selects every namespace"
type Scope struct {
	// namespaces lists names.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=1000
	// +kubebuilder:validation:items:MaxLength=63
	// +kubebuilder:validation:items:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	Namespaces []string `json:"namespaces,omitempty"`
	// namespaceSelector selects by labels; the empty selector {} selects every namespace.
	// +optional
	NamespaceSelector *metav1.LabelSelector `json:"namespaceSelector,omitempty"`
}

// Strategy bounds what moves at once.
type Strategy struct {
	// canary is a namespace of the scope whose workloads move first, as far as their needs allow.
	// +optional
	// +kubebuilder:validation:MaxLength=63
	Canary string `json:"canary,omitempty"`
	// maxNamespaces bounds the namespaces of a wave; 0 is no bound.
	// +optional
	// +kubebuilder:validation:Minimum=0
	MaxNamespaces int32 `json:"maxNamespaces,omitempty"`
	// maxPods bounds the pods of a wave; 0 is no bound.
	// +optional
	// +kubebuilder:validation:Minimum=0
	MaxPods int32 `json:"maxPods,omitempty"`
}

// Gates say what has to be seen before the next step.
type Gates struct {
	// prometheus is asked for what calls did; without it gates look at conditions and pods alone.
	// +optional
	Prometheus *Prometheus `json:"prometheus,omitempty"`
	// soak is how long everything has to be well after a move before the next wave.
	// +kubebuilder:default="5m"
	// +optional
	Soak *metav1.Duration `json:"soak,omitempty"`
}

// Prometheus is a server of the Prometheus API.
type Prometheus struct {
	// url of the server, such as http://prometheus.monitoring:9090.
	// +kubebuilder:validation:MaxLength=2048
	// +kubebuilder:validation:XValidation:rule="self.startsWith('http://') || self.startsWith('https://')",message="url: begin with http:// or https://"
	URL string `json:"url"`
	// tenant is sent as X-Scope-OrgID.
	// +optional
	// +kubebuilder:validation:MaxLength=256
	Tenant string `json:"tenant,omitempty"`
}

// ReviewPolicy says when a wave needs an approval.
//
// +kubebuilder:validation:Enum=ALWAYS;ON_WEAKER;NEVER
type ReviewPolicy string

// Review policies.
const (
	ReviewAlways   ReviewPolicy = "ALWAYS"
	ReviewOnWeaker ReviewPolicy = "ON_WEAKER"
	ReviewNever    ReviewPolicy = "NEVER"
)

// Review says when a person has to approve a wave.
type Review struct {
	// default is for waves that are not listed: ALWAYS, ON_WEAKER (only where the plan accepts something weaker), or NEVER.
	// +kubebuilder:default=ALWAYS
	// +optional
	Default ReviewPolicy `json:"default,omitempty"`
	// waves have a policy of their own.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=64
	Waves []WaveReview `json:"waves,omitempty"`
}

// WaveReview is the policy of one wave.
type WaveReview struct {
	// name of the wave, as the status lists it.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=128
	Name   string       `json:"name"`
	Review ReviewPolicy `json:"review"`
}

// Approval is a person's word for one plan: it does not hold for another.
type Approval struct {
	// plan is the hash that status.plan.hash shows.
	// +kubebuilder:validation:XValidation:rule="self.matches('^[0-9a-f]{12,64}$')",message="plan: give the hash that status.plan.hash shows, such as 3f9a1c0b7e55"
	// +kubebuilder:validation:MaxLength=64
	Plan string `json:"plan"`
	// waves that are approved; all when empty.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MaxLength=128
	Waves []string `json:"waves,omitempty"`
	// by is who approves.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=256
	By string `json:"by"`
	// why is for the next reader.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	Why string `json:"why,omitempty"`
}

// Acceptance is a divergence that a person takes.
type Acceptance struct {
	// code of the reason, such as outside or an SS code, as the plan shows it.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	Code string `json:"code"`
	// +kubebuilder:validation:MaxLength=63
	Namespace string `json:"namespace"`
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name"`
	// +optional
	// +kubebuilder:validation:MaxLength=256
	By string `json:"by,omitempty"`
	// why is required: the plan shows it for as long as the divergence lasts.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	Why string `json:"why"`
}

// Assertion is one sentence as in docs/assertions.md: exactly one of must, never and only has the callers.
//
// +kubebuilder:validation:XValidation:rule="(has(self.must) ? 1 : 0) + (has(self.never) ? 1 : 0) + (has(self.only) ? 1 : 0) == 1",message="give exactly one of must, never and only, with the callers"
type Assertion struct {
	// +optional
	// +kubebuilder:validation:MaxLength=128
	Name string `json:"name,omitempty"`
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	Must []string `json:"must,omitempty"`
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	Never []string `json:"never,omitempty"`
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	Only []string `json:"only,omitempty"`
	// to names Services or workloads as NAMESPACE/NAME or NAMESPACE/NAME:PORT.
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MaxLength=320
	// +kubebuilder:validation:items:XValidation:rule="self.contains('/')",message="to: write NAMESPACE/NAME or NAMESPACE/NAME:PORT"
	To []string `json:"to"`
	// by limits the ways to address them.
	// +optional
	// +kubebuilder:validation:Enum=service;pod;any
	By string `json:"by,omitempty"`
	// +optional
	// +kubebuilder:validation:Enum=http;tcp
	Protocol string `json:"protocol,omitempty"`
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=64
	Methods []string `json:"methods,omitempty"`
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=64
	Paths []string `json:"paths,omitempty"`
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=64
	Hosts []string `json:"hosts,omitempty"`
	// token is none, valid, invalid or any.
	// +optional
	// +kubebuilder:validation:Enum=none;valid;invalid;any
	Token string `json:"token,omitempty"`
}
