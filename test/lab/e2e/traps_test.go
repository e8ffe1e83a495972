//go:build lab

package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/sidestep-mesh/sidestep/test/lab/scenario"
)

// What the audit of the live cluster says of each trap is what its scenario says.
func TestTheAuditSaysOfEveryTrapWhatItsScenarioSays(t *testing.T) {
	ctx, _ := use(t)
	report := audit(ctx, t, "--kubeconfig", shared.Kubeconfig)
	for _, s := range narrow(t) {
		t.Run(s.Name, func(t *testing.T) { claimsHold(t, report, s) })
	}
}

func claimsHold(t *testing.T, report auditReport, s *scenario.Scenario) {
	t.Helper()
	for _, c := range s.Claims {
		claimHolds(t, report, c)
	}
}

func claimHolds(t *testing.T, report auditReport, c scenario.Claim) {
	t.Helper()
	have, err := codesOf(report, c)
	if err != nil {
		t.Error(err)
		return
	}
	for _, code := range c.Codes {
		if !slices.Contains(have, code) {
			t.Errorf("%s %s: the audit found %v, not %s", c.Kind, c.Name, have, code)
		}
	}
	for _, code := range c.Without {
		if slices.Contains(have, code) {
			t.Errorf("%s %s: the audit found %v, and %s among them", c.Kind, c.Name, have, code)
		}
	}
}

// codesOf returns the codes found for what a claim is about. An error says that mode or verdict differ, or that nothing is known of it.
func codesOf(report auditReport, c scenario.Claim) ([]string, error) {
	var codes []string
	if c.Kind != "" {
		for _, f := range report.Findings {
			if f.Subject.Kind == c.Kind && f.Subject.Namespace+"/"+f.Subject.Name == c.Name {
				codes = append(codes, f.Code)
			}
		}
		return codes, nil
	}
	for _, w := range report.Workloads {
		if w.Namespace+"/"+w.Name != c.Name {
			continue
		}
		if w.Mode != c.Mode || !slices.Contains(strings.Split(c.Verdict, "|"), w.Verdict) {
			return nil, fmt.Errorf("%s: the audit says mode %s and verdict %s, want %s and %s", w, w.Mode, w.Verdict, c.Mode, c.Verdict)
		}
		for _, f := range w.Findings {
			codes = append(codes, f.Code)
		}
		return codes, nil
	}
	return nil, fmt.Errorf("the audit knows no workload %s", c.Name)
}

// What `sidestep authz` answers of the cluster names the request that opens or closes: `diff` on the live cluster, `can` on a
// snapshot of it taken just before, which spares the API server 25 times a list of everything.
func TestAuthzAnswersOfEveryTrapWhatItsScenarioSays(t *testing.T) {
	ctx, _ := use(t)
	archive := snapshotOf(ctx, t)
	for _, s := range narrow(t) {
		t.Run(s.Name, func(t *testing.T) {
			t.Parallel()
			for _, q := range s.Questions {
				answersHold(ctx, t, archive, q)
			}
		})
	}
}

// snapshotOf takes a snapshot of the cluster as it is.
func snapshotOf(ctx context.Context, t *testing.T) string {
	t.Helper()
	archive := filepath.Join(t.TempDir(), "lab.snapshot")
	runSidestep(ctx, t, "snapshot", "--kubeconfig", shared.Kubeconfig, "--out", archive)
	return archive
}

func answersHold(ctx context.Context, t *testing.T, archive string, q scenario.Question) {
	t.Helper()
	if q.Command == "can" {
		decisionsHold(t, q, runSidestep(ctx, t, append([]string{"authz", "can", "-f", archive, "-o", "json"}, q.Args...)...))
		return
	}
	out := runSidestep(ctx, t, append([]string{"authz", "diff", "--kubeconfig", shared.Kubeconfig, "-o", "json"}, q.Args...)...)
	var diff struct {
		Divergences []struct {
			Kind, Words   string
			Before, After decision
		}
	}
	if err := json.Unmarshal(out, &diff); err != nil {
		t.Fatal(err)
	}
	for _, a := range q.Answers {
		var near, found []string
		for _, d := range diff.Divergences {
			text := fmt.Sprintf("%s: %s -> %s", d.Words, d.Before, d.After)
			switch {
			case d.Kind == a.Kind && a.Holds(text):
				found = append(found, text)
			case a.Holds(text):
				near = append(near, d.Kind+" "+text)
			}
		}
		if a.None && len(found) > 0 {
			t.Errorf("%s: nothing %s was to be found with %q, yet there is\n%s", q, a.Kind, a.Texts, firstLines(found))
		}
		if !a.None && len(found) == 0 {
			t.Errorf("%s: nothing %s with %q among %d divergences; other kinds: %s", q, a.Kind, a.Texts, len(diff.Divergences), firstLines(near))
		}
	}
}

// decision is what one side of a divergence, or the answer to one call, says.
type decision struct{ Decision, By, Policy string }

func (d decision) String() string {
	text := d.Decision + " by " + d.By
	if d.Policy != "" {
		text += " (" + d.Policy + ")"
	}
	return text
}

func decisionsHold(t *testing.T, q scenario.Question, out []byte) {
	t.Helper()
	var can struct{ Answers []decision }
	if err := json.Unmarshal(out, &can); err != nil {
		t.Fatal(err)
	}
	if len(can.Answers) == 0 {
		t.Errorf("%s: no answer", q)
	}
	for _, have := range can.Answers {
		for _, want := range q.Answers {
			if !want.Holds(have.String()) {
				t.Errorf("%s: %s, want %q", q, have, want.Texts)
			}
		}
	}
}

func firstLines(lines []string) string { return strings.Join(lines[:min(5, len(lines))], "\n") }

// Labels change at once, pods when they restart: until then every kind of workload is named by the audit, also those that guides
// and scripts leave out.
func TestARestartIsDueForEveryKindOfWorkload(t *testing.T) {
	ctx, client := use(t)
	const ns = "t20-restart"
	relabel := func(ctx context.Context, injection, dataplane any) {
		t.Helper()
		err := errors.Join(patchLabel(ctx, client, ns, "istio-injection", injection), patchLabel(ctx, client, ns, "istio.io/dataplane-mode", dataplane))
		if err != nil {
			t.Error(err)
		}
	}
	t.Cleanup(func() { relabel(context.WithoutCancel(ctx), "enabled", nil) })
	relabel(ctx, nil, "ambient")
	report := audit(ctx, t, "--kubeconfig", shared.Kubeconfig)
	for _, c := range []scenario.Claim{
		{Name: ns + "/web", Mode: "sidecar", Verdict: "ambient", Codes: []string{"SS106"}},
		// Its pods have names, which a virtual machine of another scenario could call: then it keeps its sidecar.
		{Name: ns + "/db", Mode: "sidecar", Verdict: "ambient|sidecar", Codes: []string{"SS106"}},
		{Name: ns + "/agent", Mode: "sidecar", Verdict: "ambient", Codes: []string{"SS106"}},
		// It has no pods now: its next ones will be right.
		{Name: ns + "/nightly", Mode: "ambient", Verdict: "ambient", Without: []string{"SS106"}},
	} {
		claimHolds(t, report, c)
	}
}
