package generate

import (
	"fmt"
	"strings"

	"github.com/sidestep-mesh/sidestep/internal/mesh"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"
)

const (
	// AnnotationAllow lets an object through a policy: its value names policies by the last word of their names, with commas between.
	AnnotationAllow = "sidestep.dev/allow"
	// WaypointList is the name of the ConfigMap that lists the waypoints of the cluster as NAMESPACE.NAME.
	WaypointList = "sidestep-waypoints"
	// labelParts marks what this writes.
	labelParts = "app.kubernetes.io/part-of"
)

// AdmissionOptions say how policies are to judge.
type AdmissionOptions struct {
	// Enforce refuses; otherwise the API server warns, and its audit log says so.
	Enforce bool
	// Replicas is the number from which a workload counts as costly.
	Replicas int
	// Namespace is where the list of waypoints is.
	Namespace string
	// Waypoints are those that exist, as namespace and name.
	Waypoints [][2]string
	// Accounts are users who may remove guards: Sidestep's own.
	Accounts []string
}

// guardrail is one ValidatingAdmissionPolicy, with what it cannot see.
type guardrail struct {
	name string
	// limits is said in the file, for whoever reads it before applying it.
	limits     string
	resources  []admissionv1.NamedRuleWithOperations
	conditions []admissionv1.MatchCondition
	variables  []admissionv1.Variable
	// bad is true of what should not be; unchanged is true of an update that leaves what is judged as it was.
	bad, unchanged string
	message        string
	params         bool
}

// Admission writes ValidatingAdmissionPolicies that keep a migrated mesh from being undone by accident, each with its binding. What was
// bad before may stay: an update is judged only where it changes what is judged.
func Admission(o AdmissionOptions) (string, error) {
	var b strings.Builder
	b.WriteString("# Admission policies of a mesh in ambient mode. They need Kubernetes 1.30 or newer, and no webhook.\n")
	fmt.Fprintf(&b, "# To let one object through, annotate it: %s: POLICY (%s).\n", AnnotationAllow, strings.Join(names(), ", "))
	list := &corev1.ConfigMap{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "ConfigMap"},
		ObjectMeta: metav1.ObjectMeta{Name: WaypointList, Namespace: o.Namespace, Labels: map[string]string{labelParts: "sidestep"}},
		Data:       map[string]string{},
	}
	for _, w := range o.Waypoints {
		list.Data[w[0]+"."+w[1]] = ""
	}
	if err := document(&b, "The waypoints there are. Write this file anew after each new one.", list); err != nil {
		return "", err
	}
	for _, g := range guardrails(o) {
		if err := document(&b, g.limits, g.policy(o)); err != nil {
			return "", err
		}
		if err := document(&b, "", g.binding(o)); err != nil {
			return "", err
		}
	}
	return b.String(), nil
}

func names() []string {
	var out []string
	for _, g := range guardrails(AdmissionOptions{}) {
		out = append(out, g.name)
	}
	return out
}

// document writes one object with a comment above it.
func document(b *strings.Builder, comment string, object any) error {
	text, err := yaml.Marshal(object)
	if err != nil {
		return fmt.Errorf("render an admission policy: %w", err)
	}
	b.WriteString("---\n")
	if comment != "" {
		fmt.Fprintf(b, "# %s\n", comment)
	}
	b.Write(text)
	return nil
}

func (g *guardrail) policy(o AdmissionOptions) *admissionv1.ValidatingAdmissionPolicy {
	failure := admissionv1.Ignore // what only warns must not stop anybody when it cannot be evaluated
	if o.Enforce {
		failure = admissionv1.Fail
	}
	spec := admissionv1.ValidatingAdmissionPolicySpec{
		FailurePolicy:    &failure,
		MatchConstraints: &admissionv1.MatchResources{ResourceRules: g.resources},
		MatchConditions: append([]admissionv1.MatchCondition{{Name: "not-let-through", Expression: fmt.Sprintf(
			"!(request.operation == 'DELETE' ? oldObject : object).?metadata.?annotations[?'%s'].orValue('').split(',').exists(p, p.trim() == '%s')", AnnotationAllow, g.name)}}, g.conditions...),
		Variables: append(append([]admissionv1.Variable{}, g.variables...),
			admissionv1.Variable{Name: "bad", Expression: g.bad}, admissionv1.Variable{Name: "unchanged", Expression: g.unchanged}),
		Validations: []admissionv1.Validation{{Expression: "variables.unchanged || !variables.bad", Message: g.message +
			fmt.Sprintf(" To let it through, annotate it with %s: %s.", AnnotationAllow, g.name), Reason: reason(metav1.StatusReasonForbidden)}},
		AuditAnnotations: nil,
	}
	if g.params {
		spec.ParamKind = &admissionv1.ParamKind{APIVersion: "v1", Kind: "ConfigMap"}
	}
	return &admissionv1.ValidatingAdmissionPolicy{
		TypeMeta:   metav1.TypeMeta{APIVersion: admissionv1.SchemeGroupVersion.String(), Kind: "ValidatingAdmissionPolicy"},
		ObjectMeta: metav1.ObjectMeta{Name: "sidestep-" + g.name, Labels: map[string]string{labelParts: "sidestep"}},
		Spec:       spec,
	}
}

func reason(r metav1.StatusReason) *metav1.StatusReason { return &r }

func (g *guardrail) binding(o AdmissionOptions) *admissionv1.ValidatingAdmissionPolicyBinding {
	actions := []admissionv1.ValidationAction{admissionv1.Warn, admissionv1.Audit}
	if o.Enforce {
		actions = []admissionv1.ValidationAction{admissionv1.Deny, admissionv1.Audit}
	}
	spec := admissionv1.ValidatingAdmissionPolicyBindingSpec{PolicyName: "sidestep-" + g.name, ValidationActions: actions}
	if g.params {
		allow := admissionv1.AllowAction // without the list nobody can tell
		spec.ParamRef = &admissionv1.ParamRef{Name: WaypointList, Namespace: o.Namespace, ParameterNotFoundAction: &allow}
	}
	return &admissionv1.ValidatingAdmissionPolicyBinding{
		TypeMeta:   metav1.TypeMeta{APIVersion: admissionv1.SchemeGroupVersion.String(), Kind: "ValidatingAdmissionPolicyBinding"},
		ObjectMeta: metav1.ObjectMeta{Name: "sidestep-" + g.name, Labels: map[string]string{labelParts: "sidestep"}},
		Spec:       spec,
	}
}

// on names resources of one group.
func on(group, version string, operations []admissionv1.OperationType, resources ...string) admissionv1.NamedRuleWithOperations {
	return admissionv1.NamedRuleWithOperations{RuleWithOperations: admissionv1.RuleWithOperations{
		Operations: operations, Rule: admissionv1.Rule{APIGroups: []string{group}, APIVersions: []string{version}, Resources: resources},
	}}
}

var written = []admissionv1.OperationType{admissionv1.Create, admissionv1.Update}

func guardrails(o AdmissionOptions) []guardrail {
	return []guardrail{injection(o), waypoint(), inert(), guards(o)}
}

// injection refuses sidecars that nobody asked for where they cost most.
func injection(o AdmissionOptions) guardrail {
	sidecar := func(object string) string {
		return strings.NewReplacer("OBJECT", object, "INJECT", mesh.LabelInject, "MODE", mesh.LabelDataplaneMode, "DEFAULTED", mesh.LabelInjection, "REVISION", mesh.LabelRevision).Replace(
			"OBJECT.spec.?template.?metadata.?labels[?'INJECT'].orValue('') == 'true' || " +
				"OBJECT.spec.?template.?metadata.?labels[?'INJECT'].orValue('') != 'false' && OBJECT.spec.?template.?metadata.?labels[?'MODE'].orValue('') != 'ambient' && " +
				"(variables.enrolled[?'DEFAULTED'].orValue('') == 'enabled' || variables.enrolled[?'DEFAULTED'].orValue('') != 'disabled' && " +
				"(variables.enrolled[?'REVISION'].hasValue() || OBJECT.spec.?template.?metadata.?labels[?'REVISION'].hasValue()))")
	}
	costly := func(object string) string {
		return fmt.Sprintf("%s.spec.?replicas.orValue(1) >= %d", object, o.Replicas)
	}
	asked := fmt.Sprintf("object.?metadata.?annotations[?'%[1]s'].orValue('') == 'sidecar' || object.spec.?template.?metadata.?annotations[?'%[1]s'].orValue('') == 'sidecar'", mesh.AnnotationMode)
	return guardrail{
		name:      "injection",
		limits:    "It sees spec.replicas and labels. It does not see what an autoscaler makes of them (the scale subresource), injectors with selectors of their own, DaemonSets and Jobs.",
		resources: []admissionv1.NamedRuleWithOperations{on("apps", "v1", written, "deployments", "statefulsets")},
		variables: []admissionv1.Variable{{Name: "enrolled", Expression: "namespaceObject.?metadata.?labels.orValue({})"}},
		bad:       fmt.Sprintf("!(%s) && (%s) && (%s)", asked, costly("object"), sidecar("object")),
		unchanged: fmt.Sprintf("oldObject != null && (%s) && (%s)", costly("oldObject"), sidecar("oldObject")),
		message: fmt.Sprintf("With %d replicas or more each pod's sidecar costs, and this workload would get one. Set the label %s: \"false\" and %s: ambient on its pod template, or say that it is wanted with the annotation %s: sidecar.",
			o.Replicas, mesh.LabelInject, mesh.LabelDataplaneMode, mesh.AnnotationMode),
	}
}

// waypoint refuses labels that ask for a waypoint which is not there.
func waypoint() guardrail {
	asks := func(object string) string {
		return strings.NewReplacer("OBJECT", object, "USE", mesh.LabelUseWaypoint, "FROM", mesh.LabelUseWaypointNS).Replace(
			"OBJECT.?metadata.?labels[?'USE'].orValue('') + '@' + OBJECT.?metadata.?labels[?'FROM'].orValue('')")
	}
	return guardrail{
		name:   "waypoint",
		limits: "It sees the list of waypoints above, not whether one is ready, and labels of objects, not of pod templates.",
		resources: []admissionv1.NamedRuleWithOperations{
			on("", "v1", written, "services", "namespaces", "pods"), on("networking.istio.io", "*", written, "serviceentries"),
		},
		conditions: []admissionv1.MatchCondition{{Name: "asks-for-a-waypoint", Expression: fmt.Sprintf("!(object.?metadata.?labels[?'%s'].orValue('') in ['', '%s'])", mesh.LabelUseWaypoint, mesh.WaypointNone)}},
		variables: []admissionv1.Variable{
			{Name: "own", Expression: "request.kind.kind == 'Namespace' ? object.metadata.name : request.namespace"},
			{Name: "wanted", Expression: fmt.Sprintf("object.metadata.labels[?'%s'].orValue(variables.own) + '.' + object.metadata.labels['%s']", mesh.LabelUseWaypointNS, mesh.LabelUseWaypoint)},
		},
		bad:       "!(variables.wanted in params.?data.orValue({}))",
		unchanged: fmt.Sprintf("oldObject != null && (%s) == (%s)", asks("oldObject"), asks("object")),
		message:   "The waypoint that the label " + mesh.LabelUseWaypoint + " names is not there: calls would go straight to the pods, and nothing that a waypoint should enforce would be.",
		params:    true,
	}
}

// inert refuses policies that would do nothing, or nothing of what they say, at ztunnel.
func inert() guardrail {
	has := func(of string, fields ...string) string {
		var out []string
		for _, f := range fields {
			out = append(out, "has("+of+"."+f+")")
		}
		return "(" + strings.Join(out, " || ") + ")"
	}
	l7 := "OBJECT.spec.?rules.orValue([]).exists(r, " +
		"r.?to.orValue([]).exists(t, has(t.operation) && " + has("t.operation", "hosts", "notHosts", "methods", "notMethods", "paths", "notPaths") + ") || " +
		"r.?from.orValue([]).exists(f, has(f.source) && " + has("f.source", "requestPrincipals", "notRequestPrincipals", "remoteIpBlocks", "notRemoteIpBlocks") + ") || " +
		"r.?when.orValue([]).exists(w, w.key.startsWith('request.') || w.key in ['remote.ip', 'connection.sni'] || w.key.startsWith('experimental.')))"
	ambient := fmt.Sprintf("(namespaceObject.?metadata.?labels[?'%[1]s'].orValue('') == 'ambient' || object.spec.?selector.?matchLabels[?'%[1]s'].orValue('') == 'ambient')", mesh.LabelDataplaneMode)
	judged := func(object string) string {
		return strings.ReplaceAll("OBJECT.spec.?action.orValue('ALLOW') in ['DENY', 'CUSTOM'] && !has(OBJECT.spec.targetRef) && !has(OBJECT.spec.targetRefs) && ("+
			"OBJECT.spec.?action.orValue('') == 'CUSTOM' || "+l7+")", "OBJECT", object)
	}
	return guardrail{
		name:      "inert",
		limits:    "It sees the namespace's label and the policy's own selector. It does not see pods that are ambient by their template's label in another namespace, nor policies of Istio's root namespace; condition Safe of a Migration does.",
		resources: []admissionv1.NamedRuleWithOperations{on("security.istio.io", "*", written, "authorizationpolicies")},
		bad:       ambient + " && " + judged("object"),
		unchanged: "oldObject != null && (" + judged("oldObject") + ") && oldObject.spec == object.spec",
		message:   "ztunnel knows no HTTP and asks no provider: by selector, this policy does nothing at pods in ambient mode. Name a Service or a waypoint in spec.targetRefs.",
	}
}

// guards refuses to take away what closes the way past a waypoint while pods bear the label that it is for.
func guards(o AdmissionOptions) guardrail {
	guard := func(object string) string {
		return fmt.Sprintf("%[1]s.spec.?action.orValue('ALLOW') == 'DENY' && %[1]s.spec.?selector.?matchLabels[?'%[2]s'].orValue('') == 'ambient'", object, mesh.LabelDataplaneMode)
	}
	// A namespace that is deleted takes its guards along, and what is owned goes with its owner.
	may := []string{"system:serviceaccount:kube-system:namespace-controller", "system:serviceaccount:kube-system:generic-garbage-collector", "system:kube-controller-manager"}
	may = append(may, o.Accounts...)
	return guardrail{
		name:      "guard",
		limits:    "It knows a guard by its selector: " + mesh.LabelDataplaneMode + ": ambient. It cannot see whether pods with that label are left; remove the last workload first, or let the guard through by annotation.",
		resources: []admissionv1.NamedRuleWithOperations{on("security.istio.io", "*", []admissionv1.OperationType{admissionv1.Update, admissionv1.Delete}, "authorizationpolicies")},
		conditions: []admissionv1.MatchCondition{
			{Name: "is-a-guard", Expression: guard("oldObject")},
			{Name: "by-others", Expression: fmt.Sprintf("!(request.userInfo.username in ['%s'])", strings.Join(may, "', '"))},
		},
		bad: "request.operation == 'DELETE' || !(" + guard("object") + ") || object.spec.selector != oldObject.spec.selector || " +
			"size(object.spec.?rules.orValue([])) < size(oldObject.spec.?rules.orValue([]))",
		unchanged: "false",
		message:   "This policy closes the way past a waypoint to pods in ambient mode; without it whoever calls them directly meets none of the waypoint's policies.",
	}
}
