//go:build lab && roi

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	lab "github.com/sidestep-mesh/sidestep/test/lab"
	"github.com/sidestep-mesh/sidestep/test/lab/scenario"
	"github.com/sidestep-mesh/sidestep/test/lab/standin"
)

// What is in this file and in endstate_test.go is a run of its own (make test-lab-roi, build tag roi): it moves the largest scenario to
// its end state, which no other test expects, and takes minutes.

// wanted is that scenario alone: pods that find room on nodes of other scenarios would be taken for savings.
var wanted = []string{"payments-400"}

// roiReport is the part of the report's JSON that this test reads.
type roiReport struct {
	Rows []struct {
		Name, Finding      string
		Promised, Realised roiFigure
	}
	Ladder []struct {
		Number int
		Lines  []struct {
			Name   string
			Figure roiFigure
		}
	}
	HybridTax struct{ Verdict, Why string }
	Latency   []struct {
		Namespace, Quantile, Finding, Why string
		Shift                             roiFigure
		PairedHours                       int
	}
	Drift     []string
	Simulated string
	Gaps      []struct{ What, Why string }
}

type roiFigure struct {
	Value, Low, High *float64
	Missing          string
}

// The promise made before the move is kept after it, on a real scheduler and a real Prometheus; what is made up is said.
// With models under which the move makes things worse, the report says that instead.
func TestROIPromisedAndRealisedOnPayments(t *testing.T) {
	ctx, client := use(t)
	s, err := scenario.Load("payments-400")
	if err != nil {
		t.Fatal(err)
	}
	if os.Getenv("SIDESTEP_LAB") != "" { // a lab that stays: what comes next finds the scenario absent, not changed
		t.Cleanup(func() {
			if err := s.Unload(context.WithoutCancel(ctx), client); err != nil {
				t.Error(err)
			}
		})
	}
	end := beforeTheHead(ctx, t)
	r := roiRun{dir: t.TempDir(), namespaces: s.OwnNamespaces(), change: end.AddDate(0, 0, -3)}
	baseline := filepath.Join(r.dir, "baseline.json")

	// An autoscaler would have taken the slack that is there anyway long ago. What it takes afterwards is due to the move.
	began := time.Now()
	slack := r.removable(ctx, t, "forecast", "not due to the change: slack that packing afresh would find today")
	taken := shrink(ctx, t, client, slack, func(cordoned []string) { deletePods(ctx, t, client, cordoned, false) })
	t.Logf("%d nodes of slack were said to be there, %d went, in %s", slack, taken, time.Since(began).Round(time.Second))

	writeHistory(ctx, t, lab.History{Days: 7, Step: 5 * time.Minute, End: r.change})
	runSidestep(ctx, t, r.args("baseline", r.change, "7d", "--out", baseline)...)
	began = time.Now()
	promised := r.removable(ctx, t, "forecast", "replace")
	gone := shrink(ctx, t, client, promised, func([]string) { moveToEndState(ctx, t, client, s) })
	t.Logf("%d nodes were promised, %d went, in %s", promised, gone, time.Since(began).Round(time.Second))
	t.Run("the published figures of proxies", func(t *testing.T) {
		out := r.report(ctx, t, baseline, end, "published")
		asPromised(t, out, gone)
		for _, line := range out.rung(2) {
			if line.Value == nil || *line.Value <= 0 {
				t.Errorf("usage freed: %+v, want something", line)
			}
		}
		if improved, judged := out.latency("improved"); improved != judged || judged < len(r.namespaces) {
			t.Errorf("latency improved in %d of %d verdicts, want all, and at least %d: %+v", improved, judged, len(r.namespaces), out.Latency)
		}
		if len(out.Drift) > 0 {
			t.Errorf("drift: %q", out.Drift)
		}
	})
	t.Run("proxies that cost more than what they replace", func(t *testing.T) {
		setFaults(ctx, t, standin.Faults{Metrics: standin.MetricsFault{Model: "bad"}})
		out := r.report(ctx, t, baseline, end, "bad")
		asPromised(t, out, gone) // what is requested does not change
		for _, line := range out.rung(2) {
			if line.Value == nil || *line.Value >= 0 {
				t.Errorf("usage freed: %+v, want it negative", line)
			}
		}
		if worse, judged := out.latency("worse"); worse != judged || judged == 0 {
			t.Errorf("latency is worse in %d of %d verdicts, want all: %+v", worse, judged, out.Latency)
		}
		drift := strings.Join(out.Drift, "\n")
		for _, want := range []string{"hybrid tax", "CPU used by the mesh grew", "memory used by the mesh grew", "P50 latency is worse", "P99 latency is worse", "errors in "} {
			if !strings.Contains(drift, want) {
				t.Errorf("the drift lacks %q:\n%s", want, drift)
			}
		}
	})
}

// asPromised checks that each row is within the range that the report itself states, and the nodes within one.
func asPromised(t *testing.T, out roiReport, gone int) {
	t.Helper()
	for _, row := range out.Rows {
		if row.Finding != "as promised" {
			t.Errorf("%s: %s (promised %s, realised %s)", row.Name, row.Finding, row.Promised, row.Realised)
		}
	}
	if nodes := out.rung(4); len(nodes) != 1 || nodes[0].Value == nil || int(*nodes[0].Value) != gone {
		t.Errorf("%d nodes went, the report counts %v", gone, nodes)
	}
}

func (f roiFigure) String() string {
	if f.Value == nil {
		return f.Missing
	}
	if f.Low == nil || f.High == nil {
		return fmt.Sprint(*f.Value)
	}
	return fmt.Sprintf("%g (%g to %g)", *f.Value, *f.Low, *f.High)
}

func (r roiReport) rung(number int) []roiFigure {
	var out []roiFigure
	for _, rung := range r.Ladder {
		for _, line := range rung.Lines {
			if rung.Number == number {
				out = append(out, line.Figure)
			}
		}
	}
	return out
}

// latency counts verdicts: how many are this one, of how many that rest on 50 hours or more.
func (r roiReport) latency(finding string) (n, judged int) {
	for _, v := range r.Latency {
		if v.Finding == "insufficient data" || v.PairedHours < 50 {
			continue
		}
		if judged++; v.Finding == finding {
			n++
		}
	}
	return n, judged
}

type roiRun struct {
	dir        string
	namespaces []string
	change     time.Time
}

func (r roiRun) args(command string, until time.Time, window string, more ...string) []string {
	args := []string{
		"roi", command, "--kubeconfig", shared.Kubeconfig, "--prometheus", shared.Prometheus, "--window", window,
		"--until", until.Format(time.RFC3339), "--waypoint-replicas", "1",
		// The callers' own histogram: the one instrument of the lab that is there in every mode.
		"--edge", `job="application"`, "--latency-metric", "http_client_request_duration_seconds", "--latency-scale", "1000",
		"--requests-metric", "http_client_request_duration_seconds_count", "--error-matcher", `http_response_status_code="503"`,
		"--latency-namespace-label", "namespace",
	}
	return append(args, more...)
}

// simulated is what the user of a lab tells the report.
const simulated = "usage, latency and traffic come from the lab's model of proxies; nodes and pods are simulated by kwok"

// report gives Prometheus the three days after the move, as the model that is set has them, and asks for the report.
func (r roiRun) report(ctx context.Context, t *testing.T, baseline string, end time.Time, model string) roiReport {
	t.Helper()
	writeHistory(ctx, t, lab.History{Days: 3, Step: 5 * time.Minute, End: end})
	more := []string{"--baseline", baseline, "--simulated", simulated}
	for _, ns := range r.namespaces {
		more = append(more, "--enrolled", ns+"="+r.change.Format(time.RFC3339))
	}
	var out roiReport
	if err := json.Unmarshal(runSidestep(ctx, t, r.args("report", end, "3d", append(more, "-o", "json")...)...), &out); err != nil {
		t.Fatal(err)
	}
	if out.Simulated != simulated || len(out.Rows) != 3 || !strings.Contains(out.Rows[2].Name, "simulated") {
		t.Errorf("the report does not name what is simulated: %q, %+v", out.Simulated, out.Rows)
	}
	return out
}

// removable asks what the simulation says of nodes now, without metrics.
func (r roiRun) removable(ctx context.Context, t *testing.T, command, name string) int {
	t.Helper()
	var out roiReport
	raw := runSidestep(ctx, t, "roi", command, "--kubeconfig", shared.Kubeconfig, "--waypoint-replicas", "1", "-o", "json")
	if err := json.Unmarshal(raw, &out); err != nil {
		t.Fatal(err)
	}
	for _, rung := range out.Ladder {
		for _, line := range rung.Lines {
			if rung.Number == 3 && line.Name == name && line.Figure.Value != nil {
				return int(*line.Figure.Value)
			}
		}
	}
	t.Fatalf("the forecast has no %q: %+v", name, out.Ladder)
	return 0
}

// beforeTheHead is the hour before Prometheus began to scrape: history must not overlap what was scraped.
func beforeTheHead(ctx context.Context, t *testing.T) time.Time {
	t.Helper()
	var answer struct {
		Data struct {
			HeadStats struct{ MinTime int64 }
		}
	}
	if err := getJSON(ctx, shared.Prometheus+"/api/v1/status/tsdb", &answer); err != nil {
		t.Fatal(err)
	}
	return time.UnixMilli(answer.Data.HeadStats.MinTime).UTC().Truncate(time.Hour)
}

func writeHistory(ctx context.Context, t *testing.T, h lab.History) {
	t.Helper()
	began := time.Now()
	written, err := shared.WriteHistory(ctx, h)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%s, in %s", written, time.Since(began).Round(time.Second))
}
