package authz

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

func TestWholeMeshDiffFitsOnAScreen(t *testing.T) {
	before, after := bigMesh(400)
	r := Diff(&before, &after, Options{})
	if r.Equivalent || len(r.Weaker()) == 0 {
		t.Fatal("half a migration without waypoints for all must show")
	}
	groups := r.Groups()
	if len(groups) == 0 || len(groups) > 20 {
		t.Errorf("%d groups of %d divergences", len(groups), len(r.Divergences))
	}
	n := 0
	for _, g := range groups {
		n += g.Count
		if !strings.Contains(g.Line(), "for example ") {
			t.Errorf("no example in %q", g.Line())
		}
	}
	if n != len(r.Divergences) {
		t.Errorf("groups hold %d of %d divergences", n, len(r.Divergences))
	}
	if groups[0].Kind != Weaker {
		t.Errorf("the first group is %s", groups[0].Kind)
	}
}

func TestShardsTogetherAreTheWhole(t *testing.T) {
	before, after := bigMesh(200)
	whole := Diff(&before, &after, Options{Max: 1 << 30})
	parts := inShards(&before, &after, 3)
	if fmt.Sprint(len(whole.Divergences), whole.Equivalent) != fmt.Sprint(len(parts.Divergences), parts.Equivalent) {
		t.Errorf("whole %d, shards %d", len(whole.Divergences), len(parts.Divergences))
	}
	for i := range parts.Divergences {
		if parts.Divergences[i].Words != whole.Divergences[i].Words {
			t.Fatalf("divergence %d: %q in shards, %q whole", i, parts.Divergences[i].Words, whole.Divergences[i].Words)
		}
	}
}

func TestDiffDoesNotDependOnOrder(t *testing.T) {
	before, after := bigMesh(60)
	want, _ := json.Marshal(Diff(&before, &after, Options{}).Document())
	for _, w := range []*World{&before, &after} {
		reverse(w.Workloads)
		reverse(w.Services)
		reverse(w.Policies.Authorization)
	}
	got, _ := json.Marshal(Diff(&before, &after, Options{}).Document())
	if string(got) != string(want) {
		i := 0
		for got[i] == want[i] {
			i++
		}
		t.Errorf("the result depends on the order of the world:\n%.300s\n%.300s", got[max(0, i-100):], want[max(0, i-100):])
	}
}

func reverse[T any](s []T) {
	// The halves of bigMesh share memory only before their copies, so work on one slice.
	for i, j := 0, len(s)-1; i < j; i, j = i+1, j-1 {
		s[i], s[j] = s[j], s[i]
	}
}

func TestDocumentShape(t *testing.T) {
	b, err := json.Marshal(Result{Equivalent: true}.Document())
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"apiVersion":"sidestep.dev/v1alpha1"`, `"kind":"AuthzDiff"`, `"equivalent":true`, `"divergences":[]`} {
		if !strings.Contains(string(b), want) {
			t.Errorf("%s lacks %s", b, want)
		}
	}
}

func TestAllCallers(t *testing.T) {
	before, _ := bigMesh(40)
	// svc1's policy admits three callers to GET /api/svc1/* and /health; its namespace may
	// do anything; nobody else anything.
	rows, err := AllCallers(&before, Destination{Service: "ns0/svc1", ServicePort: 80})
	if err != nil {
		t.Fatal(err)
	}
	count := map[Extent]int{}
	for _, r := range rows {
		count[r.Extent]++
		if r.Extent == Some && (!strings.HasPrefix(r.Allowed.Words, "GET ") || r.Allowed.Answer.Decision != Allow || r.Denied.Answer.Decision != Deny) {
			t.Errorf("example %s: %v", r.Allowed.Words, r.Allowed.Answer)
		}
	}
	if count[Some] == 0 || count[None] == 0 || count[All] == 0 {
		t.Errorf("extents %v in %d rows", count, len(rows))
	}
	paths, err := AllPaths(&before, before.Workloads[8].Pods(), Destination{Workload: before.Workloads[1].Pods()})
	if err != nil {
		t.Fatal(err)
	}
	if len(paths) != 2 {
		t.Errorf("%d ways to call, want by service and by pod IP", len(paths))
	}
	if _, err := AllCallers(&before, Destination{Service: "ns0/nope"}); err == nil {
		t.Error("a service that is not there has callers")
	}
}
