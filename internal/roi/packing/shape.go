package packing

import (
	"encoding/json"
	"sort"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/component-helpers/scheduling/corev1/nodeaffinity"
)

// ruleKind is the kind of a placement rule between pods.
type ruleKind int8

const (
	spread ruleKind = iota
	affinity
	antiAffinity
)

// rule is one required placement rule, shared by every pod that states the same. Preferred rules are not modelled:
// the scheduler may break them, so they never hold a node.
type rule struct {
	kind       ruleKind
	key        string // topology key
	namespaces map[string]bool
	allNS      bool
	selector   labels.Selector
	maxSkew    int
	minDomains int
	// matched counts the pods the selector matches, by domain; owners (anti-affinity only) the pods that state the rule.
	matched, owners map[string]int
}

func (r *rule) selects(ns string, l labels.Set) bool {
	return (r.allNS || r.namespaces[ns]) && r.selector.Matches(l)
}

// shape is what all pods with equal labels and placement rules share.
type shape struct {
	namespace   string
	labels      labels.Set
	owned       []*rule // rules the pod states
	selfMatch   []bool  // whether it matches its own rule's selector
	matches     []*rule // rules whose selector matches it (they count it)
	repelled    []*rule // anti-affinity rules of other pods that match it
	required    nodeaffinity.RequiredNodeAffinity
	tolerations []corev1.Toleration
	ports       []hostPort
}

type hostPort struct {
	protocol corev1.Protocol
	port     int32
}

// shapes interns the placement rules of a set of pods.
type shapes struct {
	byKey   map[string]*shape
	ordered []*shape
	rules   map[string]*rule
	order   []*rule
	nsLabel map[string]map[string]string
}

func newShapes(nsLabels map[string]map[string]string) *shapes {
	return &shapes{byKey: map[string]*shape{}, rules: map[string]*rule{}, nsLabel: nsLabels}
}

// of returns the shape of a pod, interned.
func (s *shapes) of(pod *corev1.Pod) *shape {
	key := shapeKey(pod)
	if sh := s.byKey[key]; sh != nil {
		return sh
	}
	sh := &shape{namespace: pod.Namespace, labels: pod.Labels, required: nodeaffinity.GetRequiredNodeAffinity(pod),
		tolerations: pod.Spec.Tolerations}
	eachHostPort(pod, func(p hostPort) { sh.ports = append(sh.ports, p) })
	if a := pod.Spec.Affinity; a != nil {
		if a.PodAffinity != nil {
			for _, t := range a.PodAffinity.RequiredDuringSchedulingIgnoredDuringExecution {
				s.own(sh, affinity, t.TopologyKey, t.LabelSelector, s.namespacesOf(pod.Namespace, t), 0, 0, t.MatchLabelKeys)
			}
		}
		if a.PodAntiAffinity != nil {
			for _, t := range a.PodAntiAffinity.RequiredDuringSchedulingIgnoredDuringExecution {
				s.own(sh, antiAffinity, t.TopologyKey, t.LabelSelector, s.namespacesOf(pod.Namespace, t), 0, 0, t.MatchLabelKeys)
			}
		}
	}
	for _, c := range pod.Spec.TopologySpreadConstraints {
		if c.WhenUnsatisfiable != corev1.DoNotSchedule {
			continue
		}
		minDomains := 0
		if c.MinDomains != nil {
			minDomains = int(*c.MinDomains)
		}
		s.own(sh, spread, c.TopologyKey, c.LabelSelector, []string{pod.Namespace}, int(c.MaxSkew), minDomains, c.MatchLabelKeys)
	}
	s.byKey[key] = sh
	s.ordered = append(s.ordered, sh)
	return sh
}

// own adds a rule to a shape. matchLabelKeys narrow the selector to pods with the same values, which is how
// Deployments spread per revision.
func (s *shapes) own(sh *shape, kind ruleKind, key string, sel *metav1.LabelSelector, namespaces []string, skew, minDomains int, matchKeys []string) {
	if sel != nil && len(matchKeys) > 0 {
		sel = sel.DeepCopy()
		for _, k := range matchKeys {
			if v, ok := sh.labels[k]; ok {
				sel.MatchExpressions = append(sel.MatchExpressions,
					metav1.LabelSelectorRequirement{Key: k, Operator: metav1.LabelSelectorOpIn, Values: []string{v}})
			}
		}
	}
	selector, err := metav1.LabelSelectorAsSelector(sel)
	if err != nil {
		selector = labels.Nothing()
	}
	sort.Strings(namespaces)
	id := strings.Join([]string{string(rune('0' + kind)), key, strings.Join(namespaces, ","), selector.String(), itoa(skew), itoa(minDomains)}, "|")
	r := s.rules[id]
	if r == nil {
		r = &rule{kind: kind, key: key, selector: selector, maxSkew: skew, minDomains: minDomains,
			namespaces: map[string]bool{}, matched: map[string]int{}, owners: map[string]int{}}
		for _, ns := range namespaces {
			r.namespaces[ns] = true
			r.allNS = r.allNS || ns == "*"
		}
		s.rules[id] = r
		s.order = append(s.order, r)
	}
	sh.owned = append(sh.owned, r)
	sh.selfMatch = append(sh.selfMatch, r.selects(sh.namespace, sh.labels))
}

// link resolves which rules match which shapes; call it once all pods are interned.
func (s *shapes) link() {
	for _, sh := range s.ordered {
		sh.matches, sh.repelled = nil, nil
		for _, r := range s.order {
			if !r.selects(sh.namespace, sh.labels) {
				continue
			}
			sh.matches = append(sh.matches, r)
			if r.kind == antiAffinity {
				sh.repelled = append(sh.repelled, r)
			}
		}
	}
}

func (s *shapes) namespacesOf(own string, t corev1.PodAffinityTerm) []string {
	out := append([]string(nil), t.Namespaces...)
	if t.NamespaceSelector != nil {
		if len(t.NamespaceSelector.MatchLabels)+len(t.NamespaceSelector.MatchExpressions) == 0 {
			return []string{"*"}
		}
		if sel, err := metav1.LabelSelectorAsSelector(t.NamespaceSelector); err == nil {
			for ns, l := range s.nsLabel {
				if sel.Matches(labels.Set(l)) {
					out = append(out, ns)
				}
			}
		}
		return out
	}
	if len(out) == 0 {
		out = []string{own}
	}
	return out
}

// shapeKey is equal for pods that placement cannot tell apart.
func shapeKey(pod *corev1.Pod) string {
	var b strings.Builder
	b.WriteString(pod.Namespace)
	writeLabels(&b, pod.Labels)
	b.WriteByte('|')
	writeLabels(&b, pod.Spec.NodeSelector)
	b.WriteByte('|')
	if pod.Spec.Affinity != nil {
		j, _ := json.Marshal(pod.Spec.Affinity)
		b.Write(j)
	}
	b.WriteByte('|')
	if len(pod.Spec.TopologySpreadConstraints) > 0 {
		j, _ := json.Marshal(pod.Spec.TopologySpreadConstraints)
		b.Write(j)
	}
	b.WriteByte('|')
	for _, t := range pod.Spec.Tolerations {
		b.WriteString(t.Key + "=" + t.Value + string(t.Operator) + string(t.Effect) + ";")
	}
	b.WriteByte('|')
	eachHostPort(pod, func(p hostPort) { b.WriteString(string(p.protocol) + itoa(int(p.port)) + ";") })
	return b.String()
}

// eachHostPort visits the host ports of containers that run as long as the pod does: native sidecars are among the init containers.
func eachHostPort(pod *corev1.Pod, visit func(hostPort)) {
	ports := func(c *corev1.Container) {
		for _, p := range c.Ports {
			if p.HostPort != 0 {
				visit(hostPort{p.Protocol, p.HostPort})
			}
		}
	}
	for i := range pod.Spec.Containers {
		ports(&pod.Spec.Containers[i])
	}
	for i := range pod.Spec.InitContainers {
		if c := &pod.Spec.InitContainers[i]; c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways {
			ports(c)
		}
	}
}

func writeLabels(b *strings.Builder, m map[string]string) {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	for _, k := range keys {
		b.WriteByte(';')
		b.WriteString(k)
		b.WriteByte('=')
		b.WriteString(m[k])
	}
}

// tolerates applies taints as the scheduler does: only NoSchedule and NoExecute keep pods away. The numeric operators
// (an alpha feature) are read as not tolerating, which errs towards more nodes.
func (sh *shape) tolerates(taints []corev1.Taint) bool {
	for i := range taints {
		t := &taints[i]
		if t.Effect == corev1.TaintEffectPreferNoSchedule {
			continue
		}
		if !toleratedBy(sh.tolerations, t) {
			return false
		}
	}
	return true
}

func toleratedBy(tolerations []corev1.Toleration, taint *corev1.Taint) bool {
	for i := range tolerations {
		t := &tolerations[i]
		if t.Effect != "" && t.Effect != taint.Effect || t.Key != "" && t.Key != taint.Key {
			continue
		}
		switch t.Operator {
		case corev1.TolerationOpExists:
			return true
		case "", corev1.TolerationOpEqual:
			if t.Key != "" && t.Value == taint.Value {
				return true
			}
		}
	}
	return false
}
