package authz

// Reach is how a Service knows pods that it does not select, from EndpointSlices. Envoys have them from istiod's registry of Kubernetes
// (pilot/pkg/serviceregistry/kube/controller/endpointslice.go getPod), ztunnel from its ambient index (ambient/workloads.go
// matchingServicesWithoutSelectors, endpointSlicesBuilder).
type Reach uint8

const (
	// ReachPod is by the pod's name and UID: everybody finds the pod, as behind a selector.
	ReachPod Reach = iota
	// ReachAddress is by its address alone: Envoys find the pod, ztunnel calls an address that it knows nothing of, in plaintext.
	ReachAddress
	// ReachForeignAddress is the address of a pod in another namespace than the EndpointSlice: nobody finds the pod.
	ReachForeignAddress
	// ReachName is by the pod's name with another UID, or none: Envoys find the pod, ztunnel has no such endpoint.
	ReachName
	// ReachMixed is several of these for pods of one workload.
	ReachMixed
)

// reach is how the service of a target knows its pods. Who asks DNS of a headless Service calls the pod's own address.
func (t *target) reach() Reach {
	if t.svc == nil || t.addressing != ByService {
		return ReachPod
	}
	return t.svc.Reach[t.w.Pods()]
}

// doubt says why it cannot be told where a call to a service goes, empty where it can.
func (t *target) doubt(ztunnel bool) string {
	if t.svc == nil {
		return ""
	}
	if t.reach() == ReachMixed {
		return "EndpointSlices of service " + t.svc.name() + " know the pods of " + t.w.Ref.String() + " in several ways"
	}
	for _, p := range t.svc.Ports {
		if p.Port != t.portOfService() {
			continue
		}
		if p.Doubt != "" || !ztunnel || t.addressing != ByService {
			return p.Doubt
		}
		return p.ZtunnelDoubt
	}
	return ""
}
