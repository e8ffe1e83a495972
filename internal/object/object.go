// Package object holds the words that every room shares: how an object is named, the modes of a workload and its roles.
// It imports nothing of Sidestep.
package object

import "cmp"

// Ref names an object. Kind is the plain kind name; Group is empty for core and workload kinds
// where the kind is unambiguous.
type Ref struct {
	Group     string `json:"group,omitempty"`
	Kind      string `json:"kind"`
	Namespace string `json:"namespace,omitempty"`
	Name      string `json:"name"`
}

// String gives Kind namespace/name, as messages name objects.
func (r Ref) String() string {
	if r.Namespace == "" {
		return r.Kind + " " + r.Name
	}
	return r.Kind + " " + r.Namespace + "/" + r.Name
}

// Compare orders by namespace, kind, name, group: the order of every list of objects.
func (r Ref) Compare(o Ref) int {
	return cmp.Or(cmp.Compare(r.Namespace, o.Namespace), cmp.Compare(r.Kind, o.Kind),
		cmp.Compare(r.Name, o.Name), cmp.Compare(r.Group, o.Group))
}

// Mode is the data plane that a workload's traffic goes through.
type Mode string

// The three modes.
const (
	Sidecar Mode = "sidecar" // an istio-proxy in the pod
	Ambient Mode = "ambient" // ztunnel on the node, perhaps a waypoint
	None    Mode = "none"    // outside the mesh
)

// Role is what a workload is for.
type Role string

// Only application workloads are classified; the others are part of the mesh itself.
const (
	Application Role = "application"
	Waypoint    Role = "waypoint"
	Gateway     Role = "gateway"
	Ztunnel     Role = "ztunnel"
	Istiod      Role = "istiod"
	CNI         Role = "cni"
	// External is a destination outside the mesh that a ServiceEntry or an ExternalName Service names.
	External Role = "external"
	// Other is mesh machinery that neither calls nor is called as far as policies go.
	Other Role = "other"
)

// APIVersion is the version of every document that Sidestep writes.
const APIVersion = "sidestep.dev/v1alpha1"
