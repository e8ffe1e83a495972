package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// MigrationStatus is what the controller sees.
type MigrationStatus struct {
	// observedGeneration is the generation of the spec that the status is about.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
	// namespaces is the number of namespaces in scope.
	// +optional
	Namespaces int32 `json:"namespaces,omitempty"`
	// workloads counts the application workloads in scope.
	// +optional
	Workloads Counts `json:"workloads,omitempty"`
	// plan is the plan for what still has a sidecar and can go without; absent in mode Observe.
	// +optional
	Plan *PlanStatus `json:"plan,omitempty"`
	// waves of the plan, in their order.
	// +optional
	// +listType=atomic
	Waves []WaveStatus `json:"waves,omitempty"`
	// unsafe lists what the modes in effect do not enforce; at most 100, the others are counted in condition Safe.
	// +optional
	// +listType=atomic
	Unsafe []Gap `json:"unsafe,omitempty"`
	// assertions that do not hold; at most 20.
	// +optional
	// +listType=atomic
	Breaches []Breach `json:"breaches,omitempty"`
	// held are objects that somebody else owns, with the patch to commit; at most 50.
	// +optional
	// +listType=atomic
	Held []Hold `json:"held,omitempty"`
	// history is the last 20 things that happened, the newest first.
	// +optional
	// +listType=atomic
	History []Entry `json:"history,omitempty"`
	// +optional
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// Conditions of a Migration.
const (
	// ConditionKnown: everything that verdicts depend on can be read.
	ConditionKnown = "Known"
	// ConditionSafe: the mode of every workload in scope enforces what its policies say.
	ConditionSafe = "Safe"
	// ConditionAsserted: every assertion holds.
	ConditionAsserted = "Asserted"
	// ConditionProgressing: its reason says what the controller does or waits for.
	ConditionProgressing = "Progressing"
	// ConditionComplete: everybody in scope is in their verdict's mode.
	ConditionComplete = "Complete"
)

// Counts are numbers of application workloads.
type Counts struct {
	Total int32 `json:"total"`
	// sidecar, ambient and none count by the mode in effect.
	Sidecar int32 `json:"sidecar"`
	Ambient int32 `json:"ambient"`
	None    int32 `json:"none"`
	// toMove have a sidecar and a verdict that needs none; of them toWaypoint need a waypoint.
	ToMove     int32 `json:"toMove"`
	ToWaypoint int32 `json:"toWaypoint"`
	// keep have a sidecar and a verdict that needs it.
	Keep int32 `json:"keep"`
	// sidecars is the number of pods with a sidecar, removable of those whose workload needs none.
	Sidecars  int32 `json:"sidecars"`
	Removable int32 `json:"removable"`
}

// PlanStatus says which plan is meant.
type PlanStatus struct {
	// hash is what approvals name. Another order, another object or another namespace gives another hash.
	Hash  string `json:"hash"`
	Waves int32  `json:"waves"`
	Steps int32  `json:"steps"`
	// moves is the number of workloads that it takes into ambient mode, stays that of those that keep their sidecars.
	Moves int32 `json:"moves"`
	Stays int32 `json:"stays"`
	// configMap holds the plan, as namespace/name.
	// +optional
	ConfigMap string `json:"configMap,omitempty"`
}

// WaveStatus is one wave.
type WaveStatus struct {
	Name    string `json:"name"`
	Purpose string `json:"purpose,omitempty"`
	Steps   int32  `json:"steps"`
	// done steps have been applied and their gates have passed.
	Done int32 `json:"done"`
	// review is the policy in effect, approved whether it is met.
	Review   ReviewPolicy `json:"review"`
	Approved bool         `json:"approved"`
}

// ObjectReference names an object.
type ObjectReference struct {
	// +optional
	Group string `json:"group,omitempty"`
	Kind  string `json:"kind"`
	// +optional
	Namespace string `json:"namespace,omitempty"`
	Name      string `json:"name"`
}

// Gap is something that a mode in effect does not enforce.
type Gap struct {
	// code of the rule that found it.
	Code string `json:"code"`
	// workload that is concerned; absent where it is about no single one.
	// +optional
	Workload *ObjectReference `json:"workload,omitempty"`
	// object to look at.
	Object  ObjectReference `json:"object"`
	Message string          `json:"message"`
	// +optional
	Remedy string `json:"remedy,omitempty"`
	// since is when the controller first saw it.
	Since metav1.Time `json:"since"`
}

// Breach is an assertion that does not hold.
type Breach struct {
	Name    string      `json:"name"`
	Message string      `json:"message"`
	Since   metav1.Time `json:"since"`
}

// Hold is an object that the controller leaves alone, since somebody else owns what would have to change.
type Hold struct {
	Object  ObjectReference `json:"object"`
	Message string          `json:"message"`
	// patch is what its owner would have to commit.
	// +optional
	Patch string      `json:"patch,omitempty"`
	Since metav1.Time `json:"since"`
}

// Entry is one thing that happened.
type Entry struct {
	Time    metav1.Time `json:"time"`
	Reason  string      `json:"reason"`
	Message string      `json:"message"`
}
