package audit

import (
	"fmt"
	"slices"

	"github.com/sidestep-mesh/sidestep/internal/mesh"
)

// meshTelemetry counts what mesh-wide defaults lose with ztunnel alone.
var meshTelemetry = Rule{
	Code:       "SS604",
	Title:      "Mesh-wide telemetry ends where no waypoint is",
	Severity:   Warning,
	Requires:   VerdictNone,
	Inputs:     Inputs{Facts: []Fact{FactVerdicts, FactSettings}},
	References: []string{"istio/istio pilot/pkg/model/telemetry.go", "https://istio.io/latest/docs/ambient/usage/l7-features/"},
	Why: "Tracing and request logs that are on for the whole mesh are made by Envoy. Workloads whose verdict is ambient will have neither, and spans of their calls are missing in traces: " +
		"one span for each waypoint remains. Nobody asked for them at these workloads in particular, so they change no verdict.",
	Remedy: "Decide for which Services traces and request logs are worth a waypoint, and bind those.",
	Whole: func(m *MeshView) []Finding {
		s := m.Settings()
		var out []Finding
		for _, t := range []struct {
			what    string
			on      bool
			feature mesh.Feature
		}{{"tracing", s.DefaultTracing, mesh.Tracing}, {"request logging", s.DefaultAccessLog, mesh.AccessLogging}} {
			lost, evidence := 0, []mesh.Evidence{}
			for _, r := range m.Results() {
				if r.Verdict != VerdictAmbient || r.Workload.Mode != mesh.Sidecar {
					continue
				}
				wide := meshWide(r.Workload, t.feature, s)
				if t.on || len(wide) > 0 {
					lost++
				}
				for _, e := range wide {
					if !slices.Contains(evidence, e) {
						evidence = append(evidence, e)
					}
				}
			}
			if lost == 0 {
				continue
			}
			if len(evidence) == 0 {
				evidence = s.Evidence
			}
			out = append(out, one(fmt.Sprintf("Mesh-wide %s ends for %s with verdict ambient: ztunnel makes none.", t.what, count(lost, "workload", "workloads")), evidence...)...)
		}
		return out
	},
}

// meshWide is the evidence of a feature that comes from the root namespace.
func meshWide(w *mesh.Workload, feature mesh.Feature, s mesh.Settings) []mesh.Evidence {
	var out []mesh.Evidence
	for _, u := range w.Uses {
		if u.Feature != feature {
			continue
		}
		for _, e := range u.Evidence {
			if e.Object.Namespace == s.RootNamespace {
				out = append(out, e)
			}
		}
	}
	return out
}
