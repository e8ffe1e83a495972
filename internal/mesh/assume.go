package mesh

import (
	"cmp"
	"maps"
	"slices"
	"strconv"

	"github.com/sidestep-mesh/sidestep/internal/snapshot"
	corev1 "k8s.io/api/core/v1"
)

// Assume is what the facts of a supposed state rest on besides the objects: pods are facts of a cluster that no manifest says.
// The zero Assume is the state as it is.
type Assume struct {
	// Restarted names workloads whose pods were all made anew: their mode, sidecar, HBONE and labels are those of
	// their template, whatever the pods in the snapshot show. Without pods in the input the template speaks for them anyway.
	// Only applications restart; gateways and waypoints stay as they are.
	Restarted []Ref
	// Old are pods that still run beside the new ones of a workload, as Workload.Sets of the state before has them. A workload
	// that it names counts as restarted, and then has both.
	Old map[Ref][]PodSet
	// Ready names Gateways of a waypoint class that count as programmed and as having a ready pod; see ReadyWaypoints.
	Ready []Ref
	// AmbientInstalled supposes ztunnel, istio-cni and istiod's ambient mode in place where the snapshot shows none.
	AmbientInstalled bool
}

// Generation says which side of a restart pods are on.
type Generation string

// Generations. Pods are Current where no restart is supposed or none is under way.
const (
	Current Generation = ""
	Old     Generation = "old"
	New     Generation = "new"
)

// PodSet are pods of one workload that the mesh treats alike: one mode, one sort of sidecar, labels that no selector tells
// apart.
type PodSet struct {
	Generation Generation
	Mode       Mode
	// HBONE tells that their sidecar listens on HBONE; it has no meaning in other modes.
	HBONE bool
	// NoHBONESend tells that their proxy does not send HBONE.
	NoHBONESend bool
	// Labels and Annotations are those of the pods, the injector's included.
	Labels, Annotations map[string]string
	// Pods are live ones, none where the set is made from a template.
	Pods []*snapshot.Pod
}

// assumed are the Assume's lists, for look-ups.
type assumed struct {
	restarted map[Ref]bool
	old       map[Ref][]PodSet
	ready     map[Ref]bool
	ambient   bool
}

func (a Assume) index() assumed {
	set := func(list []Ref) map[Ref]bool {
		out := make(map[Ref]bool, len(list))
		for _, r := range list {
			out[r] = true
		}
		return out
	}
	out := assumed{restarted: set(a.Restarted), old: a.Old, ready: set(a.Ready), ambient: a.AmbientInstalled}
	for r := range a.Old {
		out.restarted[r] = true
	}
	return out
}

// restart forgets the pods of an application that was restarted. A workload whose owner the snapshot lacks has its pods' word for
// its template, which holds what the injector wrote; that goes, since a new pod gets it only if it is injected again.
func (b *builder) restart(w *Workload) {
	if !b.assume.restarted[w.Ref] || w.Role != Application {
		return
	}
	if w.Template != nil && (w.orphan || w.Kind == kPod) {
		w.Template = b.withoutInjection(w)
		w.Labels, w.Annotations = w.Template.Labels, w.Template.Annotations
		w.HostNetwork = w.Template.Spec.HostNetwork
	}
	w.Pods = nil
}

// withoutInjection returns the template of a workload, as a pod shows it, without what the injector added to the pod.
func (b *builder) withoutInjection(w *Workload) *corev1.PodTemplateSpec {
	t := w.Template.DeepCopy()
	if templateSidecar(t) == NoSidecar && proxyContainer(t.Spec.Containers) == nil && proxyContainer(t.Spec.InitContainers) == nil {
		return t
	}
	added := func(c corev1.Container) bool {
		return c.Name == ProxyContainer || slices.Contains(injectedInit, c.Name)
	}
	t.Spec.Containers = slices.DeleteFunc(t.Spec.Containers, added)
	t.Spec.InitContainers = slices.DeleteFunc(t.Spec.InitContainers, added)
	for _, name := range []string{AnnotationStatus, AnnotationRevision} {
		delete(t.Annotations, name)
	}
	delete(t.Labels, LabelTLSMode)
	delete(t.Labels, LabelTunnel)
	plain := without(t.Labels, LabelCanonicalName, LabelCanonicalRevision)
	for key, value := range injectedLabels(w.Ref, plain, false) {
		if t.Labels[key] == value { // somebody's own value stays
			delete(t.Labels, key)
		}
	}
	return t
}

// podSets parts the pods of a workload into those that are alike.
func (b *builder) podSets(w *Workload) {
	old := b.assume.old[w.Ref]
	for _, s := range old {
		s.Generation = Old
		w.Sets = append(w.Sets, s)
	}
	if w.Derived || w.Template == nil || len(w.Pods) == 0 {
		s := PodSet{Mode: w.Mode, HBONE: w.Proxy.HBONE, NoHBONESend: w.Proxy.NoHBONESend, Labels: w.Labels, Annotations: w.Annotations, Pods: w.Pods}
		if len(old) > 0 {
			s.Generation = New
		}
		w.Sets = append(w.Sets, s)
		return
	}
	ns := b.namespaceOf(w.Namespace)
	for _, p := range w.Pods {
		mode, hbone, plain := w.Mode, w.Proxy.HBONE, w.Proxy.NoHBONESend
		if w.Role == Application {
			mode = b.podMode(p, ns)
			hbone, plain = mode == Sidecar && podHBONE(p), mode == Sidecar && podSendsPlain(p)
		}
		i := slices.IndexFunc(w.Sets, func(s PodSet) bool {
			return s.Mode == mode && s.HBONE == hbone && s.NoHBONESend == plain && b.index.agree(s.Labels, p.Labels)
		})
		if i < 0 {
			w.Sets = append(w.Sets, PodSet{Mode: mode, HBONE: hbone, NoHBONESend: plain, Labels: p.Labels, Annotations: p.Annotations})
			i = len(w.Sets) - 1
		}
		w.Sets[i].Pods = append(w.Sets[i].Pods, p)
	}
}

// setName tells the sets of one workload apart; it is empty where there is but one. The same pods have the same name in
// every state that has the others beside them.
func (w *Workload) setName(i int) string {
	if len(w.Sets) == 1 {
		return ""
	}
	s := &w.Sets[i]
	name := string(s.Generation)
	if s.Generation == Current {
		name = string(s.Mode)
		if s.HBONE {
			name += ", HBONE"
		}
	}
	n := 1
	for j := range w.Sets[:i] {
		if o := &w.Sets[j]; o.Generation == s.Generation && (s.Generation != Current || o.Mode == s.Mode && o.HBONE == s.HBONE) {
			n++
		}
	}
	if n > 1 {
		name += " " + strconv.Itoa(n)
	}
	return name
}

// podHBONE reports whether a live pod's sidecar listens on HBONE.
func podHBONE(p *snapshot.Pod) bool {
	if p.Labels[LabelTunnel] == TunnelHTTP {
		return true
	}
	c := podProxyContainer(p)
	return c != nil && envOf(c, envEnableHBONE) == "true"
}

// podSendsPlain reports whether a live pod's proxy does not send HBONE. The agent takes any boolean (pkg/model/proxy.go StringBool).
func podSendsPlain(p *snapshot.Pod) bool {
	c := podProxyContainer(p)
	return c != nil && isTrue(envOf(c, envDisableHBONE))
}

func podProxyContainer(p *snapshot.Pod) *corev1.Container {
	if c := proxyContainer(p.Spec.Containers); c != nil {
		return c
	}
	return proxyContainer(p.Spec.InitContainers)
}

func isTrue(text string) bool {
	yes, _ := strconv.ParseBool(text) // what is no boolean is false
	return yes
}

// inject gives a workload whose pods are not seen the labels that the injector would write on them, where it injects
// (files/injection-template.yaml). The template's own win.
func (w *Workload) inject() {
	if !w.Derived || w.Mode != Sidecar || w.Template == nil || w.Role != Application {
		return
	}
	w.Labels = merged(injectedLabels(w.Ref, w.Labels, w.Proxy.HBONE), w.Labels)
}

func injectedLabels(of Ref, labels map[string]string, hbone bool) map[string]string {
	out := map[string]string{
		LabelTLSMode:           "istio",
		LabelCanonicalName:     cmp.Or(labels[labelAppName], labels[LabelApp], of.Name),
		LabelCanonicalRevision: cmp.Or(labels[labelVersion], labels[labelVersionOfPods], "latest"),
	}
	if hbone {
		out[LabelTunnel] = TunnelHTTP
	}
	return out
}

// InjectedLabels are the keys of labels that only the injector writes: they are gone when a pod is made without it.
func InjectedLabels() []string {
	return []string{LabelTLSMode, LabelCanonicalName, LabelCanonicalRevision, LabelTunnel}
}

// without returns a map without keys, the map itself where it has none of them.
func without(m map[string]string, keys ...string) map[string]string {
	if !slices.ContainsFunc(keys, func(k string) bool { _, ok := m[k]; return ok }) {
		return m
	}
	out := maps.Clone(m)
	for _, k := range keys {
		delete(out, k)
	}
	return out
}

// ReadyWaypoints names every waypoint Gateway of a mesh, for an Assume that supposes them all at work.
func (m *Mesh) ReadyWaypoints() []Ref {
	out := make([]Ref, 0, len(m.Waypoints))
	for _, w := range m.Waypoints {
		out = append(out, w.Ref)
	}
	return out
}
