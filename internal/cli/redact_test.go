package cli

import (
	"fmt"
	"slices"
	"testing"

	"github.com/sidestep-mesh/sidestep/internal/audit"
	"github.com/sidestep-mesh/sidestep/internal/report"
	"github.com/sidestep-mesh/sidestep/internal/snapshot/redact"
)

// What an audit says about a redacted mesh is what it says about the mesh, but for the names.
func TestRedactionKeepsEveryVerdict(t *testing.T) {
	snap := demoSnapshot()
	redacted := redact.Redact(snap, []byte("a key for this test, and no other"))
	plain, hidden := shapes(auditSnapshot(snap, audit.Options{}, report.Provenance{}, report.Filter{})), shapes(auditSnapshot(redacted, audit.Options{}, report.Provenance{}, report.Filter{}))
	if len(plain) < 400 || len(plain) != len(hidden) {
		t.Fatalf("%d workloads, redacted %d", len(plain), len(hidden))
	}
	for i := range plain {
		if plain[i] != hidden[i] {
			t.Fatalf("a workload is %q, redacted %q", plain[i], hidden[i])
		}
	}
}

// shapes is what remains of workloads without names, sorted.
func shapes(r *report.AuditReport) []string {
	var out []string
	for _, w := range r.Workloads {
		shape := fmt.Sprint(w.Kind, " ", w.Replicas, " pods, ", w.Mode, " -> ", w.Verdict)
		for _, f := range w.Findings {
			shape += " " + f.Code + " " + f.Severity
		}
		out = append(out, shape)
	}
	slices.Sort(out)
	return out
}
