package snapshot

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"

	"github.com/sidestep-mesh/sidestep/internal/object"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"pgregory.net/rapid"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// cluster is what a watched cluster holds: objects by name, and what could not be read of some.
type watched struct {
	objects  map[object.Ref]Object
	unknown  map[object.Ref][]string
	problems map[object.Ref]Problem
	hidden   map[Kind]string
}

// built is the snapshot that reading everything anew gives.
func (w *watched) built() *Snapshot {
	b := NewBuilder()
	for ref, o := range w.objects {
		c := o.DeepCopyObject().(Object)
		_ = b.Own(c, Source{})
		b.AddUnknown(c, w.unknown[ref])
	}
	for _, p := range w.problems {
		b.Report(p)
	}
	for k, why := range w.hidden {
		b.Mark(k, Knowledge{State: Hidden, Reason: why})
	}
	return b.Build()
}

// text is everything that a snapshot says, in one order.
func text(s *Snapshot) string {
	var lines []string
	for o := range s.Objects() {
		raw, err := json.Marshal(o)
		if err != nil {
			panic(err)
		}
		lines = append(lines, fmt.Sprintf("%T %s unknown %v", o, raw, s.UnknownFields(o)))
	}
	for _, p := range s.Problems() {
		lines = append(lines, "problem "+p.String())
	}
	for _, k := range kinds {
		lines = append(lines, fmt.Sprintf("%s %+v", k.Kind, s.Knowledge(k.Kind)))
	}
	slices.Sort(lines)
	return fmt.Sprintf("%d objects\n%q", s.Len(), lines)
}

var watchedRefs = []object.Ref{
	{Kind: "Namespace", Name: "a"}, {Kind: "Service", Namespace: "a", Name: "s"}, {Kind: "Service", Namespace: "b", Name: "s"},
	{Kind: "Pod", Namespace: "a", Name: "p"}, {Kind: "ConfigMap", Namespace: "a", Name: "overlay"}, {Kind: "ConfigMap", Namespace: "istio-system", Name: "istio"},
	{Group: GatewayGroup, Kind: "Gateway", Namespace: "a", Name: "g"},
}

// draw gives an object some content.
func draw(t *rapid.T, ref object.Ref) Object {
	meta := metav1.ObjectMeta{Namespace: ref.Namespace, Name: ref.Name, Labels: map[string]string{"v": rapid.SampledFrom([]string{"1", "2", "3"}).Draw(t, "version")}}
	switch ref.Kind {
	case "Namespace":
		return &corev1.Namespace{ObjectMeta: meta}
	case "Service":
		return &corev1.Service{ObjectMeta: meta}
	case "Pod":
		return &corev1.Pod{ObjectMeta: meta}
	case "ConfigMap":
		key := "deployment"
		if ref.Name == "istio" {
			key = "mesh"
		}
		return &corev1.ConfigMap{ObjectMeta: meta, Data: map[string]string{key: "x: " + meta.Labels["v"]}}
	}
	g := &gatewayv1.Gateway{ObjectMeta: meta}
	if rapid.Bool().Draw(t, "asks for the overlay") {
		g.Spec.Infrastructure = &gatewayv1.GatewayInfrastructure{ParametersRef: &gatewayv1.LocalParametersReference{Kind: "ConfigMap", Name: "overlay"}}
	}
	return g
}

// A snapshot that is refreshed by every change, several at once, is the one that is read anew.
func TestRefreshingIsReadingAnew(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := &watched{objects: map[object.Ref]Object{}, unknown: map[object.Ref][]string{}, problems: map[object.Ref]Problem{}, hidden: map[Kind]string{}}
		s := w.built()
		for range rapid.IntRange(1, 12).Draw(t, "batches") {
			b := NewBuilder()
			var touched []object.Ref
			for range rapid.IntRange(0, 3).Draw(t, "changes") {
				ref := rapid.SampledFrom(watchedRefs).Draw(t, "object")
				if !slices.Contains(touched, ref) {
					touched = append(touched, ref)
				}
				delete(w.objects, ref)
				delete(w.unknown, ref)
				delete(w.problems, ref)
				kind := Kind{Group: ref.Group, Kind: ref.Kind}
				switch rapid.IntRange(0, 4).Draw(t, "what") {
				case 0: // it goes
				case 1:
					w.problems[ref] = Problem{Kind: kind, Namespace: ref.Namespace, Name: ref.Name, Message: "unreadable"}
				case 2:
					w.objects[ref] = draw(t, ref)
					if ref.Kind != "Pod" && ref.Kind != "ConfigMap" {
						w.unknown[ref] = []string{"spec.new"}
					}
				default:
					w.objects[ref] = draw(t, ref)
				}
			}
			if rapid.Bool().Draw(t, "a kind is hidden or seen") {
				k := Kind{Kind: rapid.SampledFrom([]string{"Service", "Pod"}).Draw(t, "kind")}
				if _, hidden := w.hidden[k]; hidden {
					delete(w.hidden, k)
					b.Mark(k, Knowledge{State: Known})
				} else {
					w.hidden[k] = "may not"
					b.Mark(k, Knowledge{State: Hidden, Reason: "may not"})
				}
			}
			for _, ref := range touched {
				if o, there := w.objects[ref]; there && ref.Kind != "ConfigMap" {
					c := o.DeepCopyObject().(Object)
					if pod, ok := c.(*corev1.Pod); ok {
						c = PodOf(pod)
					}
					_ = b.Own(c, Source{})
					b.AddUnknown(c, w.unknown[ref])
				}
				if p, there := w.problems[ref]; there {
					b.Report(p)
				}
			}
			for ref, o := range w.objects {
				if ref.Kind == "ConfigMap" {
					_ = b.Add(o, Source{})
				}
			}
			before := text(s)
			next := s.Refresh(b, touched)
			if text(s) != before {
				t.Fatal("the snapshot that was refreshed changed")
			}
			if have, want := text(next), text(w.built()); have != want {
				t.Fatalf("refreshed:\n%s\nread anew:\n%s", have, want)
			}
			s = next
		}
	})
}

func TestWhatChangesAllTheTimeIsNoNews(t *testing.T) {
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n", ResourceVersion: "1"}, Status: corev1.NodeStatus{Conditions: []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue}}}}
	later := node.DeepCopy()
	later.ResourceVersion = "2"
	later.Status.Conditions[0].LastHeartbeatTime = metav1.Now()
	if !Same(node, later) {
		t.Error("a heartbeat is news")
	}
	later.Status.Conditions[0].Status = corev1.ConditionFalse
	if Same(node, later) {
		t.Error("a node that is no longer ready is no news")
	}
	if Same(node, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "n"}}) {
		t.Error("objects of two kinds are the same")
	}
}
