package route

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	apinetworking "istio.io/api/networking/v1alpha3"
	networkingv1 "istio.io/client-go/pkg/apis/networking/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// A route of the Gateway API knows no subsets: each becomes a Service that selects the pods of its version, with a
// DestinationRule where the subset or its rule has a policy.

// version is a Service for the pods of a subset.
type version struct{ namespace, name string }

// version finds or makes a Service for a subset: one that has the same pods, port and policy, or a new one.
func (t *translation) version(d Destination, _ uint32) (version, bool) {
	w, target := t.world, d.Target
	key := target.Host + "|" + target.Subset
	if v, ok := t.versions[key]; ok {
		return v, true
	}
	s := w.service(target.Host, t.virtual.namespace)
	if s == nil || s.Ref.Kind != "Service" || target.Missing {
		t.lose(d.Origin, fmt.Sprintf("there is nothing behind subset %s of %s that a Service could select", target.Subset, target.Host), "a Service for the pods that are meant")
		return version{}, false
	}
	who := client{namespace: s.Ref.Namespace}
	p, _ := s.port(target.Port)
	policy, chosen, ok := w.policy(s, target.Host, p, target.Subset, who)
	if !ok || len(s.Selector) == 0 {
		t.lose(d.Origin, fmt.Sprintf("subset %s is not one that the waypoint of %s can see", target.Subset, s.Ref), "a Service for the pods that are meant")
		return version{}, false
	}
	for i := range w.Services {
		x := &w.Services[i]
		q, has := x.port(target.Port)
		if x.Ref.Kind != "Service" || x.Ref.Namespace != s.Ref.Namespace || !has || x.Ref == s.Ref {
			continue
		}
		same := Target{Host: x.Hosts[0]}
		w.endpoints(&same, x, q, nil)
		own, _, _ := w.policy(x, x.Hosts[0], q, "", who)
		if same.Key == target.Key && slices.Equal(own.texts(), policy.texts()) {
			v := version{x.Ref.Namespace, x.Ref.Name}
			t.versions[key] = v
			return v, true
		}
	}
	v := version{s.Ref.Namespace, t.freeName(s.Ref.Namespace, s.Ref.Name+"-"+target.Subset)}
	t.versions[key] = v
	t.makeVersion(s, v, chosen)
	return v, true
}

// freeName is a name that no Service of the namespace has.
func (t *translation) freeName(namespace, name string) string {
	name = strings.Trim(strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '-' {
			return r
		}
		return '-'
	}, strings.ToLower(name)), "-")
	if len(name) > 58 {
		name = strings.Trim(name[:58], "-")
	}
	taken := func(n string) bool {
		return slices.ContainsFunc(t.world.Services, func(s Service) bool { return s.Ref.Namespace == namespace && s.Ref.Name == n }) ||
			slices.ContainsFunc(t.added, func(s Service) bool { return s.Ref.Namespace == namespace && s.Ref.Name == n })
	}
	for i, n := 2, name; ; i++ {
		if !taken(n) {
			return n
		}
		n = fmt.Sprintf("%s-%d", name, i)
	}
}

func serviceObject(v version, s *Service, selector map[string]string) *corev1.Service {
	out := &corev1.Service{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Service"}, ObjectMeta: metav1.ObjectMeta{Name: v.name, Namespace: v.namespace},
		Spec: corev1.ServiceSpec{Selector: selector}}
	for _, p := range s.Ports {
		out.Spec.Ports = append(out.Spec.Ports, corev1.ServicePort{Name: p.Name, Port: int32(p.Number), TargetPort: targetPort(p.Target)})
	}
	return out
}

func targetPort(target string) intstr.IntOrString {
	if n, err := strconv.Atoi(target); err == nil {
		return intstr.FromInt(n)
	}
	return intstr.FromString(target)
}

// makeVersion creates the Service of a subset, and its policy.
func (t *translation) makeVersion(s *Service, v version, chosen *subset) {
	w := t.world
	selector := maps.Clone(s.Selector)
	maps.Copy(selector, chosen.GetLabels())
	t.out.Objects = append(t.out.Objects, serviceObject(v, s, selector))
	host := v.name + "." + v.namespace + ".svc." + w.Config.ClusterDomain
	made := Service{Ref: Ref{Kind: "Service", Namespace: v.namespace, Name: v.name}, Hosts: []string{host}, Ports: s.Ports, Selector: selector,
		ExportTo: s.ExportTo, Distribution: s.Distribution}
	for _, i := range s.Workloads {
		switch all, some := w.Workloads[i].selected(chosen.GetLabels()); {
		case all:
			made.Workloads = append(made.Workloads, i)
		case some:
			t.lose(Origin{chosen.origin.Object, chosen.origin.Field + ".labels"}, w.Workloads[i].Ref.String()+" has pods of several kinds, of which this subset is one",
				"nothing: the new Service selects the same pods, but the comparison cannot show it")
		}
	}
	t.added = append(t.added, made)
	m := effective(w.rulesFor(s, s.Hosts[0], client{namespace: s.Ref.Namespace}), client{namespace: s.Ref.Namespace})
	policy := overlaid(m.policy, chosen.GetTrafficPolicy())
	if policy == nil {
		return
	}
	rule := &networkingv1.DestinationRule{TypeMeta: metav1.TypeMeta{APIVersion: istioGroup + "/v1", Kind: "DestinationRule"},
		ObjectMeta: metav1.ObjectMeta{Name: v.name, Namespace: v.namespace}}
	rule.Spec.Host, rule.Spec.TrafficPolicy = host, policy
	t.out.Objects = append(t.out.Objects, rule)
	t.addedRules = append(t.addedRules, rule)
}

// overlaid is the policy of a subset written as one of its own: what it leaves open is its rule's.
func overlaid(rule, own *apinetworking.TrafficPolicy) *apinetworking.TrafficPolicy {
	if own == nil {
		return rule.DeepCopy()
	}
	if rule == nil {
		return own.DeepCopy()
	}
	out, o := rule.DeepCopy(), own.DeepCopy()
	lay := func(to **apinetworking.LoadBalancerSettings, lb *apinetworking.LoadBalancerSettings) {
		if lb != nil {
			*to = lb
		}
	}
	lay(&out.LoadBalancer, o.LoadBalancer)
	if o.ConnectionPool != nil {
		out.ConnectionPool = o.ConnectionPool
	}
	if o.OutlierDetection != nil {
		out.OutlierDetection = o.OutlierDetection
	}
	if o.Tls != nil {
		out.Tls = o.Tls
	}
	if o.Tunnel != nil {
		out.Tunnel = o.Tunnel
	}
	if o.ProxyProtocol != nil {
		out.ProxyProtocol = o.ProxyProtocol
	}
	if o.RetryBudget != nil {
		out.RetryBudget = o.RetryBudget
	}
	// A subset's own fields come before the rule's settings of a port.
	for _, p := range out.PortLevelSettings {
		lay(&p.LoadBalancer, o.LoadBalancer)
		if o.ConnectionPool != nil {
			p.ConnectionPool = o.ConnectionPool
		}
		if o.OutlierDetection != nil {
			p.OutlierDetection = o.OutlierDetection
		}
		if o.Tls != nil {
			p.Tls = o.Tls
		}
	}
	for _, p := range o.PortLevelSettings {
		same := func(x *apinetworking.TrafficPolicy_PortTrafficPolicy) bool {
			return x.GetPort().GetNumber() == p.GetPort().GetNumber()
		}
		out.PortLevelSettings = append(slices.DeleteFunc(out.PortLevelSettings, same), p)
	}
	return out
}
