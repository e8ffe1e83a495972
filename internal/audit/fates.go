package audit

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/sidestep-mesh/sidestep/internal/authz"
	"github.com/sidestep-mesh/sidestep/internal/mesh"
)

// policyFate is what ztunnel makes of an AuthorizationPolicy as a whole.
type policyFate struct {
	compiled authz.AuthorizationPolicy
	rules    []authz.RuleFate
	// addresses, remotes and identities are where it goes by the peer's address, by X-Forwarded-For and by
	// the peer's identity.
	addresses, remotes, identities peerPlaces
	// names are where it goes by the server name of the TLS connection.
	names peerPlaces
}

// with returns the rules that met one of the given fates because ztunnel does not know some attribute.
// A rule that fails for another reason fails at a sidecar as well, and is SS219's.
func (f *policyFate) with(fates ...authz.Fate) []authz.RuleFate {
	var out []authz.RuleFate
	for _, r := range f.rules {
		if slices.Contains(fates, r.Fate) && len(r.Lost) > 0 {
			out = append(out, r)
		}
	}
	return out
}

// Fate tells what ztunnel makes of an AuthorizationPolicy, once for all the workloads it reaches.
func (f *facts) Fate(p *mesh.Policy) *policyFate { return f.index.fate(p.Namespace, p.Name) }

func (x *index) fate(namespace, name string) *policyFate {
	key := [2]string{namespace, name}
	if done := x.fates[key]; done != nil {
		return done
	}
	if x.fates == nil {
		x.fates = map[[2]string]*policyFate{}
	}
	fate := &policyFate{}
	ref := mesh.Ref{Group: kindAuthorizationPolicy.Group, Kind: kindAuthorizationPolicy.Kind, Namespace: namespace, Name: name}
	if p := x.mesh.CompiledPolicy(&mesh.Policy{Ref: ref}); p != nil {
		fate.compiled, fate.rules = *p, authz.ZtunnelFates(p)
		fate.addresses, fate.remotes, fate.identities = addressFields.in(ref, p), remoteFields.in(ref, p), identityOfPeer.in(ref, p)
		fate.names = serverNames.in(ref, p)
	}
	x.fates[key] = fate
	return fate
}

// changes tells that some rule means something else at ztunnel.
func (f *policyFate) changes() bool {
	return len(f.with(authz.FateBroadened, authz.FateInert, authz.FateDropped)) > 0
}

// atZtunnel are the policies of one action that ztunnel would enforce for the workload.
func (v *View) atZtunnel(action authz.Action) []*mesh.Policy {
	return slices.DeleteFunc(v.Policies("AuthorizationPolicy"), func(p *mesh.Policy) bool {
		return p.Scope == mesh.ByTargetRefs || p.DryRun || p.Action != string(action)
	})
}

// Copied reports whether a policy with the same action and rules holds at the waypoint of every Service of the
// workload, so that what ztunnel makes of the original no longer decides.
func (v *View) Copied(p *mesh.Policy) bool {
	original := v.Fate(p).compiled
	return v.atEveryWaypoint("AuthorizationPolicy", func(c *mesh.Policy) bool {
		copied := v.Fate(c).compiled
		return copied.Action == original.Action && copied.Provider == original.Provider && copied.DryRun == original.DryRun &&
			reflect.DeepEqual(copied.Rules, original.Rules)
	})
}

// atEveryWaypoint reports whether each Service of the workload has, at its waypoint, a policy that same accepts,
// whether it names the Service, the Gateway or the GatewayClass. A second Service for the same pods that is not
// bound, or whose waypoint does not know the policy, is a way round it. Headless Services are left out: no call to
// their addresses is a call to a Service. A workload that only has an address of its own goes by that one's waypoint.
func (v *View) atEveryWaypoint(kind string, same func(*mesh.Policy) bool) bool {
	holds := func(list []*mesh.Policy) bool {
		return slices.ContainsFunc(list, func(c *mesh.Policy) bool { return c.Kind == kind && c.Scope == mesh.ByTargetRefs && same(c) })
	}
	addressed := false
	for _, s := range v.Services() {
		if s.Headless {
			continue
		}
		addressed = true
		if !holds(s.Policies) {
			return false
		}
	}
	return addressed || holds(v.Policies(kind))
}

// lostFields names the attributes that rules lose at ztunnel, and their places in the policy.
func lostFields(v *View, p *mesh.Policy, rules []authz.RuleFate) (string, []mesh.Evidence) {
	var names []string
	var evidence []mesh.Evidence
	known := gather(v.Uses(mesh.L7Authz))
	for _, r := range rules {
		for _, name := range r.Lost {
			if !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
		rule := fmt.Sprintf("spec.rules[%d]", r.Rule)
		before := len(evidence)
		for _, e := range known {
			if e.Object == p.Ref && strings.HasPrefix(e.Field, rule+".") {
				evidence = append(evidence, e)
			}
		}
		if len(evidence) == before { // a workload behind very many policies: package mesh does not keep every place
			evidence = append(evidence, at(p.Ref, rule, strings.Join(r.Lost, ", ")))
		}
	}
	return list(names), evidence
}

// whichRules says which of a policy's rules are meant: all of them, or how many of how many.
func whichRules(some, all int) string {
	switch {
	case all == 1:
		return "its rule"
	case some == all:
		return fmt.Sprintf("all %d rules", all)
	}
	return fmt.Sprintf("%d of its %d rules", some, all)
}

// moveToWaypoint is the way out for a policy that only an HTTP proxy can enforce: where its copy must be
// attached follows from its scope.
func moveToWaypoint(v *View, p *mesh.Policy) string {
	when := " before the sidecar goes, and remove the original once no sidecar is left that enforces it."
	if v.Mode() == mesh.Ambient {
		when = ", then remove the original."
	}
	switch p.Scope {
	case mesh.ByRoot:
		if v.Minor() < 25 {
			return "Before 1.25 there is no mesh-wide attachment: give each waypoint a copy with targetRefs Gateway" + when
		}
		return "Copy it with targetRefs GatewayClass istio-waypoint in the root namespace" + when + " Every workload it should protect needs a waypoint."
	case mesh.ByNamespace:
		return "Bind every Service of the namespace to a waypoint and copy the policy with targetRefs to that Gateway" + when
	}
	var services []string
	for _, s := range v.Services() {
		if !s.Headless {
			services = append(services, s.Name)
		}
	}
	if len(services) == 0 {
		return "Give the pods a waypoint of their own (istio.io/waypoint-for: workload) and copy the policy with targetRefs to that Gateway" + when
	}
	return fmt.Sprintf("Bind Service %s to a waypoint and copy the policy with targetRefs to it", list(services)) + when
}
