package audit

import (
	"github.com/sidestep-mesh/sidestep/internal/mesh"
)

// mergedMetrics: Prometheus scrapes the application through the sidecar.
var mergedMetrics = Rule{
	Code:       "SS608",
	Title:      "Prometheus scrapes this application through its sidecar",
	Severity:   Warning,
	Requires:   VerdictAmbient,
	Modes:      []mesh.Mode{mesh.Sidecar},
	Inputs:     Inputs{Features: []mesh.Feature{mesh.MergedMetrics, mesh.MergeMetricsAnnotation}},
	References: []string{"https://istio.io/latest/docs/ops/integrations/prometheus/#option-1-metrics-merging", "https://github.com/defenseunicorns/uds-core/issues/1445"},
	Why: "With metrics merging the injector points the prometheus.io annotations at the sidecar's port 15020, which serves its own and the application's metrics, in plaintext. " +
		"Without a sidecar Prometheus scrapes the application's own port; under STRICT mTLS that is refused unless Prometheus is in the mesh.",
	Remedy: "Enrol Prometheus in the mesh, or admit its plaintext on the metrics port by a port-level PERMISSIVE PeerAuthentication.",
	Check: func(v *View) []Finding {
		evidence := gather(v.Uses(mesh.MergedMetrics))
		for _, e := range gather(v.Uses(mesh.MergeMetricsAnnotation)) {
			if e.Value == "true" {
				evidence = append(evidence, e)
			}
		}
		if len(evidence) == 0 {
			return nil
		}
		return one("Metrics are scraped through the sidecar (:15020); without it Prometheus scrapes the application's port itself.", evidence...)
	},
}
