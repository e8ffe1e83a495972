package mesh

import (
	"slices"

	"github.com/sidestep-mesh/sidestep/internal/snapshot"
	extensionsv1alpha1 "istio.io/client-go/pkg/apis/extensions/v1alpha1"
	networkingv1 "istio.io/client-go/pkg/apis/networking/v1"
	networkingv1alpha3 "istio.io/client-go/pkg/apis/networking/v1alpha3"
	networkingv1beta1 "istio.io/client-go/pkg/apis/networking/v1beta1"
	securityv1 "istio.io/client-go/pkg/apis/security/v1"
	telemetryv1 "istio.io/client-go/pkg/apis/telemetry/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

type selector = labels.Selector

// compileAll compiles label selectors, leaving out empty and invalid ones as the injector does.
func compileAll(list []metav1.LabelSelector) []selector {
	var out []selector
	for i := range list {
		if s, err := metav1.LabelSelectorAsSelector(&list[i]); err == nil && !s.Empty() {
			out = append(out, s)
		}
	}
	return out
}

// workloadIndex finds the workloads that a matchLabels selector selects, without comparing every
// selector with every pod: a selector looks up its rarest label and checks the rest there.
//
// Only label keys that some selector of the snapshot uses are indexed. Pods of one workload that agree
// on those keys share an entry, so 100,000 pods cost about as many entries as there are workloads.
type workloadIndex struct {
	keys        map[string]bool
	entries     []indexEntry
	byLabel     map[labelKey][]int32
	byNamespace map[string][]*Workload
	namespaces  []string
}

type indexEntry struct {
	workload *Workload
	labels   map[string]string
}

type labelKey struct{ namespace, key, value string }

// selectorKeys gathers every label key that a selector of the snapshot uses.
func selectorKeys(s *snapshot.Snapshot) map[string]bool {
	keys := map[string]bool{}
	add := func(m map[string]string) {
		for k := range m {
			keys[k] = true
		}
	}
	for _, o := range snapshot.All[*corev1.Service](s) {
		add(o.Spec.Selector)
	}
	for _, o := range snapshot.All[*networkingv1.ServiceEntry](s) {
		add(o.Spec.GetWorkloadSelector().GetLabels())
	}
	for _, o := range snapshot.All[*securityv1.AuthorizationPolicy](s) {
		add(o.Spec.GetSelector().GetMatchLabels())
	}
	for _, o := range snapshot.All[*securityv1.RequestAuthentication](s) {
		add(o.Spec.GetSelector().GetMatchLabels())
	}
	for _, o := range snapshot.All[*securityv1.PeerAuthentication](s) {
		add(o.Spec.GetSelector().GetMatchLabels())
	}
	for _, o := range snapshot.All[*telemetryv1.Telemetry](s) {
		add(o.Spec.GetSelector().GetMatchLabels())
	}
	for _, o := range snapshot.All[*extensionsv1alpha1.WasmPlugin](s) {
		add(o.Spec.GetSelector().GetMatchLabels())
	}
	for _, o := range snapshot.All[*extensionsv1alpha1.TrafficExtension](s) {
		add(o.Spec.GetSelector().GetMatchLabels())
	}
	for _, o := range snapshot.All[*networkingv1alpha3.EnvoyFilter](s) {
		add(o.Spec.GetWorkloadSelector().GetLabels())
	}
	for _, o := range snapshot.All[*networkingv1beta1.ProxyConfig](s) {
		add(o.Spec.GetSelector().GetMatchLabels())
	}
	for _, o := range snapshot.All[*networkingv1.Sidecar](s) {
		add(o.Spec.GetWorkloadSelector().GetLabels())
	}
	for _, o := range snapshot.All[*networkingv1.DestinationRule](s) {
		add(o.Spec.GetWorkloadSelector().GetMatchLabels())
	}
	for _, o := range snapshot.All[*networkingv1.VirtualService](s) {
		for _, m := range sourceMatches(o) {
			add(m.labels)
		}
	}
	return keys
}

// indexWorkloads builds the index over workloads that are already sorted, with the old pods that some still have.
func indexWorkloads(keys map[string]bool, workloads []*Workload, old map[Ref][]PodSet) *workloadIndex {
	x := &workloadIndex{keys: keys, byLabel: map[labelKey][]int32{}, byNamespace: map[string][]*Workload{}}
	for _, w := range workloads {
		if len(x.byNamespace[w.Namespace]) == 0 {
			x.namespaces = append(x.namespaces, w.Namespace)
		}
		x.byNamespace[w.Namespace] = append(x.byNamespace[w.Namespace], w)
		first := len(x.entries)
		for _, s := range old[w.Ref] {
			x.add(w, s.Labels)
		}
		if len(w.Pods) == 0 {
			x.add(w, w.Labels)
			continue
		}
		for _, p := range w.Pods {
			if !slices.ContainsFunc(x.entries[first:], func(e indexEntry) bool { return x.agree(e.labels, p.Labels) }) {
				x.add(w, p.Labels)
			}
		}
	}
	slices.Sort(x.namespaces)
	return x
}

// agree tells that two label sets are the same to every selector.
func (x *workloadIndex) agree(a, b map[string]string) bool {
	for k := range a {
		if x.keys[k] && b[k] != a[k] {
			return false
		}
	}
	for k := range b {
		if _, has := a[k]; !has && x.keys[k] {
			return false
		}
	}
	return true
}

func (x *workloadIndex) add(w *Workload, labels map[string]string) {
	i := int32(len(x.entries))
	x.entries = append(x.entries, indexEntry{w, labels})
	for k, v := range labels {
		if x.keys[k] {
			key := labelKey{w.Namespace, k, v}
			x.byLabel[key] = append(x.byLabel[key], i)
		}
	}
}

// match returns the workloads of a namespace with a pod that has every label, in the order of
// Mesh.Workloads. An empty selector selects all.
func (x *workloadIndex) match(namespace string, want map[string]string) []*Workload {
	if len(want) == 0 {
		return x.byNamespace[namespace]
	}
	var rarest []int32
	found := false
	for k, v := range want {
		list := x.byLabel[labelKey{namespace, k, v}]
		if !found || len(list) < len(rarest) {
			rarest, found = list, true
		}
	}
	var out []*Workload
	for _, i := range rarest {
		e := x.entries[i]
		if hasAll(e.labels, want) && (len(out) == 0 || out[len(out)-1] != e.workload) {
			out = append(out, e.workload)
		}
	}
	return out
}

// matchAll is match over every namespace.
func (x *workloadIndex) matchAll(want map[string]string) []*Workload {
	var out []*Workload
	for _, ns := range x.namespaces {
		out = append(out, x.match(ns, want)...)
	}
	return out
}

func hasAll(have, want map[string]string) bool {
	for k, v := range want {
		if got, ok := have[k]; !ok || got != v {
			return false
		}
	}
	return true
}
