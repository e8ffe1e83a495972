package mesh

import (
	"slices"
	"strconv"

	"github.com/sidestep-mesh/sidestep/internal/snapshot"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// decideMode fixes the mode in effect and the one after a restart. What pods show comes first: labels
// say what somebody wished, and the difference is what a migration trips over.
func (b *builder) decideMode(w *Workload) {
	ns := b.namespaceOf(w.Namespace)
	w.NamespaceKnown = ns.object != nil
	if w.Template == nil {
		b.decideVM(w)
		return
	}
	inj := b.injectionOf(w, ns)
	w.AfterRestart, w.AfterRestartWhy = b.derivedMode(w, ns, inj)
	if w.Role != Application {
		w.Mode, w.AfterRestart = None, None
		w.Why = []Because{{Text: "part of the mesh itself (" + string(w.Role) + "): its proxy is no sidecar", Evidence: Evidence{Object: w.Ref}}}
		w.AfterRestartWhy = w.Why
		b.readProxy(w, inj)
		return
	}
	if w.Derived {
		w.Mode, w.Why = w.AfterRestart, w.AfterRestartWhy
	} else {
		b.observeMode(w, ns)
	}
	b.readProxy(w, inj)
}

// observeMode reads the mode from live pods. Where they differ the workload counts as the mode that
// has most to lose: sidecar before ambient before none.
func (b *builder) observeMode(w *Workload, ns *namespace) {
	var sidecar, ambient, none *snapshot.Pod
	for _, p := range w.Pods {
		switch b.podMode(p, ns) {
		case Sidecar:
			w.PodModes.Sidecar++
			sidecar = firstPod(sidecar, p)
		case Ambient:
			w.PodModes.Ambient++
			ambient = firstPod(ambient, p)
			if p.Annotations[AnnotationRedirection] == RedirectionPending {
				w.PodModes.Pending++
			}
		default:
			w.PodModes.None++
			none = firstPod(none, p)
		}
	}
	total := len(w.Pods)
	add := func(n int, p *snapshot.Pod, text, field, value string) {
		if n > 0 {
			w.Why = append(w.Why, Because{Text: strconv.Itoa(n) + " of " + strconv.Itoa(total) + " pods " + text,
				Evidence: evidence(Ref{Kind: kPod, Namespace: p.Namespace, Name: p.Name}, field, value)})
		}
	}
	if n := w.PodModes.Sidecar; n > 0 {
		add(n, sidecar, "have a sidecar", sidecarField(sidecar), "")
	}
	if n := w.PodModes.Ambient; n > 0 {
		add(n, ambient, "are enrolled in ambient mode", annotationField(AnnotationRedirection), ambient.Annotations[AnnotationRedirection])
	}
	if n := w.PodModes.None; n > 0 {
		add(n, none, "have neither sidecar nor redirection", "", "")
	}
	switch {
	case w.PodModes.Sidecar > 0:
		w.Mode = Sidecar
		w.Proxy.Mixed = w.PodModes.Sidecar < total
	case w.PodModes.Ambient > 0:
		w.Mode = Ambient
	default:
		w.Mode = None
	}
}

func firstPod(have, p *snapshot.Pod) *snapshot.Pod {
	if have != nil {
		return have
	}
	return p
}

// podMode is the mode that one live pod is in.
func (b *builder) podMode(p *snapshot.Pod, ns *namespace) Mode {
	if sidecarKindOf(p) != NoSidecar {
		return Sidecar
	}
	switch {
	case p.Spec.HostNetwork, windowsField(p.Spec) != "":
		// Redirection needs a network namespace of its own. istio-cni 1.27 to 1.30 did not check before it
		// annotated (release note 61168), so the annotation proves nothing here.
		return None
	case p.Annotations[AnnotationRedirection] != "":
		return Ambient
	case p.Status.Phase == corev1.PodPending && b.enrols(p.Namespace, ns.labels, p.Labels):
		return Ambient // istio-cni annotates when the network is set up, before containers start
	}
	return None
}

// sidecarKindOf finds the proxy of a live pod: an annotation that the injector writes, or the container
// itself, among the containers or, as a native sidecar, among the init containers.
func sidecarKindOf(p *snapshot.Pod) SidecarKind {
	for _, c := range p.Spec.InitContainers {
		if c.Name == ProxyContainer && c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways {
			return NativeSidecar
		}
	}
	if slices.ContainsFunc(p.Spec.Containers, func(c corev1.Container) bool { return c.Name == ProxyContainer }) {
		return ClassicSidecar
	}
	if _, ok := p.Annotations[AnnotationStatus]; ok {
		return ClassicSidecar // renamed by a custom template; istio-cni goes by the annotation too
	}
	return NoSidecar
}

func sidecarField(p *snapshot.Pod) string {
	if _, ok := p.Annotations[AnnotationStatus]; ok {
		return annotationField(AnnotationStatus)
	}
	if sidecarKindOf(p) == NativeSidecar {
		return "spec.initContainers[" + ProxyContainer + "]"
	}
	return "spec.containers[" + ProxyContainer + "]"
}

// derivedMode is the mode that a new pod would get, by injection and then by enrolment: a pod that the
// injector took is never enrolled (cni/pkg/util/enablement_selector.go podHasSidecar).
func (b *builder) derivedMode(w *Workload, ns *namespace, inj injection) (Mode, []Because) {
	why := inj.why
	if ns.object == nil && !w.Assumed {
		why = append(slices.Clip(why), Because{Text: "the Namespace object is not in the input, so its labels are not known and none are assumed", Evidence: Evidence{Object: ns.ref}})
	}
	if kind := templateSidecar(w.Template); kind != NoSidecar && w.Kind != kPod && !w.orphan {
		return Sidecar, append([]Because{{Text: "the template already holds a sidecar", Evidence: evidence(w.Ref, w.templateField("spec"), ProxyContainer)}}, why...)
	}
	if w.Kind == kPod && w.Derived && len(w.Pods) == 1 && sidecarKindOf(w.Pods[0]) != NoSidecar {
		return Sidecar, append([]Because{{Text: "the pod already holds a sidecar", Evidence: evidence(w.Ref, sidecarField(w.Pods[0]), "")}}, why...)
	}
	if inj.inject {
		return Sidecar, why
	}
	if w.Template.Spec.HostNetwork || windowsField(&w.Template.Spec) != "" {
		return None, why
	}
	for _, owner := range []struct {
		ref    Ref
		labels map[string]string
		field  string
	}{{w.Ref, w.Template.Labels, w.templateField(labelField(LabelDataplaneMode))}, {ns.ref, ns.labels, labelField(LabelDataplaneMode)}} {
		if v, ok := owner.labels[LabelDataplaneMode]; ok {
			why = append(why, Because{Text: "label " + LabelDataplaneMode + "=" + v, Evidence: evidence(owner.ref, owner.field, v)})
		}
	}
	if !b.enrols(w.Namespace, ns.labels, w.Template.Labels) {
		return None, why
	}
	s := &b.mesh.Settings
	if s.IstiodFound && !s.AmbientEnabled && !s.CNIFound && !s.ZtunnelFound && !b.assume.ambient {
		return None, append(why, Because{Text: "the control plane has ambient mode off (PILOT_ENABLE_AMBIENT), so the label has no effect", Evidence: Evidence{Object: ns.ref}})
	}
	return Ambient, why
}

// enrols is istio-cni's rule for a pod without sidecar: its configured selectors (1.27 on), else the
// default ones. Excluded namespaces count from 1.30 on (release note 59295).
func (b *builder) enrols(name string, ns, pod map[string]string) bool {
	if s := &b.mesh.Settings; (s.Minor == 0 || s.Minor >= 30) && slices.Contains(s.ExcludedNamespaces, name) {
		return false
	}
	if b.enablement == nil {
		return EnrolledByLabels(ns, pod)
	}
	return slices.ContainsFunc(b.enablement, func(e enablement) bool {
		return e.pods.Matches(labels.Set(pod)) && e.namespaces.Matches(labels.Set(ns))
	})
}

// decideVM settles a workload outside Kubernetes: it has an agent when it says so by label, or has an
// identity (pilot/pkg/serviceregistry/serviceentry/conversion.go, TLS mode of a WorkloadEntry).
func (b *builder) decideVM(w *Workload) {
	w.Derived = true
	mode := None
	reason := Because{Text: "no service account and no TLS mode: an endpoint without proxy", Evidence: Evidence{Object: w.Ref}}
	tls, labelled := w.Labels[LabelTLSMode]
	switch {
	case w.Kind == kWorkloadGroup:
		mode, reason.Text = Sidecar, "a virtual machine that registers itself runs the agent"
	case labelled && tls != "disabled":
		mode, reason = Sidecar, Because{Text: "the entry declares mutual TLS", Evidence: evidence(w.Ref, labelField(LabelTLSMode), tls)}
	case !labelled && w.account != "":
		mode, reason = Sidecar, Because{Text: "the entry has an identity", Evidence: evidence(w.Ref, "spec.serviceAccount", w.account)}
	}
	w.Mode, w.AfterRestart = mode, mode
	w.Why = []Because{reason}
	w.AfterRestartWhy = w.Why
	if mode == Sidecar {
		w.Proxy.Kind = ClassicSidecar
		w.Proxy.HBONE = w.Labels[LabelTunnel] == TunnelHTTP
	}
}
