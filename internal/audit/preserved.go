package audit

import (
	"github.com/sidestep-mesh/sidestep/internal/mesh"
)

// Preserved is a feature that works the same in ambient mode, so that no rule asks for more.
type Preserved struct {
	Feature mesh.Feature
	// Because says why nothing is needed.
	Because string
}

// AllPreserved lists the features that need no rule. Every feature is either here or among the inputs
// of a rule; a test holds that.
func AllPreserved() []Preserved {
	return []Preserved{
		{mesh.L4Authz, "ztunnel evaluates every attribute of the policy. Behind a waypoint it sees another identity (SS212) and another address (SS224)."},
		{mesh.TrafficDistribution, "ztunnel follows trafficDistribution and its annotation."},
		{mesh.EgressServiceEntry, "ztunnel forwards to a named external host. Anything above TCP there is asked for by other objects (SS301, SS407, SS408)."},
		{mesh.OpaqueTCP, "Databases and other TCP protocols, server-first ones included, pass through ztunnel."},
		{mesh.UndeclaredProtocol, "Sidecars and waypoints sniff the protocol in the same way; ztunnel does not need it."},
		{mesh.UDPPort, "UDP passes unproxied in either mode; DNS is captured by both."},
		{mesh.RunToCompletion, "A Job ends by itself: there is no proxy in the pod to stop."},
		{mesh.InitContainers, "Init containers have mesh traffic in ambient mode, which they lack with a classic sidecar."},
		{mesh.NodeAgent, "DaemonSets and privileged pods are captured like any other, unless they use hostNetwork (SS114)."},
		{mesh.IPv6, "Ambient mode handles IPv6 and dual stack by default."},
		{mesh.AmbientAnnotations, "Ambient mode itself reads them."},
	}
}
