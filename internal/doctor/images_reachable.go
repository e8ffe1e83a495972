package doctor

import (
	"fmt"
	"strings"

	"github.com/sidestep-mesh/sidestep/internal/audit"
)

// closedHosts are registries of Istio's images that are switched off in December 2026.
var closedHosts = []string{"gcr.io/istio-release/"}

var imagesReachable = Check{
	ID:         "images-reachable",
	Sentence:   "Istio's images come from where they will still be",
	Otherwise:  "An Istio image comes from a host that is being switched off",
	Severity:   audit.Warning,
	Confidence: Certain,
	Symptoms:   []Symptom{SymptomStartup, SymptomRollout},
	Cause:      "From 1.31 on images are published at docker.io/istio alone; the former host is switched off in December 2026. Pods that are made anew after that do not start.",
	Fix:        "Set global.hub to docker.io/istio or to a mirror of your own, and charts to https://blob.istio.io/istio-release/charts or oci://ghcr.io/istio/release/charts; then restart what runs the old image.",
	References: []string{"https://istio.io/latest/news/releases/1.31.x/announcing-1.31/"},
	Look: func(v *View) []Finding {
		return manyWorkloads(v.images(), func(r *running) string {
			for _, h := range closedHosts {
				if strings.HasPrefix(r.image, h) {
					return r.component() + h
				}
			}
			return ""
		}, func(r *running, others int) Finding {
			return Finding{Subject: r.workload.Ref, Evidence: r.evidence(),
				Message: fmt.Sprintf("The %s of %s/%s%s has its image from a host that is switched off in December 2026: %s.", r.component(), r.workload.Namespace, r.workload.Name, andOthers(others), r.image)}
		})
	},
}
