package netpol

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/sidestep-mesh/sidestep/internal/snapshot"
	"github.com/sidestep-mesh/sidestep/internal/snapshot/partial"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// Calico's policies are served in two groups: as it stores them, and by its own API server.
var (
	kindCalico          = snapshot.Kind{Group: "projectcalico.org", Kind: "NetworkPolicy"}
	kindCalicoGlobal    = snapshot.Kind{Group: "projectcalico.org", Kind: "GlobalNetworkPolicy"}
	kindCalicoCRD       = snapshot.Kind{Group: "crd.projectcalico.org", Kind: "NetworkPolicy"}
	kindCalicoCRDGlobal = snapshot.Kind{Group: "crd.projectcalico.org", Kind: "GlobalNetworkPolicy"}
)

// calicoPolicies compiles Calico's kinds (https://docs.tigera.io/calico/latest/reference/resources/networkpolicy).
// An object that both groups serve counts once.
func calicoPolicies(s *snapshot.Snapshot) []*Policy {
	var out []*Policy
	seen := map[[2]string]bool{}
	add := func(kind snapshot.Kind, o snapshot.Object, namespace string, spec *partial.CalicoPolicySpec) {
		name := [2]string{namespace, strings.TrimPrefix(o.GetName(), "default.")}
		if !seen[name] {
			seen[name] = true
			out = append(out, calicoPolicy(kind, o, namespace, spec))
		}
	}
	for _, o := range snapshot.All[*partial.CalicoNetworkPolicy](s) {
		add(kindCalico, o, o.Namespace, &o.Spec)
	}
	for _, o := range snapshot.All[*partial.CalicoCRDNetworkPolicy](s) {
		add(kindCalicoCRD, o, o.Namespace, &o.Spec)
	}
	for _, o := range snapshot.All[*partial.CalicoGlobalNetworkPolicy](s) {
		add(kindCalicoGlobal, o, "", &o.Spec)
	}
	for _, o := range snapshot.All[*partial.CalicoCRDGlobalNetworkPolicy](s) {
		add(kindCalicoCRDGlobal, o, "", &o.Spec)
	}
	return out
}

func calicoPolicy(kind snapshot.Kind, o snapshot.Object, namespace string, spec *partial.CalicoPolicySpec) *Policy {
	p := &Policy{Kind: kind, Object: o, namespace: namespace, stage: mainStage, order: math.Inf(1)}
	if spec.Order != nil {
		p.order = *spec.Order
	}
	p.sides[Ingress].governs = slices.Contains(spec.Types, "Ingress") || len(spec.Types) == 0 && (len(spec.Ingress) > 0 || len(spec.Egress) == 0)
	p.sides[Egress].governs = slices.Contains(spec.Types, "Egress") || len(spec.Types) == 0 && len(spec.Egress) > 0
	notJudged := func(why string) *Policy {
		p.NotJudged = why
		p.sides[Ingress].rules, p.sides[Egress].rules = nil, nil
		return p
	}
	pods, errPods := calicoSelector(spec.Selector, calicoLabels)
	namespaces, errNamespaces := calicoSelector(spec.NamespaceSelector, calicoNamespaceLabels)
	p.selects = func(e *End) bool { return namespaces(e) && pods(e) }
	switch {
	case errPods != nil:
		return notJudged("spec.selector: " + errPods.Error())
	case errNamespaces != nil:
		return notJudged("spec.namespaceSelector: " + errNamespaces.Error())
	case spec.Tier != "" && spec.Tier != "default":
		return notJudged("spec.tier " + spec.Tier)
	case spec.ServiceAccountSelector != "":
		return notJudged("spec.serviceAccountSelector")
	case spec.ApplyOnForward || spec.PreDNAT || spec.DoNotTrack:
		return notJudged("it is about traffic of hosts")
	}
	for d, list := range [][]partial.CalicoRule{spec.Ingress, spec.Egress} {
		for i := range list {
			field := fmt.Sprintf("spec.%s[%d]", []string{"ingress", "egress"}[d], i)
			r, used, why := calicoRule(field, namespace, Direction(d), &list[i])
			if why != "" {
				return notJudged(why)
			}
			if used && p.sides[d].governs {
				p.sides[d].rules = append(p.sides[d].rules, r)
			}
		}
	}
	return p
}

// calicoRule compiles a rule, reports whether it is about TCP and decides anything, or says what in it is
// not evaluated here.
func calicoRule(field, namespace string, d Direction, r *partial.CalicoRule) (out Rule, used bool, why string) {
	out.Field = field
	switch strings.ToLower(r.Action) {
	case "allow":
	case "deny":
		out.action = deny
	case "pass":
		out.action = pass
	case "log":
		return out, false, ""
	default:
		return out, false, fmt.Sprintf("%s.action %q", field, r.Action)
	}
	from, to := &r.Source, &r.Destination
	if d == Egress {
		from, to = to, from // the peer, and the pod's own side
	}
	switch {
	case r.NotProtocol != nil:
		return out, false, field + ".notProtocol"
	case r.HTTP != nil:
		return out, false, field + ".http looks into requests, which are encrypted between ambient pods"
	case r.Protocol != nil && !calicoTCP(*r.Protocol):
		return out, false, ""
	case len(to.Nets)+len(to.NotNets) > 0 || to.Selector+to.NotSelector+to.NamespaceSelector != "" || to.ServiceAccounts != nil,
		len(from.NotNets) > 0 || from.NotSelector != "" || from.Services != nil,
		len(r.Source.Ports)+len(r.Source.NotPorts)+len(r.Destination.NotPorts) > 0,
		from.ServiceAccounts != nil && from.ServiceAccounts.Selector != "", len(from.Domains) > 0 && d == Ingress:
		return out, false, field + " says more than peers and ports"
	}
	if why := calicoPeers(&out, namespace, from); why != "" {
		return out, false, field + why
	}
	out.allPorts = len(r.Destination.Ports) == 0
	for _, p := range r.Destination.Ports {
		out.ports = append(out.ports, calicoPorts(p))
	}
	return out, true, ""
}

// calicoPeers reads the other end of a rule: all that is said of it has to hold at once.
func calicoPeers(out *Rule, namespace string, e *partial.CalicoEntityRule) string {
	pods, err := calicoSelector(e.Selector, calicoLabels)
	if err != nil {
		return ": selector: " + err.Error()
	}
	namespaces, err := calicoSelector(e.NamespaceSelector, calicoNamespaceLabels)
	if err != nil {
		return ": namespaceSelector: " + err.Error()
	}
	byLabels := e.Selector+e.NamespaceSelector != "" || e.ServiceAccounts != nil
	switch {
	case byLabels && len(e.Nets) > 0:
		return " names peers by labels and by address at once"
	case len(e.Nets) > 0:
		for _, n := range e.Nets {
			out.peers = append(out.peers, peer{block: parseBlock(n, nil, false)})
		}
	case byLabels:
		own := namespace != "" && e.NamespaceSelector == ""
		var accounts []string
		if e.ServiceAccounts != nil {
			accounts = e.ServiceAccounts.Names
		}
		out.peers = append(out.peers, peer{pods: func(x *End) bool {
			return namespaces(x) && pods(x) && (!own || x.Namespace == namespace) && (len(accounts) == 0 || slices.Contains(accounts, x.ServiceAccount))
		}})
	default:
		out.everybody = len(e.Domains) == 0
	}
	return ""
}

func calicoTCP(p intstr.IntOrString) bool {
	return p.Type == intstr.Int && p.IntVal == 6 || strings.EqualFold(p.StrVal, "TCP")
}

// calicoPorts reads a number, a range "from:to" or a name.
func calicoPorts(p intstr.IntOrString) ports {
	if p.Type == intstr.Int {
		return ports{from: p.IntVal, to: p.IntVal}
	}
	from, to, isRange := strings.Cut(p.StrVal, ":")
	a, errA := strconv.ParseInt(from, 10, 32)
	b, errB := strconv.ParseInt(to, 10, 32)
	switch {
	case isRange && errA == nil && errB == nil:
		return ports{from: int32(a), to: int32(b)}
	case !isRange && errA == nil:
		return ports{from: int32(a), to: int32(a)}
	}
	return ports{name: p.StrVal}
}

// calicoLabels are a pod's labels as Calico sees them.
func calicoLabels(e *End) labels.Set {
	out := labels.Set{"projectcalico.org/namespace": e.Namespace, "projectcalico.org/orchestrator": "k8s", "projectcalico.org/serviceaccount": e.ServiceAccount}
	for k, v := range e.NamespaceLabels {
		out["pcns."+k] = v
	}
	for k, v := range e.Labels {
		out[k] = v
	}
	return out
}

func calicoNamespaceLabels(e *End) labels.Set {
	out := labels.Set{"projectcalico.org/name": e.Namespace}
	for k, v := range e.NamespaceLabels {
		out[k] = v
	}
	return out
}
