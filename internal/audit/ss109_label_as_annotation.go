package audit

import (
	"fmt"

	"github.com/sidestep-mesh/sidestep/internal/mesh"
	"github.com/sidestep-mesh/sidestep/internal/snapshot"
	securityv1 "istio.io/client-go/pkg/apis/security/v1"
	corev1 "k8s.io/api/core/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// labelAsAnnotation: names that Istio reads from labels only.
var labelAsAnnotation = Rule{
	Code:     "SS109",
	Title:    "An Istio label is written as an annotation",
	Severity: Error,
	Requires: VerdictNone,
	Inputs: Inputs{
		Facts: []Fact{FactWorkloads},
		Kinds: []snapshot.Kind{kindNamespace, kindService, kindGateway, kindAuthorizationPolicy},
	},
	References: []string{"istio/api label/labels.yaml", "istio/istio pilot/pkg/serviceregistry/ambient/waypoints.go"},
	Why: "istio.io/dataplane-mode, use-waypoint, waypoint-for and ingress-use-waypoint are read from labels. As annotations they do nothing, on any object. " +
		"A published guide puts istio.io/waypoint-for on an AuthorizationPolicy: that policy is enforced nowhere.",
	Remedy: "Move it to metadata.labels of the object that it belongs to; attach a policy to a waypoint by spec.targetRefs.",
	Whole: func(m *MeshView) []Finding {
		var out []Finding
		look := func(ref mesh.Ref, annotations map[string]string, field func(string) string) {
			for _, name := range labelsOnly {
				if value, set := annotations[name]; set {
					out = append(out, one(fmt.Sprintf("%s is an annotation of %s; Istio reads it from labels only.", name, ref), at(ref, field(name), value))...)
				}
			}
		}
		for _, o := range snapshot.All[*corev1.Namespace](m.Snapshot()) {
			look(namespaceRef(o.Name), o.Annotations, noteField)
		}
		for _, o := range snapshot.All[*corev1.Service](m.Snapshot()) {
			look(mesh.Ref{Kind: "Service", Namespace: o.Namespace, Name: o.Name}, o.Annotations, noteField)
		}
		for _, o := range snapshot.All[*gatewayv1.Gateway](m.Snapshot()) {
			look(mesh.Ref{Group: kindGateway.Group, Kind: kindGateway.Kind, Namespace: o.Namespace, Name: o.Name}, o.Annotations, noteField)
		}
		for _, o := range snapshot.All[*securityv1.AuthorizationPolicy](m.Snapshot()) {
			look(mesh.Ref{Group: kindAuthorizationPolicy.Group, Kind: kindAuthorizationPolicy.Kind, Namespace: o.Namespace, Name: o.Name}, o.Annotations, noteField)
		}
		for _, w := range m.Workloads() {
			if w.Role == mesh.Application && w.Template != nil {
				look(w.Ref, w.Template.Annotations, func(name string) string { return templateNote(w.Ref, name) })
			}
		}
		return out
	},
}

// labelsOnly are the names that mean nothing as annotations.
var labelsOnly = []string{mesh.LabelDataplaneMode, mesh.LabelUseWaypoint, mesh.LabelUseWaypointNS, mesh.LabelWaypointFor, mesh.LabelIngressUseWaypoint}
