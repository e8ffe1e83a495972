package controller

import (
	"log/slog"
	"testing"
	"time"

	"github.com/sidestep-mesh/sidestep/api/v1alpha1"
	"github.com/sidestep-mesh/sidestep/internal/duty"
	"github.com/sidestep-mesh/sidestep/internal/live"
	"github.com/sidestep-mesh/sidestep/internal/livetest"
	"github.com/sidestep-mesh/sidestep/internal/meshtest"
	"github.com/sidestep-mesh/sidestep/internal/object"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/event"
)

// Enforce asks for an approval of exactly this plan, carries it out on an API server, and then writes nothing more.
func TestEnforceCarriesOutWhatIsApproved(t *testing.T) {
	text, err := meshtest.Text("namespace app inject\nDeployment app/web 8080\nDeployment app/cart 8080\nservice app/cart 80:8080\n")
	if err != nil {
		t.Fatal(err)
	}
	server := livetest.New(t, text)
	server.Settle()
	writer, err := live.NewWriter(server.Cluster())
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 9, 1, 12, 0, 0, 0, time.UTC)
	e := &engine{cluster: server.Cluster(), log: slog.New(slog.DiscardHandler), meters: newMeters(), changed: make(chan event.GenericEvent, 1)}
	c := &carrier{engine: e, writer: writer, log: e.log, now: func() time.Time { return now }}
	mig := &v1alpha1.Migration{}
	mig.Name = "m"
	mig.Spec.Mode, mig.Spec.Scope.Namespaces = v1alpha1.Enforce, []string{"app"}
	mig.Spec.Gates.Soak = &metav1.Duration{}
	carry := func() *duty.Carried {
		e.take(live.News{Snapshot: server.Snapshot()})
		out, _ := c.carry(t.Context(), mig, makePlan(e.current.Load(), mig.Spec))
		return out
	}
	server.Writes()
	if out := carry(); out.Reason != "AwaitingApproval" || len(server.Writes()) > 0 {
		t.Fatalf("without an approval: %+v", out)
	}
	mig.Spec.Approvals = []v1alpha1.Approval{{Plan: "0123456789abcdef", By: "me"}}
	if out := carry(); out.Reason != "AwaitingApproval" || len(server.Writes()) > 0 {
		t.Fatalf("with an approval of another plan: %+v", out)
	}
	mig.Spec.Approvals[0].Plan = makePlan(e.current.Load(), mig.Spec).numbers.Hash
	var out *duty.Carried
	for range 100 {
		if out = carry(); out.Reason == "Done" {
			break
		}
		server.Step(1)
		now = now.Add(10 * time.Second)
	}
	if out.Reason != "Done" {
		t.Fatalf("it ends with %+v", out)
	}
	e.take(live.News{Snapshot: server.Snapshot()})
	for _, w := range e.current.Load().mesh.Workloads {
		if w.Namespace == "app" && w.Mode != object.Ambient {
			t.Errorf("%s is in mode %s", w.Ref, w.Mode)
		}
	}
	server.Writes()
	for range 10 {
		carry()
		now = now.Add(time.Minute)
	}
	if w := server.Writes(); len(w) > 0 {
		t.Errorf("writes though nothing is to be done: %v", w)
	}
}
