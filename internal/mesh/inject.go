package mesh

import (
	"cmp"
	"slices"
	"strings"

	"github.com/sidestep-mesh/sidestep/internal/snapshot"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// ignoredNamespaces are never injected (pkg/kube/inject/initializer.go).
var ignoredNamespaces = []string{"kube-system", "kube-public", "kube-node-lease", "local-path-storage"}

// webhookSuffix ends the name of every webhook of Istio's injector; prefixes tell its cases apart.
const webhookSuffix = "sidecar-injector.istio.io"

// namespace is what is known of one Namespace.
type namespace struct {
	ref    Ref
	object *corev1.Namespace // nil when the snapshot has none
	labels labels.Set
	// webhooks are those whose namespaceSelector selects it.
	webhooks []*webhook
}

// webhook is one webhook of an injector.
type webhook struct {
	config, name  string
	revision, tag string
	namespaces    selector
	objects       selector
}

// readWebhooks compiles the injector's webhooks and derives revisions and tags from them.
func (b *builder) readWebhooks() {
	for _, c := range snapshot.All[*admissionv1.MutatingWebhookConfiguration](b.snap) {
		for i := range c.Webhooks {
			w := &c.Webhooks[i]
			if !strings.HasSuffix(w.Name, webhookSuffix) || !admitsPods(w) {
				continue
			}
			ns, err1 := selectorOf(w.NamespaceSelector)
			obj, err2 := selectorOf(w.ObjectSelector)
			if err1 != nil || err2 != nil {
				b.problem(refOf(kindWebhook, c), "webhooks["+w.Name+"]", "a selector of this webhook is invalid; it selects nothing")
				continue
			}
			b.webhooks = append(b.webhooks, &webhook{
				config: c.Name, name: w.Name, revision: revisionOf(c.Labels), tag: c.Labels[LabelTag],
				namespaces: ns, objects: obj,
			})
		}
	}
	b.readRevisions()
	b.assumedWebhooks = len(b.webhooks) == 0
	b.mesh.Settings.WebhooksFound = !b.assumedWebhooks
}

// selectorOf compiles an optional selector; absent means everything, as the API server defaults it.
func selectorOf(s *metav1.LabelSelector) (selector, error) {
	if s == nil {
		return labels.Everything(), nil
	}
	return metav1.LabelSelectorAsSelector(s)
}

func admitsPods(w *admissionv1.MutatingWebhook) bool {
	return slices.ContainsFunc(w.Rules, func(r admissionv1.RuleWithOperations) bool {
		return slices.ContainsFunc(r.Resources, func(s string) bool { return s == "pods" || s == "*" })
	})
}

// readRevisions lists revisions with their tags; the default one is what istio-injection=enabled selects.
func (b *builder) readRevisions() {
	byName := map[string]*Revision{}
	get := func(name string) *Revision {
		if byName[name] == nil {
			byName[name] = &Revision{Name: name}
		}
		return byName[name]
	}
	enabled := labels.Set{LabelInjection: InjectionEnabled}
	for _, w := range b.webhooks {
		r := get(w.revision)
		if w.tag != "" && !slices.Contains(r.Tags, w.tag) {
			r.Tags = append(r.Tags, w.tag)
		}
		if w.namespaces.Matches(enabled) && w.objects.Matches(labels.Set{}) {
			r.Default = true
		}
	}
	for _, cp := range b.planes {
		if cp.istiod.Name != "" || cp.injector != nil {
			get(cp.revision)
		}
	}
	for _, r := range byName {
		slices.Sort(r.Tags)
		b.mesh.Settings.Revisions = append(b.mesh.Settings.Revisions, *r)
	}
	slices.SortFunc(b.mesh.Settings.Revisions, func(x, y Revision) int { return strings.Compare(x.Name, y.Name) })
}

// namespaceOf returns what is known of a namespace, also of one that has no object.
func (b *builder) namespaceOf(name string) *namespace {
	if n := b.mesh.namespaces[name]; n != nil {
		return n
	}
	n := &namespace{ref: Ref{Kind: "Namespace", Name: name}, labels: labels.Set{LabelNamespaceName: name}}
	if o, ok := snapshot.Get[*corev1.Namespace](b.snap, "", name); ok {
		n.object = o
		n.labels = merged(n.labels, o.Labels)
	}
	for _, w := range b.webhooks {
		if w.namespaces.Matches(n.labels) {
			n.webhooks = append(n.webhooks, w)
		}
	}
	b.mesh.namespaces[name] = n
	return n
}

// injection is the injector's answer for a pod.
type injection struct {
	inject bool
	// revision is the revision or tag that injects.
	revision string
	why      []Because
}

func (i *injection) because(text string, e Evidence) {
	i.why = append(i.why, Because{Text: text, Evidence: e})
}

// injectionOf answers whether a pod made from a template would be injected: first whether a webhook
// selects it, then what the injector itself decides (pkg/kube/inject/inject.go injectRequired).
func (b *builder) injectionOf(w *Workload, ns *namespace) injection {
	var i injection
	pod := w.Template
	switch {
	case pod.Spec.HostNetwork:
		i.because("the injector skips pods on the host's network", evidence(w.Ref, w.templateField("spec.hostNetwork"), "true"))
		return i
	case windowsField(&pod.Spec) != "":
		i.because("no proxy of the mesh runs on Windows nodes", evidence(w.Ref, w.templateField("spec."+windowsField(&pod.Spec)), string(corev1.Windows)))
		return i
	case slices.Contains(ignoredNamespaces, w.Namespace):
		i.because("the injector ignores this system namespace", Evidence{Object: ns.ref})
		return i
	}
	if why := b.presumed[w.Namespace]; why != nil && w.Template.Labels[LabelInject] == "" && w.Template.Labels[LabelDataplaneMode] != ModeAmbient {
		i.inject, i.revision = true, cmp.Or(w.Template.Labels[LabelRevision], DefaultRevision)
		i.because("the Namespace object is not in the input, and "+why.Text+": judged as if injected", why.Evidence)
		w.Assumed = true
	} else if b.assumedWebhooks {
		i = b.defaultWebhooks(w, ns)
	} else {
		i = b.realWebhooks(w, ns)
	}
	if !i.inject {
		return i
	}
	return b.injectorPolicy(w, i)
}

// realWebhooks evaluates the selectors that the API server would evaluate.
func (b *builder) realWebhooks(w *Workload, ns *namespace) injection {
	var i injection
	set := labels.Set(w.Template.Labels)
	for _, hook := range ns.webhooks {
		if !hook.objects.Matches(set) {
			continue
		}
		i.inject, i.revision = true, hook.revision
		if hook.tag != "" {
			i.revision = hook.tag
		}
		i.because("webhook "+hook.name+" selects it", evidence(Ref{Group: kindWebhook.Group, Kind: kindWebhook.Kind, Name: hook.config}, "webhooks["+hook.name+"]", ""))
		b.explainSelection(&i, w, ns)
		return i
	}
	i.because("no injector webhook selects it", Evidence{Object: ns.ref})
	b.explainSelection(&i, w, ns)
	return i
}

// explainSelection names the labels that a webhook looked at.
func (b *builder) explainSelection(i *injection, w *Workload, ns *namespace) {
	for _, l := range []string{LabelInjection, LabelRevision} {
		if v, ok := ns.labels[l]; ok {
			i.because("namespace label "+l+"="+v, evidence(ns.ref, labelField(l), v))
		}
	}
	for _, l := range []string{LabelInject, LabelRevision} {
		if v, ok := w.Template.Labels[l]; ok {
			i.because("pod label "+l+"="+v, evidence(w.Ref, w.templateField(labelField(l)), v))
		}
	}
}

// defaultWebhooks applies the rules of Istio's chart where no webhook configuration is in the snapshot
// (istio-discovery templates/mutatingwebhook.yaml). Any revision is taken to exist.
func (b *builder) defaultWebhooks(w *Workload, ns *namespace) injection {
	var i injection
	b.explainSelection(&i, w, ns)
	legacy, hasLegacy := ns.labels[LabelInjection]
	nsRevision, hasRevision := ns.labels[LabelRevision]
	wish := w.Template.Labels[LabelInject]
	podRevision, hasPodRevision := w.Template.Labels[LabelRevision]
	switch {
	case wish == "false":
	case hasLegacy:
		i.inject, i.revision = legacy == InjectionEnabled, DefaultRevision
	case hasRevision:
		i.inject, i.revision = true, nsRevision
	case hasPodRevision:
		i.inject, i.revision = true, podRevision
	default:
		i.inject, i.revision = wish == "true", DefaultRevision
	}
	if len(i.why) == 0 {
		i.because("no label asks for injection", Evidence{Object: ns.ref})
	}
	return i
}

// injectorPolicy is what the injector decides once a webhook has called it: the pod's own wish (label
// before annotation), the selectors of its configuration, then the policy.
func (b *builder) injectorPolicy(w *Workload, i injection) injection {
	wish, field := w.Template.Annotations[AnnotationInject], annotationField(AnnotationInject)
	if v, ok := w.Template.Labels[LabelInject]; ok {
		wish, field = v, labelField(LabelInject)
	}
	switch wish {
	case "true":
		return i
	case "false":
		i.inject = false
		i.because("the pod declines injection", evidence(w.Ref, w.templateField(field), wish))
		return i
	}
	cp := b.planeOf(i.revision)
	if cp == nil || cp.injector == nil {
		return i
	}
	set := labels.Set(w.Template.Labels)
	if matchesAny(cp.injector.never, set) {
		i.inject = false
		i.because("neverInjectSelector of the injector selects it", evidence(cp.injector.ref, "data.config: neverInjectSelector", ""))
		return i
	}
	if cp.injector.config.Policy == "disabled" && !matchesAny(cp.injector.always, set) {
		i.inject = false
		i.because("the injector's policy is disabled", evidence(cp.injector.ref, "data.config: policy", "disabled"))
	}
	return i
}

func matchesAny(list []selector, set labels.Set) bool {
	return slices.ContainsFunc(list, func(s selector) bool { return s.Matches(set) })
}

// templateField gives the path of a pod field in the workload's own object.
func (w *Workload) templateField(field string) string {
	switch w.Kind {
	case kPod:
		return field
	case kCronJob:
		return "spec.jobTemplate.spec.template." + field
	}
	return "spec.template." + field
}
