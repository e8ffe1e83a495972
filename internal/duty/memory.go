package duty

import (
	"fmt"
	"maps"
	"slices"

	"github.com/sidestep-mesh/sidestep/internal/authz"
	"github.com/sidestep-mesh/sidestep/internal/mesh"
	"github.com/sidestep-mesh/sidestep/internal/object"
	"github.com/sidestep-mesh/sidestep/internal/snapshot"
	securityv1beta1 "istio.io/api/security/v1beta1"
	securityv1 "istio.io/client-go/pkg/apis/security/v1"
	corev1 "k8s.io/api/core/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// CodeTaken is the code of a gap that comes of something having been taken away.
const CodeTaken = "taken-away"

// Memory holds what ambient mode rests on as it last was: labels that bind and enrol, waypoints, guards. A state does not show
// that one of them is gone, only that calls are decided otherwise. It is kept while a controller runs.
type Memory struct {
	// labels are those that bind or enrol, by Namespace, Service or workload (then of its template).
	labels map[object.Ref]map[string]string
	// objects are waypoints and guards.
	objects map[object.Ref]snapshot.Object
	// ambient are the workloads in ambient mode.
	ambient map[object.Ref]bool
	// readied are waypoints that were at work.
	readied map[object.Ref]bool
}

// structural are the labels that bind and enrol.
func structural() []string {
	return []string{mesh.LabelDataplaneMode, mesh.LabelUseWaypoint, mesh.LabelUseWaypointNS, mesh.LabelIngressUseWaypoint, mesh.LabelInject}
}

// Piece is one thing that is gone, with what would bring it back.
type Piece struct {
	Object object.Ref
	// Put is the object as it should be.
	Put snapshot.Object
	// Labels are those that are missing, nil for a whole object.
	Labels map[string]string
	// restart are the workloads that would be in ambient mode again.
	restart []object.Ref
}

// String says what is gone.
func (p *Piece) String() string {
	if p.Labels == nil {
		return p.Object.String() + " is not what it was"
	}
	text := ""
	for _, k := range slices.Sorted(maps.Keys(p.Labels)) {
		if text != "" {
			text += ", "
		}
		text += k + "=" + p.Labels[k]
	}
	return p.Object.String() + " no longer has " + text
}

// Look compares a state with what is remembered. It returns what was taken away and decided calls to ambient workloads, with such a
// call each; the rest of what is gone is forgotten, since nothing depends on it.
func (k *Memory) Look(m *mesh.Mesh) ([]Lost, []Piece) {
	var lost []Lost
	var kept []Piece
	for _, p := range k.missing(m) {
		if l := k.missed(m, p); len(l) > 0 {
			lost = append(lost, l...)
			kept = append(kept, p)
		}
	}
	k.remember(m, kept)
	return lost, kept
}

// remember takes the state in, and keeps of the one before what is missed.
func (k *Memory) remember(m *mesh.Mesh, missed []Piece) {
	old := *k
	*k = Memory{labels: map[object.Ref]map[string]string{}, objects: map[object.Ref]snapshot.Object{}, ambient: map[object.Ref]bool{}, readied: map[object.Ref]bool{}}
	for _, w := range m.Workloads {
		if w.Mode == object.Ambient && w.Role == object.Application {
			k.ambient[w.Ref] = true
			if w.Template != nil {
				k.mark(w.Ref, w.Template.Labels)
			}
		}
	}
	for _, s := range m.Services {
		if s.Object != nil && s.Kind == "Service" {
			k.mark(s.Ref, s.Object.GetLabels())
		}
	}
	for _, ns := range snapshot.All[*corev1.Namespace](m.Snapshot) {
		k.mark(object.Ref{Kind: "Namespace", Name: ns.Name}, ns.Labels)
	}
	for _, g := range m.Waypoints {
		k.objects[g.Ref] = g.Object
		k.readied[g.Ref] = g.Programmed
	}
	for _, p := range snapshot.All[*securityv1.AuthorizationPolicy](m.Snapshot) {
		if isGuard(p) {
			k.objects[policyRef(p)] = p
		}
	}
	for _, p := range missed {
		if p.Labels == nil {
			k.objects[p.Object] = p.Put
			k.readied[p.Object] = old.readied[p.Object]
			continue
		}
		labels := maps.Clone(k.labels[p.Object])
		if labels == nil {
			labels = map[string]string{}
		}
		maps.Copy(labels, p.Labels)
		k.labels[p.Object] = labels
		for _, r := range p.restart {
			k.ambient[r] = true
		}
	}
}

func (k *Memory) mark(r object.Ref, labels map[string]string) {
	for _, name := range structural() {
		if v, ok := labels[name]; ok {
			if k.labels[r] == nil {
				k.labels[r] = map[string]string{}
			}
			k.labels[r][name] = v
		}
	}
}

// isGuard reports whether a policy closes ambient pods to all but some identities: its selector has the label that makes them ambient.
func isGuard(p *securityv1.AuthorizationPolicy) bool {
	return p.Spec.GetAction() == securityv1beta1.AuthorizationPolicy_DENY && p.Spec.GetSelector().GetMatchLabels()[mesh.LabelDataplaneMode] == mesh.ModeAmbient
}

func policyRef(p *securityv1.AuthorizationPolicy) object.Ref {
	return object.Ref{Group: snapshot.IstioSecurity, Kind: "AuthorizationPolicy", Namespace: p.Namespace, Name: p.Name}
}

// missing lists what was there and is not, in order.
func (k *Memory) missing(m *mesh.Mesh) []Piece {
	var out []Piece
	for ref, o := range k.objects {
		now, there := m.Snapshot.Find(snapshot.Kind{Group: ref.Group, Kind: ref.Kind}, ref.Namespace, ref.Name)
		_, gateway := o.(*gatewayv1.Gateway)
		if !there || !gateway && !snapshot.Same(now, o) {
			out = append(out, Piece{Object: ref, Put: o})
		}
	}
	for ref, labels := range k.labels {
		if p, gone := k.unlabelled(m, ref, labels); gone {
			out = append(out, p)
		}
	}
	slices.SortFunc(out, func(x, y Piece) int { return x.Object.Compare(y.Object) })
	return out
}

// unlabelled gives the piece of an object that is there and lacks labels that it had.
func (k *Memory) unlabelled(m *mesh.Mesh, ref object.Ref, labels map[string]string) (Piece, bool) {
	o := objectOf(m, ref)
	if o == nil {
		return Piece{}, false
	}
	has := o.GetLabels()
	template := snapshot.PodTemplate(o)
	if template != nil {
		has = template.Labels
	}
	gone := map[string]string{}
	for name, v := range labels {
		if has[name] != v {
			gone[name] = v
		}
	}
	if len(gone) == 0 {
		return Piece{}, false
	}
	put := o.DeepCopyObject().(snapshot.Object)
	set := maps.Clone(has)
	if set == nil {
		set = map[string]string{}
	}
	maps.Copy(set, gone)
	if template != nil {
		snapshot.PodTemplate(put).Labels = set
	} else {
		put.SetLabels(set)
	}
	p := Piece{Object: ref, Put: put, Labels: gone}
	for w := range k.ambient {
		if now := m.Workload(w.Kind, w.Namespace, w.Name); now != nil && now.Mode != object.Ambient && (w == ref || ref.Kind == "Namespace" && ref.Name == w.Namespace) {
			p.restart = append(p.restart, w)
		}
	}
	slices.SortFunc(p.restart, object.Ref.Compare)
	return p, true
}

// objectOf finds the object of a Namespace, Service or workload; nil where it is gone.
func objectOf(m *mesh.Mesh, ref object.Ref) snapshot.Object {
	switch ref.Kind {
	case "Namespace", "Service":
		if o, ok := m.Snapshot.Find(snapshot.Kind{Kind: ref.Kind}, ref.Namespace, ref.Name); ok {
			return o
		}
		return nil
	}
	if w := m.Workload(ref.Kind, ref.Namespace, ref.Name); w != nil && w.Object != nil && snapshot.PodTemplate(w.Object) != nil {
		return w.Object
	}
	return nil
}

// missed lists the ambient workloads at which calls are decided otherwise than they would be if the piece were still there.
func (k *Memory) missed(m *mesh.Mesh, p Piece) []Lost {
	restored, err := m.Snapshot.Edit(snapshot.Change{Put: []snapshot.Object{p.Put}})
	if err != nil {
		return nil // a kind that no snapshot holds was never remembered
	}
	assume := mesh.Assume{Ready: m.ReadyWaypoints(), Restarted: p.restart, AmbientInstalled: len(p.restart) > 0}
	if k.readied[p.Object] {
		assume.Ready = append(assume.Ready, p.Object)
	}
	before, after := mesh.AuthzWorld(mesh.Build(restored, assume)), mesh.AuthzWorld(m)
	var out []Lost
	at := map[object.Ref]int{} // the place in out, by workload
	for _, d := range authz.Diff(&before, &after, authz.Options{PerScenario: 1}).Divergences {
		to := d.Request.To.Workload.Ref
		ref := object.Ref{Kind: to.Kind, Namespace: to.Namespace, Name: to.Name}
		if !k.ambient[ref] || d.Kind != authz.Weaker && d.Kind != authz.Stricter {
			continue
		}
		l := Lost{Workload: ref, Object: p.Object, Code: CodeTaken, weaker: d.Kind == authz.Weaker, Message: consequence(&p, &d),
			Remedy: "Put it back, or take away what still rests on it: the policies at the waypoint and the guard."}
		i, seen := at[ref]
		switch {
		case !seen:
			at[ref] = len(out)
			out = append(out, l)
		case l.weaker && !out[i].weaker: // what passes is worse than what is refused
			out[i] = l
		}
	}
	return out
}

// consequence says what comes of something that is gone.
func consequence(p *Piece, d *authz.Divergence) string {
	if d.Kind == authz.Stricter {
		return fmt.Sprintf("%s, and so %s is refused, which was allowed (%s).", p, d.Words, d.After.Why)
	}
	return fmt.Sprintf("%s, and so %s is allowed, which was refused (%s).", p, d.Words, d.Before.Why)
}
