package verify_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/sidestep-mesh/sidestep/internal/mesh"
	"github.com/sidestep-mesh/sidestep/internal/meshtest"
	"github.com/sidestep-mesh/sidestep/internal/metric"
	"github.com/sidestep-mesh/sidestep/internal/verify"
)

// dump reads lines "METRIC REPORTER FROM RESULT COUNT [le]" about calls to app/s; "METRIC !why" is an answer that failed.
func dump(t *testing.T, text string) metric.Dump {
	t.Helper()
	d := metric.Dump{}
	for _, m := range metric.Migration() {
		d.Results = append(d.Results, metric.Result{Metric: m.Name})
	}
	for _, line := range strings.Split(strings.TrimSpace(text), "\n") {
		f := strings.Fields(line)
		if len(f) == 0 {
			continue
		}
		for i := range d.Results {
			r := &d.Results[i]
			switch {
			case r.Metric != f[0]:
			case strings.HasPrefix(f[1], "!"):
				r.Failed = f[1][1:]
			default:
				count, err := strconv.ParseFloat(f[4], 64)
				if err != nil {
					t.Fatal(err)
				}
				labels := map[string]string{"reporter": f[1], "source_workload": f[2], "source_workload_namespace": "app", "source_principal": "spiffe://cluster.local/ns/app/sa/" + f[2],
					"destination_workload": "s", "destination_workload_namespace": "app", "result": f[3]}
				if len(f) > 5 {
					labels["le"] = f[5]
				}
				r.Series = append(r.Series, metric.Series{Labels: labels, Points: []metric.Point{{V: count}}})
			}
		}
	}
	return d
}

// Every gate on traffic passes, fails and cannot tell, each where it should.
func TestGatesOnTraffic(t *testing.T) {
	text, err := meshtest.Text("namespace app inject\nDeployment app/c 8080\nDeployment app/s 8080\nservice app/s 80:8080\nwaypoint app/waypoint\n")
	if err != nil {
		t.Fatal(err)
	}
	m := mesh.Build(meshtest.Load(t, text), mesh.Assume{})
	const calls, connections, latency, observed = "workload_calls", "workload_connections", "workload_latency", "observed_callers"
	for name, c := range map[string]struct {
		gate, before, now string
		want              verify.Verdict
		against           verify.Side
	}{
		"as few errors as before":                      {verify.ErrorRate, calls + " destination c ok 9990\n" + calls + " destination c failed 10", calls + " waypoint c ok 9990\n" + calls + " waypoint c failed 12", verify.Pass, ""},
		"errors are up":                                {verify.ErrorRate, calls + " destination c ok 9990", calls + " waypoint c ok 9000\n" + calls + " waypoint c failed 900", verify.Fail, verify.New},
		"too little traffic for errors":                {verify.ErrorRate, calls + " destination c ok 9990", calls + " waypoint c ok 9", verify.Inconclusive, ""},
		"a few errors among few calls":                 {verify.ErrorRate, calls + " destination c ok 9990", calls + " waypoint c ok 60\n" + calls + " waypoint c failed 1", verify.Inconclusive, ""},
		"nobody reads HTTP any more":                   {verify.ErrorRate, calls + " destination c ok 9990", connections + " destination c ok 500", verify.Inconclusive, ""},
		"never any HTTP":                               {verify.ErrorRate, "", connections + " destination c ok 500", verify.Pass, ""},
		"no server to ask":                             {verify.ErrorRate, calls + " !gone", calls + " !gone", verify.Inconclusive, ""},
		"a reporter is not counted twice":              {verify.ErrorRate, calls + " destination c ok 100\n" + calls + " source c ok 100", calls + " waypoint c ok 5000\n" + calls + " source c failed 5000", verify.Pass, ""},
		"as fast as before":                            {verify.Latency, latency + " source c - 96 10\n" + latency + " source c - 100 +Inf", latency + " source c - 960 10\n" + latency + " source c - 1000 +Inf", verify.Pass, ""},
		"slower by chance or not":                      {verify.Latency, latency + " source c - 96 10\n" + latency + " source c - 100 +Inf", latency + " source c - 90 10\n" + latency + " source c - 100 +Inf", verify.Inconclusive, ""},
		"latency is worse":                             {verify.Latency, latency + " source c - 9600 10\n" + latency + " source c - 10000 +Inf", latency + " source c - 5000 10\n" + latency + " source c - 10000 +Inf", verify.Fail, verify.New},
		"nobody reports latency now":                   {verify.Latency, latency + " source c - 9600 10\n" + latency + " source c - 10000 +Inf", "", verify.Inconclusive, ""},
		"connections hold":                             {verify.ConnectionFailures, "", connections + " destination c ok 500", verify.Pass, ""},
		"connections fail":                             {verify.ConnectionFailures, "", connections + " destination c ok 500\n" + connections + " destination c failed 100", verify.Fail, verify.New},
		"too few connections":                          {verify.ConnectionFailures, "", connections + " destination c ok 5", verify.Inconclusive, ""},
		"the caller still calls":                       {verify.CallsConserved, calls + " destination c ok 100", connections + " destination c ok 3", verify.Pass, ""},
		"healthy, and one caller fell silent":          {verify.CallsConserved, calls + " destination c ok 100\n" + calls + " destination d ok 100", calls + " waypoint c ok 100", verify.Fail, verify.NoSide},
		"a caller that was not there":                  {verify.CallsConserved, calls + " destination c ok 100", calls + " waypoint c ok 100\n" + calls + " waypoint x ok 100", verify.Fail, verify.NoSide},
		"the waypoint stands for its callers":          {verify.CallsConserved, calls + " destination c ok 100", calls + " waypoint c ok 100\n" + connections + " destination waypoint ok 50", verify.Pass, ""},
		"who calls is not known":                       {verify.CallsConserved, "", calls + " waypoint c ok 100", verify.Fail, verify.NoSide},
		"nobody called much":                           {verify.CallsConserved, calls + " destination c ok 3", calls + " waypoint c ok 3", verify.Inconclusive, ""},
		"all through the waypoint":                     {verify.EnforcementConserved, "", connections + " destination waypoint ok 50", verify.Pass, ""},
		"a bypass":                                     {verify.EnforcementConserved, "", connections + " destination waypoint ok 50\n" + connections + " destination c ok 1", verify.Fail, verify.NoSide},
		"the waypoint made few connections":            {verify.EnforcementConserved, "", connections + " destination waypoint ok 2", verify.Inconclusive, ""},
		"still refused, elsewhere":                     {verify.DenialsConserved, calls + " destination x denied 50", calls + " waypoint x denied 5", verify.Pass, ""},
		"a denial vanished":                            {verify.DenialsConserved, calls + " destination x denied 50", calls + " waypoint x ok 5", verify.Fail, verify.NoSide},
		"who was refused has not called since":         {verify.DenialsConserved, calls + " destination x denied 50", calls + " waypoint c ok 500", verify.Inconclusive, ""},
		"nobody was refused":                           {verify.DenialsConserved, calls + " destination c ok 50", calls + " waypoint c ok 50", verify.Pass, ""},
		"its sidecar sees the waypoint alone":          {"OnlyThroughWaypoint", "", observed + " - waypoint - 100", verify.Pass, ""},
		"its sidecar sees a caller past the waypoint":  {"OnlyThroughWaypoint", "", observed + " - waypoint - 100\n" + observed + " - c - 1", verify.Inconclusive, ""},
		"its sidecar sees nobody":                      {"OnlyThroughWaypoint", "", "", verify.Inconclusive, ""},
		"who moves does not call it":                   {"NoCalls", "", observed + " - d - 100", verify.Pass, ""},
		"who moves calls it":                           {"NoCalls", "", observed + " - c - 1\n" + observed + " - d - 100", verify.Inconclusive, ""},
		"too little was seen to tell that nobody does": {"NoCalls", "", observed + " - d - 1", verify.Inconclusive, ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := verify.Subject{Workload: mesh.Ref{Kind: "Deployment", Namespace: "app", Name: "s"}, Step: "move"}
			s.Object = s.Workload
			if c.gate == "NoCalls" {
				s.Workload.Name = "c"
			}
			if c.gate == verify.EnforcementConserved || c.gate == "OnlyThroughWaypoint" {
				s.Admitted = []string{"cluster.local/ns/app/sa/waypoint"}
			}
			r := verify.Check(c.gate, &verify.Evidence{Mesh: m, Baseline: dump(t, c.before), Metrics: dump(t, c.now)}, s)
			if r.Verdict != c.want || r.Against != c.against {
				t.Errorf("%s against %q (%v), want %s against %q", r.Verdict, r.Against, r.Why, c.want, c.against)
			}
			if len(r.Why) == 0 || r.Why[0] == "" {
				t.Error("it does not say why")
			}
		})
	}
}

// Every gate has a name of its own, says what holds where it passes, and cannot be waited for without end; without evidence none passes.
func TestRegistry(t *testing.T) {
	seen := map[string]bool{}
	for _, g := range verify.All() {
		if seen[g.Name] || g.Doc == "" || g.Deadline <= 0 {
			t.Errorf("%s: twice, or without a sentence or a deadline: %+v", g.Name, g)
		}
		seen[g.Name] = true
		if r := verify.Check(g.Name, &verify.Evidence{}, verify.Subject{}); r.Verdict != verify.Inconclusive {
			t.Errorf("%s: %s without any evidence", g.Name, r.Verdict)
		}
	}
	for _, name := range verify.ForMoves() {
		if !seen[name] {
			t.Errorf("no gate is called %s", name)
		}
	}
	if r := verify.Check("Luck", &verify.Evidence{}, verify.Subject{}); r.Verdict != verify.Inconclusive {
		t.Error(fmt.Sprint("an unknown gate: ", r))
	}
}
