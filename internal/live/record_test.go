package live_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/sidestep-mesh/sidestep/internal/live"
	"github.com/sidestep-mesh/sidestep/internal/livetest"
	"github.com/sidestep-mesh/sidestep/internal/mesh"
	"github.com/sidestep-mesh/sidestep/internal/migrate"
	"github.com/sidestep-mesh/sidestep/internal/plan"
	istiosecurity "istio.io/api/security/v1beta1"
	securityv1 "istio.io/client-go/pkg/apis/security/v1"
)

// largestObject is what etcd takes at most, less what an API server adds: 1 MiB (ConfigMap's own validation).
const largestObject = 1 << 20

// The record of 4,000 services, all in one namespace, stays below the size of an API object, and reads back as it was written.
func TestARecordOf4000ServicesFitsIntoObjects(t *testing.T) {
	p := &migrate.Plan{ID: "0123456789abcdef", Waves: []plan.Wave{{Name: "prepare"}, {Name: "bind"}, {Name: "move-1"}}}
	ambient := "ambient"
	g := map[string]migrate.StepProgress{}
	add := func(wave int, kind plan.StepKind, e plan.Edit) {
		s := plan.Step{ID: strings.ToLower(string(kind) + "-" + e.Object.Name), Kind: kind, Subject: e.Object, Why: "for the sake of the test", Edit: e, Undo: plan.Edit{Verb: plan.Delete, Object: e.Object}}
		p.Waves[wave].Steps = append(p.Waves[wave].Steps, s)
		g[s.ID] = migrate.StepProgress{State: migrate.Passed, Since: epochOf(len(g)), Before: &migrate.Before{Labels: map[string]*string{mesh.LabelDataplaneMode: nil}}}
	}
	for i := range 4000 {
		name := fmt.Sprintf("service-%d", i)
		o := &securityv1.AuthorizationPolicy{}
		o.Name, o.Namespace = name, "app"
		o.Spec.Rules = []*istiosecurity.Rule{{To: []*istiosecurity.Rule_To{{Operation: &istiosecurity.Operation{Paths: []string{fmt.Sprintf("/%s/%x", name, i*7919)}}}}}}
		add(0, plan.KindCopy, plan.Edit{Verb: plan.Create, Object: mesh.Ref{Group: "security.istio.io", Kind: "AuthorizationPolicy", Namespace: "app", Name: name}, Put: o})
		add(1, plan.KindBind, plan.Edit{Verb: plan.Label, Object: mesh.Ref{Kind: "Service", Namespace: "app", Name: name}, Labels: map[string]*string{mesh.LabelUseWaypoint: &ambient}})
		add(2, plan.KindMove, plan.Edit{Verb: plan.Template, Object: mesh.Ref{Kind: "Deployment", Namespace: "app", Name: name}, Labels: map[string]*string{mesh.LabelDataplaneMode: &ambient}})
	}
	server := livetest.New(t, "apiVersion: v1\nkind: Namespace\nmetadata: {name: app}\n")
	w, err := live.NewWriter(server.Cluster())
	if err != nil {
		t.Fatal(err)
	}
	largest := 0
	server.After = func(x livetest.Write) {
		if o := server.Get("", x.Resource, x.Namespace, x.Name); o != nil {
			raw, err := json.Marshal(o.Object)
			if err != nil {
				t.Error(err)
			}
			if largest = max(largest, len(raw)); len(raw) > largestObject {
				t.Errorf("%s has %d bytes", x, len(raw))
			}
		}
	}
	rec, err := w.Begin(t.Context(), "istio-system", p, migrate.Progress{Wish: migrate.Run})
	if err != nil {
		t.Fatal(err)
	}
	rec.Steps = g
	if err := w.SaveSteps(t.Context(), rec, p.Waves[0].Steps[0].ID); err != nil {
		t.Fatal(err)
	}
	read, err := w.ReadRecord(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want, _ := json.Marshal(p.Waves)
	have, _ := json.Marshal(read.Plan.Waves)
	if string(want) != string(have) || len(read.Steps) != len(g) {
		t.Errorf("it reads back otherwise: %d steps of %d", len(read.Steps), len(g))
	}
	t.Logf("12,000 steps: the largest object has %d KiB", largest>>10)
}
