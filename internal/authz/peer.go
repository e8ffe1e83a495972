package authz

import (
	"sort"
	"strconv"
	"strings"
)

// strictPolicyName is what istiod calls the policy that it makes of STRICT for ztunnel.
const strictPolicyName = "istio_converted_static_strict"

// peerChoice is the PeerAuthentication of each scope that counts for a workload. Istiod chooses three times, and takes a selector
// without labels for another thing each time: for sidecars it is none; a workload's reference to what ztunnel
// enforces takes it for none too, but does not see one in the root namespace from elsewhere; and what ztunnel is sent takes no
// policy with a selector for a namespace's (pilot/pkg/serviceregistry/ambient workloads.go fetchPeerAuthentications, policies.go
// PolicyCollections).
type peerChoice struct {
	mesh, namespace, workload *PeerAuthentication
	// referred and sent are the parents that a workload's reference and a policy's conversion go by.
	referred, sent parents
}

// parents are the policies that a workload's own inherits from.
type parents struct{ mesh, namespace *PeerAuthentication }

// strict reports whether plaintext is refused where nothing more special says otherwise.
func (p parents) strict() bool {
	if p.namespace != nil && p.namespace.Mode != MTLSUnset {
		return p.namespace.Mode == MTLSStrict
	}
	return p.mesh != nil && p.mesh.Mode == MTLSStrict
}

// choosePeer finds, per scope, the oldest PeerAuthentication; names break ties, where
// istiod leaves the choice to chance.
func choosePeer(root string, all []*PeerAuthentication, w *Workload) peerChoice {
	var c peerChoice
	older := func(old **PeerAuthentication, p *PeerAuthentication) {
		if *old == nil || p.Created.Before((*old).Created) {
			*old = p
		}
	}
	for _, p := range all {
		switch {
		case len(p.Selector) == 0 && p.Namespace == root:
			older(&c.mesh, p)
			if !p.Selected || w.Ref.Namespace == root {
				older(&c.referred.mesh, p)
			}
			if !p.Selected {
				older(&c.sent.mesh, p)
			}
		case len(p.Selector) == 0 && p.Namespace == w.Ref.Namespace:
			older(&c.namespace, p)
			older(&c.referred.namespace, p)
			if !p.Selected {
				older(&c.sent.namespace, p)
			}
		case len(p.Selector) > 0 && p.Namespace == w.Ref.Namespace && p.Namespace != root && selects(p.Selector, w.Labels):
			older(&c.workload, p)
		}
	}
	return c
}

// peerIndex files PeerAuthentications by namespace, in a fixed order.
func peerIndex(ps []PeerAuthentication) map[string][]*PeerAuthentication {
	out := map[string][]*PeerAuthentication{}
	for i := range ps {
		out[ps[i].Namespace] = append(out[ps[i].Namespace], &ps[i])
	}
	for _, l := range out {
		sort.SliceStable(l, func(i, j int) bool { return l[i].Name < l[j].Name })
	}
	return out
}

// sidecarMode is the mode that a sidecar enforces on a port, with the policy that set it
// (pilot/pkg/security/authn/policy_applier.go ComposePeerAuthentication).
func (c peerChoice) sidecarMode(port uint16) (MTLS, *PeerAuthentication) {
	mode, by := MTLSPermissive, (*PeerAuthentication)(nil)
	for _, p := range []*PeerAuthentication{c.mesh, c.namespace, c.workload} {
		if p != nil && p.Mode != MTLSUnset {
			mode, by = p.Mode, p
		}
	}
	if c.workload != nil {
		if m, ok := c.workload.Ports[port]; ok && m != MTLSUnset {
			return m, c.workload
		}
	}
	return mode, by
}

// serviceMode is the mode that Envoys take for all of a service, whatever its workloads' own policies say
// (pilot/pkg/model/push_context.go BestEffortInferServiceMTLSMode).
func (c peerChoice) serviceMode() MTLS {
	mode := MTLSPermissive
	for _, p := range []*PeerAuthentication{c.mesh, c.namespace} {
		if p != nil && p.Mode != MTLSUnset {
			mode = p.Mode
		}
	}
	return mode
}

// ztunnelPeer is what istiod sends to ztunnel for a workload's PeerAuthentications.
type ztunnelPeer struct {
	// static says that the STRICT policy is attached; by is the policy behind it.
	static bool
	by     *PeerAuthentication
	// strictPorts deny calls without identity on these ports.
	strictPorts []uint16
	// except, when exceptSet, denies calls without identity on all other ports.
	exceptSet bool
	except    []uint16
}

func (z ztunnelPeer) key() string {
	if !z.static && len(z.strictPorts) == 0 && !z.exceptSet {
		return ""
	}
	var b strings.Builder
	if z.by != nil {
		b.WriteString(z.by.Key())
	}
	b.WriteString(strconv.FormatBool(z.static))
	for _, p := range z.strictPorts {
		b.WriteString("+" + strconv.Itoa(int(p)))
	}
	if z.exceptSet {
		b.WriteString("x")
		for _, p := range z.except {
			b.WriteString("-" + strconv.Itoa(int(p)))
		}
	}
	return b.String()
}

// ztunnel converts as pilot/pkg/serviceregistry/ambient/authorization.go does: refers says what the workload refers to
// (convertedSelectorPeerAuthentications), convert what of it is there (convertPeerAuthentication). A reference to a policy that is
// not sent does nothing.
func (c peerChoice) ztunnel() ztunnelPeer {
	z := ztunnelPeer{static: c.referred.strict(), by: c.referred.mesh}
	if n := c.referred.namespace; n != nil && n.Mode != MTLSUnset {
		z.by = n
	}
	w := c.workload
	if w == nil {
		return z
	}
	if w.Mode != MTLSUnset {
		z.by, z.static = w, w.Mode == MTLSStrict
	}
	if !w.refers(z.static) {
		return z
	}
	z.by, z.static = w, false
	w.convert(c.sent, &z)
	return z
}

// refers reports whether workloads of a policy refer to its own conversion, given whether it is strict at large.
func (p *PeerAuthentication) refers(strict bool) bool {
	for _, m := range p.Ports {
		switch {
		case !strict && m == MTLSStrict, strict && m == MTLSPermissive:
			return true
		case strict && m == MTLSDisable && p.Mode == MTLSStrict:
			return true // a port-level DISABLE under an inherited STRICT is not referred to
		}
	}
	return false
}

// convert adds what istiod sends of a policy. Its conditions read as the source does, where && binds before ||: a STRICT port is left out
// where the mesh is STRICT and the namespace silent, whatever the policy's own mode; an open one where a silent namespace policy hides the mesh's STRICT.
func (p *PeerAuthentication) convert(from parents, z *ztunnelPeer) {
	is := func(q *PeerAuthentication, m MTLS) bool { return q != nil && q.Mode == m }
	unset := p.Mode == MTLSUnset
	namespaceSilent := from.namespace == nil || from.namespace.Mode == MTLSUnset
	parentsStrict := unset && is(from.namespace, MTLSStrict) || namespaceSilent && is(from.mesh, MTLSStrict)
	notStrict := from.namespace != nil && !is(from.namespace, MTLSStrict) || from.namespace == nil && !is(from.mesh, MTLSStrict)
	for port, m := range p.Ports {
		switch m {
		case MTLSStrict:
			if p.Mode != MTLSStrict && !parentsStrict {
				z.strictPorts = append(z.strictPorts, port)
			}
		case MTLSPermissive, MTLSDisable:
			if p.Mode == MTLSStrict || unset && !notStrict {
				z.exceptSet = true
				z.except = append(z.except, port)
			}
		}
	}
	sortPorts(z.strictPorts)
	sortPorts(z.except)
}

func sortPorts(p []uint16) { sort.Slice(p, func(i, j int) bool { return p[i] < p[j] }) }

// cubes gives the DENY rules.
func (z ztunnelPeer) cubes(in *interner, root string) []*cube {
	noIdentity := in.literal(literal{attr: attr{kind: attrIdentity}, negate: true, ids: []*idMatcher{ztunnelPrincipal("*")}, field: "mtls"})
	ports := func(negate bool, list []uint16) *literal {
		l := literal{attr: attr{kind: attrPort}, negate: negate, field: "portLevelMtls"}
		for _, p := range list {
			l.pats = append(l.pats, &pattern{kind: patPort, text: strconv.Itoa(int(p)), port: p})
		}
		return in.literal(l)
	}
	var out []*cube
	id := &policyID{key: root + "/" + strictPolicyName, action: ActionDeny}
	if z.by != nil {
		id.key = z.by.Key()
	}
	if z.static {
		out = append(out, &cube{policy: id, rule: -1, lits: []*literal{noIdentity}})
	}
	if len(z.strictPorts) > 0 {
		out = append(out, &cube{policy: id, rule: -1, lits: []*literal{noIdentity, ports(false, z.strictPorts)}})
	}
	if z.exceptSet {
		out = append(out, &cube{policy: id, rule: -1, lits: []*literal{noIdentity, ports(true, z.except)}})
	}
	return out
}
