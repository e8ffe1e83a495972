// Package netpol evaluates network policies: which TCP ports of a pod another pod, or an address, may open.
// It knows the APIs that a CNI enforces outside the pod: NetworkPolicy, AdminNetworkPolicy and its baseline,
// Cilium's and Calico's own kinds. It knows nothing of Istio.
package netpol

import (
	"cmp"
	"net/netip"
	"slices"

	"github.com/sidestep-mesh/sidestep/internal/snapshot"
	"k8s.io/apimachinery/pkg/labels"
)

// End is one end of a connection: a pod, or with Address set something that is no pod.
type End struct {
	Namespace       string
	Labels          labels.Set
	NamespaceLabels labels.Set
	ServiceAccount  string
	// IPs are the pod's addresses; none when they are not known.
	IPs []netip.Addr
	// Named are the named TCP ports.
	Named map[string]int32
	// Address is set for what is no pod, such as the source of a probe; the fields above then count for nothing.
	Address netip.Addr
}

// Direction is the side of a pod that a rule is about.
type Direction int

const (
	Ingress Direction = iota
	Egress
)

// Policy is one object, compiled: whom it selects, and what it says for each direction.
type Policy struct {
	Kind   snapshot.Kind
	Object snapshot.Object
	// NotJudged says why the policy is not evaluated, empty when it is. Such a policy has no rules.
	NotJudged string

	namespace string // empty for every namespace
	selects   func(*End) bool
	key       label // one label that it asks for, so that it is found without asking each pod
	stage     stage
	order     float64
	sides     [2]side
}

type label struct{ key, value string }

// side is what a policy says for one direction.
type side struct {
	governs bool // what no rule admits is refused
	rules   []Rule
}

// Governs reports whether the policy says anything for a direction.
func (p *Policy) Governs(d Direction) bool { return p.sides[d].governs || len(p.sides[d].rules) > 0 }

// Rules are those of one direction, in the order of the object.
func (p *Policy) Rules(d Direction) []Rule { return p.sides[d].rules }

// stage is the round in which a policy is asked: administrators first, the baseline last.
type stage int

const (
	adminStage stage = iota
	mainStage
	baselineStage
)

// action is what a rule does with what it matches.
type action int

const (
	allow action = iota
	deny
	pass // on to the next stage
)

// Rule is one rule of a policy.
type Rule struct {
	// Field is the path of the rule in its object.
	Field string

	action    action
	everybody bool // no peers are named: any end matches
	spelling  string
	peers     []peer
	allPorts  bool
	ports     []ports
}

// Allows reports whether the rule lets in what it matches.
func (r *Rule) Allows() bool { return r.action == allow }

// Everybody reports whether the rule names no peers.
func (r *Rule) Everybody() bool { return r.everybody }

// AllPorts reports whether the rule names no ports.
func (r *Rule) AllPorts() bool { return r.allPorts }

// ports is a range of TCP ports, or a name.
type ports struct {
	from, to int32
	name     string
}

// peer matches ends: pods by a function, or addresses by a block.
type peer struct {
	pods  func(*End) bool
	block *block
	other bool // everything that is no pod
}

// block is a CIDR without some parts of it.
type block struct {
	cidr   netip.Prefix
	except []netip.Prefix
	noPods bool // the CNI never takes a pod for an address (Cilium)
}

// Matches reports whether an end is among the rule's peers.
func (r *Rule) Matches(e *End) bool {
	return r.everybody || slices.ContainsFunc(r.peers, func(p peer) bool {
		switch {
		case p.block != nil:
			return p.block.matches(e)
		case e.Address.IsValid():
			return p.other
		}
		return p.pods != nil && p.pods(e)
	})
}

// Covers reports whether the rule is about a TCP port of a pod.
func (r *Rule) Covers(pod *End, port int32) bool {
	return r.allPorts || slices.ContainsFunc(r.ports, func(p ports) bool {
		if p.name != "" {
			return pod.Named[p.name] == port
		}
		return p.from <= port && port <= p.to
	})
}

// Ports lists the single ports that the rule names, those of names resolved at a pod, and the ends of ranges.
func (r *Rule) Ports(pod *End) []int32 {
	var out []int32
	for _, p := range r.ports {
		switch {
		case p.name != "":
			if n := pod.Named[p.name]; n != 0 {
				out = append(out, n)
			}
		case p.from == p.to:
			out = append(out, p.from)
		default:
			out = append(out, p.from, p.to)
		}
	}
	return out
}

// private are the blocks that clusters take their pods' addresses from where nothing else is known.
var private = []netip.Prefix{
	netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("172.16.0.0/12"), netip.MustParsePrefix("192.168.0.0/16"),
	netip.MustParsePrefix("100.64.0.0/10"), netip.MustParsePrefix("fc00::/7"),
}

// matches reports whether an end is in the block. A pod without known address may be, if the block has room
// for one in private address space.
func (b *block) matches(e *End) bool {
	has := func(a netip.Addr) bool {
		return b.cidr.Contains(a) && !slices.ContainsFunc(b.except, func(x netip.Prefix) bool { return x.Contains(a) })
	}
	switch {
	case e.Address.IsValid():
		return has(e.Address)
	case b.noPods:
		return false
	case len(e.IPs) > 0:
		return slices.ContainsFunc(e.IPs, has)
	}
	return slices.ContainsFunc(private, func(p netip.Prefix) bool {
		return b.cidr.Overlaps(p) && !slices.ContainsFunc(b.except, func(x netip.Prefix) bool {
			return x.Bits() <= max(p.Bits(), b.cidr.Bits()) && x.Overlaps(p)
		})
	})
}

// Set is every policy of a cluster.
type Set struct {
	policies []*Policy
	index    map[string]map[label][]*Policy // by namespace, empty for all, and by key
}

// Len is the number of policies.
func (s *Set) Len() int { return len(s.policies) }

func newSet(policies []*Policy) *Set {
	s := &Set{policies: policies, index: map[string]map[label][]*Policy{}}
	for _, p := range policies {
		if s.index[p.namespace] == nil {
			s.index[p.namespace] = map[label][]*Policy{}
		}
		s.index[p.namespace][p.key] = append(s.index[p.namespace][p.key], p)
	}
	return s
}

// Of returns the policies that select a pod, in the order in which they are asked.
func (s *Set) Of(pod *End) []*Policy {
	var out []*Policy
	for _, namespace := range []string{pod.Namespace, ""} {
		byKey := s.index[namespace]
		if len(byKey) == 0 {
			continue
		}
		take := func(l label) {
			for _, p := range byKey[l] {
				if p.selects(pod) {
					out = append(out, p)
				}
			}
		}
		take(label{})
		for k, v := range pod.Labels {
			take(label{k, v})
		}
	}
	slices.SortFunc(out, func(a, b *Policy) int {
		return cmp.Or(cmp.Compare(a.stage, b.stage), cmp.Compare(a.order, b.order),
			cmp.Compare(a.Object.GetNamespace(), b.Object.GetNamespace()), cmp.Compare(a.Object.GetName(), b.Object.GetName()), cmp.Compare(a.Kind.String(), b.Kind.String()))
	})
	return out
}

// Admits reports whether the policies that select a pod let a peer through at a TCP port, and by which
// rule; nil when no rule says so. In direction Ingress the port is the pod's own, in Egress it is the peer's.
func Admits(policies []*Policy, d Direction, pod, other *End, port int32) (bool, *Rule) {
	owner := pod
	if d == Egress {
		owner = other
	}
	for st := adminStage; st <= baselineStage; st++ {
		decided, admitted, rule, governed := decide(policies, st, d, owner, other, port)
		if decided {
			return admitted, rule
		}
		if governed && st == mainStage {
			return false, nil
		}
	}
	return true, nil
}

func decide(policies []*Policy, st stage, d Direction, owner, other *End, port int32) (decided, admitted bool, by *Rule, governed bool) {
	for _, p := range policies {
		if p.stage != st {
			continue
		}
		governed = governed || p.sides[d].governs
		for i := range p.sides[d].rules {
			r := &p.sides[d].rules[i]
			if !r.Covers(owner, port) || !r.Matches(other) {
				continue
			}
			if r.action == pass {
				return false, false, nil, false
			}
			return true, r.action == allow, r, governed
		}
	}
	return false, false, nil, governed
}

// Limited reports whether some policy governs a direction, so that what is not admitted is refused.
func Limited(policies []*Policy, d Direction) bool {
	return slices.ContainsFunc(policies, func(p *Policy) bool { return p.Governs(d) })
}

// SamePeers reports whether two rules name their peers in the same words, so that they match the same ends
// whoever these are.
func (r *Rule) SamePeers(o *Rule) bool { return r.spelling != "" && r.spelling == o.spelling }

// Outside reports whether the rule names addresses only, and none that a pod may have.
func (r *Rule) Outside() bool {
	return !r.everybody && !slices.ContainsFunc(r.peers, func(p peer) bool {
		return p.pods != nil || p.block != nil && p.block.matches(&End{})
	})
}
