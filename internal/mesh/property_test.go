package mesh_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
	"github.com/sidestep-mesh/sidestep/internal/mesh"
	"github.com/sidestep-mesh/sidestep/internal/meshtest"
	"github.com/sidestep-mesh/sidestep/internal/snapshot"
	"github.com/sidestep-mesh/sidestep/internal/snapshot/manifest"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"pgregory.net/rapid"
)

// everything is all situations in one snapshot; where two define the same object the first one counts.
func everything(t testing.TB) []snapshot.Object {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no situations: %v", err)
	}
	yaml := base + "---\n" + istio("networking.istio.io/v1", "VirtualService", "web", "{hosts: ['*'], http: [{match: [{headers: {b: {exact: a}, a: {exact: b}}}], fault: {delay: {fixedDelay: 1s}}, route: [{destination: {host: cart}}]}]}") +
		"---\n" + istio("security.istio.io/v1", "PeerAuthentication", "shop", "{selector: {matchLabels: {app: cart}}, portLevelMtls: {1: {mode: STRICT}, 2: {mode: STRICT}, 3: {mode: DISABLE}, 4: {}}}")
	for _, f := range files {
		data, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		for _, part := range txtar.Parse(data).Files {
			if part.Name == "input.yaml" {
				yaml += "\n---\n" + string(part.Data)
			}
		}
	}
	return slices.Collect(manifest.Load(manifest.Stream("all", strings.NewReader(yaml))).Objects())
}

func build(t interface{ Fatalf(string, ...any) }, objects []snapshot.Object) *mesh.Mesh {
	b := snapshot.NewBuilder()
	for _, o := range objects {
		if err := b.Add(o, snapshot.Source{}); err != nil {
			t.Fatalf("add: %v", err)
		}
	}
	return mesh.Build(b.Build(), mesh.Assume{})
}

// The order of the input changes nothing, and neither does the order in which maps are walked.
func TestInputOrderChangesNothing(t *testing.T) {
	objects := everything(t)
	want := meshtest.Facts(build(t, objects))
	rapid.Check(t, func(t *rapid.T) {
		got := meshtest.Facts(build(t, rapid.Permutation(objects).Draw(t, "order")))
		if i := firstDifference(got, want); i >= 0 {
			t.Fatalf("fact %d is %q, was %q", i, at(got, i), at(want, i))
		}
	})
}

func firstDifference(a, b []string) int {
	for i := range max(len(a), len(b)) {
		if at(a, i) != at(b, i) {
			return i
		}
	}
	return -1
}

func at(list []string, i int) string {
	if i < len(list) {
		return list[i]
	}
	return "(missing)"
}

// A Service selects exactly the workloads of which some pod has all its labels, as the obvious loop over
// all pods says; every live pod belongs to exactly one workload.
func TestServicesSelectWhatTheObviousLoopSelects(t *testing.T) {
	labels := rapid.MapOfN(rapid.SampledFrom([]string{"app", "tier", "version"}), rapid.SampledFrom([]string{"a", "b"}), 0, 3)
	rapid.Check(t, func(t *rapid.T) {
		var objects []snapshot.Object
		var pods []*corev1.Pod
		for i := range rapid.IntRange(0, 12).Draw(t, "pods") {
			p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{
				Name: fmt.Sprint("p", i), Namespace: rapid.SampledFrom([]string{"x", "y"}).Draw(t, "namespace"), UID: "u", Labels: labels.Draw(t, "labels"),
			}}
			if owner := rapid.SampledFrom([]string{"", "one", "two"}).Draw(t, "owner"); owner != "" {
				yes := true
				p.OwnerReferences = []metav1.OwnerReference{{Kind: "StatefulSet", Name: owner, Controller: &yes}}
			}
			pods, objects = append(pods, p), append(objects, p)
		}
		for i := range rapid.IntRange(0, 5).Draw(t, "services") {
			objects = append(objects, &corev1.Service{
				ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprint("s", i), Namespace: rapid.SampledFrom([]string{"x", "y"}).Draw(t, "namespace")},
				Spec:       corev1.ServiceSpec{Selector: labels.Draw(t, "selector")},
			})
		}
		m := build(t, objects)
		owners := map[string]*mesh.Workload{}
		for _, w := range m.Workloads {
			for _, p := range w.Pods {
				if owners[p.Namespace+"/"+p.Name] != nil {
					t.Fatalf("pod %s belongs to %s and %s", p.Name, owners[p.Namespace+"/"+p.Name].Ref, w.Ref)
				}
				owners[p.Namespace+"/"+p.Name] = w
			}
		}
		if len(owners) != len(pods) {
			t.Fatalf("%d of %d pods have a workload", len(owners), len(pods))
		}
		for _, s := range m.Services {
			want := map[*mesh.Workload]bool{}
			for _, p := range pods {
				if p.Namespace == s.Namespace && len(s.Selector) > 0 && selects(s.Selector, p.Labels) {
					want[owners[p.Namespace+"/"+p.Name]] = true
				}
			}
			for _, w := range s.Workloads {
				if !want[w] {
					t.Fatalf("%s selects %s", s.Ref, w.Ref)
				}
				delete(want, w)
			}
			if len(want) > 0 {
				t.Fatalf("%s misses %d workloads", s.Ref, len(want))
			}
		}
	})
}

func selects(selector, labels map[string]string) bool {
	for k, v := range selector {
		if labels[k] != v {
			return false
		}
	}
	return true
}
