package audit

import (
	"slices"

	"github.com/sidestep-mesh/sidestep/internal/authz"
	"github.com/sidestep-mesh/sidestep/internal/mesh"
	"github.com/sidestep-mesh/sidestep/internal/snapshot"
	corev1 "k8s.io/api/core/v1"
)

// facts is what both views share: the mesh, the lookups built from it, and a witness that tests use to
// see what a rule reads.
type facts struct {
	mesh    *mesh.Mesh
	index   *index
	witness func(input any) // called with a mesh.Feature or a Fact; nil outside tests
}

func (f *facts) touch(input any) {
	if f.witness != nil {
		f.witness(input)
	}
}

// Settings returns the mesh-wide facts.
func (f *facts) Settings() mesh.Settings {
	f.touch(FactSettings)
	return f.mesh.Settings
}

// Minor is the Istio 1.x minor to go by: the newest known where the real one is not known.
func (f *facts) Minor() int { return assumedMinor(f.Settings()) }

// Snapshot returns the API objects.
func (f *facts) Snapshot() *snapshot.Snapshot { return f.mesh.Snapshot }

// Waypoint returns a Gateway of a waypoint class by namespace and name.
func (f *facts) Waypoint(ref mesh.Ref) (*mesh.WaypointGateway, bool) {
	f.touch(FactWaypoints)
	w := f.mesh.Waypoint(ref)
	return w, w != nil
}

// Waypoints are all Gateways of a waypoint class.
func (f *facts) Waypoints() []*mesh.WaypointGateway {
	f.touch(FactWaypoints)
	return f.mesh.Waypoints
}

// SidecarCallers is the number of workloads that call with a sidecar, and so go round every waypoint.
func (f *facts) SidecarCallers() int {
	f.touch(FactWorkloads)
	return f.index.sidecarWorkloads()
}

// View is what a rule sees of one workload.
type View struct {
	facts
	w *mesh.Workload
}

// Workload names the workload.
func (v *View) Workload() mesh.Ref { return v.w.Ref }

// Mode is the mode in effect.
func (v *View) Mode() mesh.Mode {
	v.touch(FactMode)
	return v.w.Mode
}

// AfterRestart is the mode that new pods would get.
func (v *View) AfterRestart() mesh.Mode {
	v.touch(FactMode)
	return v.w.AfterRestart
}

// NextReasons are the reasons for the mode of new pods.
func (v *View) NextReasons() []mesh.Because {
	v.touch(FactMode)
	return v.w.AfterRestartWhy
}

// Replicas is the number of pods wanted.
func (v *View) Replicas() int {
	v.touch(FactWorkloads)
	return v.w.Replicas
}

// Uses returns the uses of the given features, by the workload or by the mesh as a whole.
func (v *View) Uses(features ...mesh.Feature) []mesh.Use {
	if v.witness != nil {
		for _, f := range features {
			v.touch(f)
		}
	}
	var out []mesh.Use
	for _, uses := range [2][]mesh.Use{v.w.Uses, v.mesh.Uses} {
		for _, u := range uses {
			if slices.Contains(features, u.Feature) {
				out = append(out, u)
			}
		}
	}
	return out
}

// AtService returns the uses of the given features that the workload's own side asks for. Routes and
// DestinationRules in the namespace of some clients are left out: those clients' sidecars obey them and
// no waypoint reads them, so what happens to this workload does not matter to them (SS305, SS311).
func (v *View) AtService(features ...mesh.Feature) []mesh.Use {
	crossing := gather(v.Uses(mesh.ClientNamespaceRoute, mesh.ClientNamespaceRule))
	var out []mesh.Use
	for _, u := range v.Uses(features...) {
		if u.Side == mesh.Inbound && len(crossing) > 0 {
			u.Evidence = without(u.Evidence, crossing)
		}
		if len(u.Evidence) > 0 {
			out = append(out, u)
		}
	}
	return out
}

// Labels are the labels that pods have.
func (v *View) Labels() map[string]string {
	v.touch(FactMetadata)
	return v.w.Labels
}

// Annotations are the annotations of pods.
func (v *View) Annotations() map[string]string {
	v.touch(FactMetadata)
	return v.w.Annotations
}

// Own are the annotations of the workload's own object.
func (v *View) Own() map[string]string {
	v.touch(FactMetadata)
	if v.w.Object == nil {
		return nil
	}
	return v.w.Object.GetAnnotations()
}

// Namespace returns the workload's namespace; an empty one when the snapshot lacks it.
func (v *View) Namespace() *corev1.Namespace {
	v.touch(FactMetadata)
	return v.index.namespace(v.w.Namespace)
}

// Template is the pod template, nil when none is known.
func (v *View) Template() *corev1.PodTemplateSpec {
	v.touch(FactTemplate)
	return v.w.Template
}

// Pods are the live pods; none when the input has only manifests.
func (v *View) Pods() []*snapshot.Pod {
	v.touch(FactPods)
	return v.w.Pods
}

// Proxy is the sidecar.
func (v *View) Proxy() mesh.Proxy {
	v.touch(FactProxy)
	return v.w.Proxy
}

// Services are those that select the workload.
func (v *View) Services() []*mesh.Service {
	v.touch(FactServices)
	return v.w.Services
}

// Policies are the policies of one kind that touch the workload.
func (v *View) Policies(kind string) []*mesh.Policy {
	v.touch(FactPolicies)
	var out []*mesh.Policy
	for _, p := range v.w.Policies {
		if p.Kind == kind {
			out = append(out, p)
		}
	}
	return out
}

// Binding is the waypoint that calls to the workload's own address go through.
func (v *View) Binding() mesh.Binding {
	v.touch(FactBinding)
	return *v.w.Waypoint
}

// ServedBy returns the waypoint that every call by service goes through, if there is one: each Service
// with a cluster address is bound, or the workload itself is.
func (v *View) ServedBy() (mesh.Ref, bool) {
	v.touch(FactBinding)
	if v.w.Waypoint.Bound {
		return v.w.Waypoint.Gateway, true
	}
	var by mesh.Ref
	for _, s := range v.w.Services {
		if s.Headless {
			continue
		}
		if !s.Waypoint.Bound {
			return mesh.Ref{}, false
		}
		by = s.Waypoint.Gateway
	}
	return by, by.Name != ""
}

// Unknown are the kinds that could not be read and that the verdict depends on.
func (v *View) Unknown() []snapshot.Kind {
	v.touch(FactUnknown)
	return v.w.Unknown
}

// Raised are calls to the workload that would be decided otherwise if it had a cheaper mode than its verdict.
func (v *View) Raised() []authz.Divergence {
	v.touch(FactModel)
	if v.index.shown == nil {
		return nil
	}
	return v.index.shown.raised[v.w.Ref]
}

// Differ are calls to the workload that are decided otherwise once everybody is in their verdict's mode, because their callers
// move: it does not.
func (v *View) Differ() []authz.Divergence {
	v.touch(FactModel)
	if v.index.shown == nil {
		return nil
	}
	return v.index.shown.differ[v.w.Ref]
}

// WaysRound are the ways past the workload's waypoint: those open today to an ambient one, and those past the waypoint that one
// with a sidecar moves behind.
func (v *View) WaysRound() []mesh.WayRound {
	v.touch(FactModel)
	if v.index.shown == nil {
		return nil
	}
	return v.index.shown.ways[v.w.Ref]
}

// RulesVerdict is the verdict before the model raised it.
func (v *View) RulesVerdict(verdict Verdict) Verdict {
	v.touch(FactModel)
	if v.index.shown != nil {
		if was, raised := v.index.shown.rules[v.w.Ref]; raised {
			return was
		}
	}
	return verdict
}

// Unasked is why the workload's move could not be supposed, nil where it could.
func (v *View) Unasked() error {
	v.touch(FactModel)
	if v.index.shown == nil {
		return nil
	}
	return v.index.shown.unasked[v.w.Ref]
}

// MeshView is what a rule sees of the mesh as a whole.
type MeshView struct {
	facts
	results []WorkloadResult
}

// Results are the workloads with their verdicts.
func (m *MeshView) Results() []WorkloadResult {
	m.touch(FactVerdicts)
	return m.results
}

// Workloads are all workloads, whatever their role.
func (m *MeshView) Workloads() []*mesh.Workload {
	m.touch(FactWorkloads)
	return m.mesh.Workloads
}

// RouteLosses are what every client's sidecar does to calls and no workload's waypoint would keep.
func (m *MeshView) RouteLosses() []mesh.RouteLoss {
	m.touch(FactRoutes)
	return m.mesh.RouteLosses
}

// CallersBeside is the number of application workloads with a sidecar outside of a namespace.
func (m *MeshView) CallersBeside(namespace string) int {
	m.touch(FactWorkloads)
	n := 0
	for _, w := range m.mesh.Workloads {
		if w.Role == mesh.Application && w.Mode == mesh.Sidecar && w.Namespace != namespace {
			n++
		}
	}
	return n
}

// Omitted says what the comparison of the verdicts' state with today's left out.
func (m *MeshView) Omitted() []string {
	m.touch(FactModel)
	if m.index.shown == nil {
		return nil
	}
	return m.index.shown.omitted
}

// Services are all Services and ServiceEntries.
func (m *MeshView) Services() []*mesh.Service {
	m.touch(FactServices)
	return m.mesh.Services
}

// Policies are all policies of the mesh, attached or not.
func (m *MeshView) Policies() []*mesh.Policy {
	m.touch(FactPolicies)
	return m.mesh.Policies
}

// ServiceUses returns the uses of a feature that a Service stands for.
func (m *MeshView) ServiceUses(s *mesh.Service, feature mesh.Feature) []mesh.Use {
	m.touch(feature)
	return slices.DeleteFunc(slices.Clone(s.Uses), func(u mesh.Use) bool { return u.Feature != feature })
}

// MeshUses returns the uses of a feature by the mesh as a whole.
func (m *MeshView) MeshUses(feature mesh.Feature) []mesh.Use {
	m.touch(feature)
	return slices.DeleteFunc(slices.Clone(m.mesh.Uses), func(u mesh.Use) bool { return u.Feature != feature })
}

// AuthzProblems is what is wrong with authorization objects.
func (m *MeshView) AuthzProblems() []authz.Problem {
	m.touch(FactPolicies)
	return m.mesh.AuthzProblems
}
