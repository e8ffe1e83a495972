package mesh

import (
	"slices"
	"strings"

	"github.com/sidestep-mesh/sidestep/internal/snapshot"
	extensionsv1alpha1 "istio.io/client-go/pkg/apis/extensions/v1alpha1"
	networkingv1 "istio.io/client-go/pkg/apis/networking/v1"
	networkingv1alpha3 "istio.io/client-go/pkg/apis/networking/v1alpha3"
	networkingv1beta1 "istio.io/client-go/pkg/apis/networking/v1beta1"
	securityv1 "istio.io/client-go/pkg/apis/security/v1"
	telemetryv1 "istio.io/client-go/pkg/apis/telemetry/v1"
	corev1 "k8s.io/api/core/v1"
)

// AnnotationAssume is on a Namespace that stands for one that is not in the input, and says what its owner told of it.
const (
	AnnotationAssume = "sidestep.dev/assume"
	AssumeInjected   = "injected"
	AssumeNone       = "none"
)

// presumeInjection finds the namespaces whose object is not in the input, so that their labels are not known, and where something
// shows that their pods have sidecars. Workloads there are judged as if injected: to take them for outside the mesh would be
// optimism out of ignorance.
func (b *builder) presumeInjection() {
	for _, ns := range snapshot.All[*corev1.Namespace](b.snap) {
		if said := ns.Annotations[AnnotationAssume]; said != "" && said != AssumeNone {
			b.presume(ns.Name, "it was said to be injected", refOf(kindNamespace, ns))
		}
	}
	missing := map[string]bool{}
	for _, w := range b.mesh.Workloads {
		if _, known := snapshot.Get[*corev1.Namespace](b.snap, "", w.Namespace); !known && w.Role == Application && w.Template != nil {
			missing[w.Namespace] = true
		}
	}
	delete(missing, b.mesh.Settings.SystemNamespace)
	if len(missing) == 0 {
		return
	}
	hint := func(namespace string, o Ref, text string) {
		if missing[namespace] && b.presumed[namespace] == nil {
			b.presume(namespace, text, o)
		}
	}
	hintObjects[*networkingv1.VirtualService](b, kindVirtualService, hint)
	hintObjects[*networkingv1.DestinationRule](b, kindDestinationRule, hint)
	hintObjects[*networkingv1.ServiceEntry](b, kindServiceEntry, hint)
	hintObjects[*networkingv1.Sidecar](b, kindSidecar, hint)
	hintObjects[*networkingv1alpha3.EnvoyFilter](b, kindEnvoyFilter, hint)
	hintObjects[*networkingv1beta1.ProxyConfig](b, kindProxyConfig, hint)
	hintObjects[*securityv1.AuthorizationPolicy](b, kindAuthorizationPolicy, hint)
	hintObjects[*securityv1.RequestAuthentication](b, kindRequestAuthentication, hint)
	hintObjects[*securityv1.PeerAuthentication](b, kindPeerAuthentication, hint)
	hintObjects[*telemetryv1.Telemetry](b, kindTelemetry, hint)
	hintObjects[*extensionsv1alpha1.WasmPlugin](b, kindWasmPlugin, hint)
	hintObjects[*extensionsv1alpha1.TrafficExtension](b, kindTrafficExtension, hint)
	for _, s := range snapshot.All[*corev1.Service](b.snap) {
		if name := istioKey(s.Labels, s.Annotations); name != "" {
			hint(s.Namespace, refOf(kindService, s), "it has "+name)
		}
	}
	for _, w := range b.mesh.Workloads {
		if w.Role == Application && w.Template != nil && missing[w.Namespace] {
			b.hintOf(w, hint)
		}
	}
}

func hintObjects[T snapshot.Object](b *builder, kind snapshot.Kind, hint func(string, Ref, string)) {
	for _, o := range snapshot.All[T](b.snap) {
		hint(o.GetNamespace(), refOf(kind, o), "it holds Istio's configuration")
	}
}

// hintOf looks for what a pod would hardly have without a sidecar.
func (b *builder) hintOf(w *Workload, hint func(string, Ref, string)) {
	if name := istioKey(w.Template.Labels, w.Template.Annotations); name != "" {
		hint(w.Namespace, w.Ref, "it has "+name)
	}
	g := gather{object: w.Ref}
	podShape(&g, w)
	if slices.ContainsFunc(g.list, func(f found) bool { return f.feature == ProxyEndpoint || f.feature == ForwardedClientCert }) {
		hint(w.Namespace, w.Ref, "it talks to a sidecar of its own")
	}
}

// istioKey returns a label or annotation of Istio's other than one that keeps a pod out of the mesh.
func istioKey(labels, annotations map[string]string) string {
	var names []string
	for _, m := range []map[string]string{labels, annotations} {
		for k, v := range m {
			prefix, _, _ := strings.Cut(k, "/")
			ours := prefix == istioDomain || strings.HasSuffix(prefix, "."+istioDomain)
			if ours && !(k == LabelInject && v == "false") && !(k == LabelDataplaneMode && v == ModeNone) {
				names = append(names, k)
			}
		}
	}
	if len(names) == 0 {
		return ""
	}
	return slices.Min(names)
}

func (b *builder) presume(namespace, text string, o Ref) {
	b.presumed[namespace] = &Because{Text: text, Evidence: Evidence{Object: o}}
}
