package snapshot

import (
	"maps"
	"slices"
	"testing"

	"github.com/sidestep-mesh/sidestep/internal/object"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func service(namespace, name, selects string) *corev1.Service {
	return &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}, Spec: corev1.ServiceSpec{Selector: map[string]string{"app": selects}}}
}

// state is every object of a snapshot by name, with what its services select.
func state(s *Snapshot) map[string]string {
	out := map[string]string{}
	for o := range s.Objects() {
		what := ""
		if svc, ok := o.(*corev1.Service); ok {
			what = svc.Spec.Selector["app"]
		}
		out[o.GetObjectKind().GroupVersionKind().Kind+" "+nameOf(o)] = what
	}
	return out
}

func nameOf(o Object) string { return o.GetNamespace() + "/" + o.GetName() }

func TestEdit(t *testing.T) {
	b := NewBuilder()
	for _, o := range []Object{service("a", "x", "x"), service("b", "y", "y"), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "a"}}} {
		if err := b.Add(o, Source{File: "mesh.yaml", Line: 1}); err != nil {
			t.Fatal(err)
		}
	}
	before := b.Build()
	was := state(before)
	untouched, _ := Get[*corev1.Service](before, "b", "y")
	for sentence, c := range map[string]struct {
		change Change
		want   map[string]string
	}{
		"nothing changes nothing":           {Change{}, was},
		"a restart is no edit of objects":   {Change{Restart: []object.Ref{{Kind: "Deployment", Namespace: "a", Name: "x"}}}, was},
		"an object is created in its place": {Change{Put: []Object{service("a", "w", "w")}}, map[string]string{"Namespace /a": "", "Service a/w": "w", "Service a/x": "x", "Service b/y": "y"}},
		"an object is replaced":             {Change{Put: []Object{service("a", "x", "z")}}, map[string]string{"Namespace /a": "", "Service a/x": "z", "Service b/y": "y"}},
		"an object is removed":              {Change{Remove: []object.Ref{{Kind: "Service", Namespace: "a", Name: "x"}}}, map[string]string{"Namespace /a": "", "Service b/y": "y"}},
		"what is not there is not removed":  {Change{Remove: []object.Ref{{Kind: "Pod", Namespace: "a", Name: "x"}}}, was},
		"a kind that had no object":         {Change{Put: []Object{&corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "a", Name: "p"}}}}, map[string]string{"Namespace /a": "", "Service a/x": "x", "Service b/y": "y", "Pod a/p": ""}},
	} {
		t.Run(sentence, func(t *testing.T) {
			after, err := before.Edit(c.change)
			if err != nil {
				t.Fatal(err)
			}
			if got := state(after); !maps.Equal(got, c.want) || after.Len() != len(c.want) {
				t.Errorf("got %v (%d), want %v", got, after.Len(), c.want)
			}
			if got := state(before); !maps.Equal(got, was) {
				t.Errorf("the first state became %v", got)
			}
			if o, _ := Get[*corev1.Service](after, "b", "y"); o != untouched || after.Source(o).File != "mesh.yaml" {
				t.Error("an object that no change touches is not shared, or forgot its place")
			}
			for o := range after.Objects() {
				if found, ok := after.Find(Kind{Kind: o.GetObjectKind().GroupVersionKind().Kind}, o.GetNamespace(), o.GetName()); !ok || found != o {
					t.Errorf("%s is not found by its name", nameOf(o))
				}
			}
		})
	}
	if _, err := before.Edit(Change{Remove: []object.Ref{{Kind: "Moon", Name: "x"}}}); err == nil {
		t.Error("a kind that no snapshot holds was removed")
	}
	if _, err := before.Edit(Change{Put: []Object{&corev1.Secret{}}}); err == nil {
		t.Error("a Secret was put into a snapshot")
	}
}

// TestGivenObjectsStayAsTheyAre: neither a Builder nor an Edit may change what its caller still holds.
func TestGivenObjectsStayAsTheyAre(t *testing.T) {
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "a", Name: "p", Annotations: map[string]string{corev1.LastAppliedConfigAnnotation: "x"}},
		Spec:       corev1.PodSpec{Hostname: "h", Containers: []corev1.Container{{Name: "app", Args: []string{"--password=x"}, Env: []corev1.EnvVar{{Name: "A", Value: "b"}}}}},
	}
	given := pod.DeepCopy()
	b := NewBuilder()
	if err := b.Add(pod, Source{}); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Build().Edit(Change{Put: []Object{pod}}); err != nil {
		t.Fatal(err)
	}
	if pod.Annotations[corev1.LastAppliedConfigAnnotation] != "x" || pod.Spec.Hostname != "h" || !slices.Equal(pod.Spec.Containers[0].Args, given.Spec.Containers[0].Args) || pod.Spec.Containers[0].Env[0].Value != "b" {
		t.Errorf("the pod became %+v", pod)
	}
}

func TestJoin(t *testing.T) {
	ref := object.Ref{Kind: "Service", Namespace: "a", Name: "x"}
	w := object.Ref{Kind: "Deployment", Namespace: "a", Name: "x"}
	put := Change{Put: []Object{service("a", "x", "1")}, Restart: []object.Ref{w}}
	for sentence, c := range map[string]struct {
		change        Change
		puts, removes int
	}{
		"the later object counts": {put.Join(Change{Put: []Object{service("a", "x", "2")}, Restart: []object.Ref{w}}), 1, 0},
		"a later removal counts":  {put.Join(Change{Remove: []object.Ref{ref}}), 0, 1},
		"a later creation counts": {Change{Remove: []object.Ref{ref}}.Join(put), 1, 0},
		"what is apart is kept":   {put.Join(Change{Put: []Object{service("b", "x", "2")}}), 2, 0},
	} {
		if len(c.change.Put) != c.puts || len(c.change.Remove) != c.removes || len(c.change.Restart) > 1 {
			t.Errorf("%s: %+v", sentence, c.change)
		}
	}
}
