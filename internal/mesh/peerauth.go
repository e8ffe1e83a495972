package mesh

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/sidestep-mesh/sidestep/internal/snapshot"
	apisecurity "istio.io/api/security/v1beta1"
	securityv1 "istio.io/client-go/pkg/apis/security/v1"
)

const (
	mtlsStrict     = "STRICT"
	mtlsPermissive = "PERMISSIVE"
	mtlsDisable    = "DISABLE"
)

// attachPeerAuthentication attaches PeerAuthentications and settles the mode in effect: mesh, then
// namespace, then workload, each level inheriting what it leaves unset; of several at one level the
// oldest counts (pilot/pkg/security/authn/policy_applier.go ComposePeerAuthentication). Selectors in the
// root namespace have no effect.
func (b *builder) attachPeerAuthentication() {
	root := b.mesh.Settings.RootNamespace
	levels := map[*Workload]*[3]*securityv1.PeerAuthentication{}
	for _, o := range snapshot.All[*securityv1.PeerAuthentication](b.snap) {
		p := b.newPolicy(kindPeerAuthentication, o)
		sel := o.Spec.GetSelector().GetMatchLabels()
		var workloads []*Workload
		workloads, p.Scope = b.selected(o.Namespace, attachment{selector: sel, reach: rootSelectsNone})
		unknown := b.unknownFields(p)
		level := 1
		switch {
		case len(sel) > 0:
			level = 2
		case o.Namespace == root:
			level = 0
		}
		for _, w := range workloads {
			b.touch(p, w, unknown)
			at := levels[w]
			if at == nil {
				at = &[3]*securityv1.PeerAuthentication{}
				levels[w] = at
			}
			if at[level] == nil || o.CreationTimestamp.Time.Before(at[level].CreationTimestamp.Time) {
				at[level] = o
			}
		}
	}
	composed := map[[3]*securityv1.PeerAuthentication]mtlsFacts{}
	for _, w := range b.mesh.Workloads {
		if levels[w] == nil {
			w.MTLS = MTLS{Mode: mtlsPermissive}
			continue
		}
		facts, done := composed[*levels[w]]
		if !done {
			facts = composeMTLS(*levels[w])
			composed[*levels[w]] = facts
		}
		w.MTLS = facts.mtls
		w.use(facts.uses)
	}
}

// mtlsFacts is what a chain of PeerAuthentications amounts to.
type mtlsFacts struct {
	mtls MTLS
	uses []found
}

func composeMTLS(levels [3]*securityv1.PeerAuthentication) mtlsFacts {
	f := mtlsFacts{mtls: MTLS{Mode: mtlsPermissive}}
	decided := gather{}
	var last gather
	for _, o := range levels {
		if o == nil {
			continue
		}
		g := gather{object: refOf(kindPeerAuthentication, o)}
		if mode := o.Spec.GetMtls(); mode != nil && mode.Mode != apisecurity.PeerAuthentication_MutualTLS_UNSET {
			f.mtls.Mode = mode.Mode.String()
			g.seeMode("spec.mtls.mode", f.mtls.Mode)
			f.mtls.Evidence = append(f.mtls.Evidence, evidence(g.object, "spec.mtls.mode", f.mtls.Mode))
			decided = g
		}
		last = g
	}
	f.uses = append(f.uses, decided.list...) // only the level that decided is in effect
	if w := levels[2]; w != nil && len(w.Spec.GetPortLevelMtls()) > 0 {
		ports := gather{object: last.object}
		for port, m := range w.Spec.GetPortLevelMtls() {
			mode := f.mtls.Mode
			if m != nil && m.Mode != apisecurity.PeerAuthentication_MutualTLS_UNSET {
				mode = m.Mode.String()
			}
			f.mtls.Ports = append(f.mtls.Ports, PortMTLS{port, mode})
		}
		slices.SortFunc(f.mtls.Ports, func(a, b PortMTLS) int { return cmp.Compare(a.Port, b.Port) })
		for _, p := range f.mtls.Ports {
			field := fmt.Sprintf("spec.portLevelMtls[%d].mode", p.Port)
			ports.see(PortLevelMTLS, Inbound, field, p.Mode)
			ports.seeMode(field, p.Mode)
			f.mtls.Evidence = append(f.mtls.Evidence, evidence(ports.object, field, p.Mode))
		}
		f.uses = append(f.uses, ports.list...)
	}
	return f
}

func (g *gather) seeMode(field, mode string) {
	switch mode {
	case mtlsStrict:
		g.see(StrictMTLS, Inbound, field, mode)
	case mtlsDisable:
		g.see(DisabledMTLS, Inbound, field, mode)
	}
}
