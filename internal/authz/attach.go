package authz

import (
	"sort"
)

// Groups and kinds that targetRefs may name.
const (
	groupGateway    = "gateway.networking.k8s.io"
	groupNetworking = "networking.istio.io"

	kindService      = "Service"
	kindServiceEntry = "ServiceEntry"
	kindGateway      = "Gateway"
	kindGatewayClass = "GatewayClass"

	waypointClass = "istio-waypoint"
)

// targetKind gives the kind a targetRef names, empty when group and kind do not go
// together.
func (t Target) targetKind() string {
	group := t.Group
	if group == "core" {
		group = ""
	}
	switch {
	case t.Kind == kindService && group == "":
		return kindService
	case t.Kind == kindServiceEntry && group == groupNetworking:
		return kindServiceEntry
	case t.Kind == kindGateway && group == groupGateway:
		return kindGateway
	case t.Kind == kindGatewayClass && group == groupGateway:
		return kindGatewayClass
	}
	return ""
}

// attachIndex finds the policies of one kind by what they attach to, in an order that
// does not depend on the order of the World.
type attachIndex struct {
	byNamespace map[string]*namespacePolicies
	byTarget    map[targetKey][]int
	// rank is each policy's place in that order.
	rank []int
}

type namespacePolicies struct {
	everything []int
	// byLabel files a selector under its first label; the rest is checked on use.
	byLabel map[[2]string][]int
}

type targetKey struct {
	kind, policyNamespace, name string
}

// attached is anything with an Attachment.
type attached struct {
	namespace, name string
	a               *Attachment
}

func newAttachIndex(n int, at func(int) attached) *attachIndex {
	ix := &attachIndex{byNamespace: map[string]*namespacePolicies{}, byTarget: map[targetKey][]int{}}
	order := make([]int, n)
	for i := range order {
		order[i] = i
	}
	sort.SliceStable(order, func(i, j int) bool {
		a, b := at(order[i]), at(order[j])
		if a.namespace != b.namespace {
			return a.namespace < b.namespace
		}
		return a.name < b.name
	})
	ix.rank = make([]int, n)
	for r, i := range order {
		ix.rank[i] = r
		p := at(i)
		if len(p.a.Targets) > 0 {
			ix.addTargets(i, p)
			continue
		}
		ns := ix.byNamespace[p.namespace]
		if ns == nil {
			ns = &namespacePolicies{byLabel: map[[2]string][]int{}}
			ix.byNamespace[p.namespace] = ns
		}
		if len(p.a.Selector) == 0 {
			ns.everything = append(ns.everything, i)
			continue
		}
		k := firstLabel(p.a.Selector)
		ns.byLabel[k] = append(ns.byLabel[k], i)
	}
	return ix
}

func (ix *attachIndex) addTargets(i int, p attached) {
	seen := map[targetKey]bool{}
	for _, t := range p.a.Targets {
		kind := t.targetKind()
		if kind == "" {
			continue
		}
		if kind == kindGateway && t.Namespace != "" && t.Namespace != p.namespace {
			continue // never matches anything
		}
		k := targetKey{kind, p.namespace, t.Name}
		if !seen[k] {
			seen[k] = true
			ix.byTarget[k] = append(ix.byTarget[k], i)
		}
	}
}

func firstLabel(sel map[string]string) [2]string {
	var first string
	ok := false
	for k := range sel {
		if !ok || k < first {
			first, ok = k, true
		}
	}
	return [2]string{first, sel[first]}
}

func selects(sel, labels map[string]string) bool {
	for k, v := range sel {
		if got, ok := labels[k]; !ok || got != v {
			return false
		}
	}
	return true
}

// forWorkload lists the policies without targetRefs of a namespace that apply to pods
// with these labels.
func (ix *attachIndex) forWorkload(namespace string, labels map[string]string, at func(int) attached) []int {
	ns := ix.byNamespace[namespace]
	if ns == nil {
		return nil
	}
	out := append([]int(nil), ns.everything...)
	for k, v := range labels {
		for _, i := range ns.byLabel[[2]string{k, v}] {
			if selects(at(i).a.Selector, labels) {
				out = append(out, i)
			}
		}
	}
	ix.sort(out)
	return out
}

func (ix *attachIndex) sort(list []int) {
	sort.Slice(list, func(a, b int) bool { return ix.rank[list[a]] < ix.rank[list[b]] })
}

// forServer lists what applies to a workload's own proxy: root namespace first, then
// its own (pilot/pkg/model/authorization.go ListAuthorizationPolicies).
func (ix *attachIndex) forServer(root string, w *Workload, at func(int) attached) []int {
	out := ix.forWorkload(root, w.Labels, at)
	if w.Ref.Namespace != root {
		out = append(out, ix.forWorkload(w.Ref.Namespace, w.Labels, at)...)
	}
	return out
}

// forGateway lists what applies to a Gateway API gateway that is no waypoint: targetRefs
// that name it and, unless that is switched off, selectors.
func (ix *attachIndex) forGateway(c Config, w *Workload, at func(int) attached) []int {
	var out []int
	if !c.NoGatewaySelectorPolicies {
		out = ix.forServer(c.root(), w, at)
	}
	return append(out, ix.byTarget[targetKey{kindGateway, w.Ref.Namespace, w.Gateway}]...)
}

// forWaypoint lists what a waypoint enforces for a service, or for calls that address a
// workload when service is nil (pilot/pkg/model/policyattachment.go ShouldAttachPolicy).
// Selectors never count there.
func (ix *attachIndex) forWaypoint(c Config, wp *Waypoint, svc *Service) []int {
	seen := map[int]bool{}
	var out []int
	add := func(list []int) {
		for _, i := range list {
			if !seen[i] {
				seen[i] = true
				out = append(out, i)
			}
		}
	}
	// The class of the default is named, whatever class the Gateway has.
	add(ix.byTarget[targetKey{kindGatewayClass, c.root(), waypointClass}])
	add(ix.byTarget[targetKey{kindGateway, wp.Namespace, wp.Name}])
	if svc != nil {
		kind := kindService
		if svc.Entry {
			kind = kindServiceEntry
		}
		add(ix.byTarget[targetKey{kind, svc.Namespace, svc.Name}])
	}
	ix.sort(out)
	return out
}
