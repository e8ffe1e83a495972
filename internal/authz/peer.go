package authz

import (
	"sort"
	"strconv"
	"strings"
)

// strictPolicyName is what istiod calls the policy that it makes of STRICT for ztunnel.
const strictPolicyName = "istio_converted_static_strict"

// peerChoice is the PeerAuthentication of each scope that counts for a workload.
type peerChoice struct {
	mesh, namespace, workload *PeerAuthentication
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
		case len(p.Selector) == 0 && p.Namespace == w.Ref.Namespace:
			older(&c.namespace, p)
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

// ztunnel converts as pilot/pkg/serviceregistry/ambient/authorization.go does:
// convertedSelectorPeerAuthentications says what is attached, convertPeerAuthentication
// what the port-level policy holds.
func (c peerChoice) ztunnel() ztunnelPeer {
	var z ztunnelPeer
	parentStrict := false
	if c.mesh != nil {
		parentStrict = c.mesh.Mode == MTLSStrict
		z.by = c.mesh
	}
	if c.namespace != nil && c.namespace.Mode != MTLSUnset {
		parentStrict = c.namespace.Mode == MTLSStrict
		z.by = c.namespace
	}
	z.static = parentStrict
	w := c.workload
	if w == nil {
		return z
	}
	if w.Mode != MTLSUnset {
		z.by = w
		z.static = w.Mode == MTLSStrict
	}
	strict := z.static
	attach := false
	for _, m := range w.Ports {
		switch {
		case !strict && m == MTLSStrict,
			strict && m == MTLSPermissive,
			// A port-level DISABLE under an inherited STRICT does not attach the policy.
			strict && m == MTLSDisable && w.Mode == MTLSStrict:
			attach = true
		}
	}
	if !attach {
		return z
	}
	z.by = w
	if !strict {
		for p, m := range w.Ports {
			if m == MTLSStrict {
				z.strictPorts = append(z.strictPorts, p)
			}
		}
		sortPorts(z.strictPorts)
		return z
	}
	z.static = false
	if w.Mode == MTLSUnset && c.namespace != nil && c.namespace.Mode != MTLSStrict {
		// The mesh is STRICT, the namespace's policy says nothing, and the workload's opens a
		// port: istiod leaves STRICT to the port-level policy and then takes the parent for
		// not strict, so nothing at all is sent.
		return z
	}
	z.exceptSet = true
	for p, m := range w.Ports {
		if m == MTLSPermissive || m == MTLSDisable {
			z.except = append(z.except, p)
		}
	}
	sortPorts(z.except)
	return z
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
