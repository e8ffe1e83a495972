package route

import (
	"slices"
	"strings"
)

// Unlisted makes a Service of every host that a VirtualService names and nobody has: sidecars route calls by that
// authority at port 80 (core/httproute.go, BuildSidecarOutboundVirtualHosts); without routes such a call goes to the
// address it was made to.
func (w *World) Unlisted() []Service {
	known := map[string]bool{}
	var listed []string
	for i := range w.Services {
		for _, h := range w.Services[i].Hosts {
			known[h] = true
			listed = append(listed, h)
		}
	}
	// What a Service's short names stand for is routed by its own table.
	short := func(h string) bool {
		name, ns, ok := strings.Cut(strings.TrimSuffix(h, ".svc"), ".")
		return ok && known[name+"."+ns+".svc."+w.Config.ClusterDomain]
	}
	var out []Service
	for _, v := range w.Objects.virtuals {
		if !v.mesh() || v.gatewayAPI {
			continue
		}
		for _, h := range v.hosts {
			if known[h] || short(h) || strings.HasPrefix(h, "*") && slices.ContainsFunc(listed, func(l string) bool { return hostMatches(h, l) }) {
				continue
			}
			known[h] = true
			out = append(out, Service{Ref: Ref{Kind: "Host", Name: h}, Hosts: []string{h}, External: true,
				Outside: []string{"the address that " + OwnName + " was called by"}, Ports: []Port{{Name: "http", Number: 80, Target: "80", Protocol: HTTP}}})
		}
	}
	return out
}
