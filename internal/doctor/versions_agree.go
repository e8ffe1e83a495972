package doctor

import (
	"fmt"

	"github.com/sidestep-mesh/sidestep/internal/audit"
)

var versionsAgree = Check{
	ID:         "versions-agree",
	Sentence:   "Every proxy is of istiod's minor version or the one before",
	Otherwise:  "A proxy is newer than istiod, or too old for it",
	Severity:   audit.Warning,
	Confidence: Certain,
	Symptoms:   []Symptom{Symptom503, SymptomRollout},
	Cause:      "An upgrade stopped half-way, or pods were not restarted after it.",
	Fix:        "Upgrade istiod first, then istio-cni, ztunnel, gateways and waypoints; restart workloads with older sidecars.",
	References: []string{"https://istio.io/latest/docs/releases/supported-releases/", "https://istio.io/latest/docs/ambient/upgrade/helm/"},
	Look: func(v *View) []Finding {
		newest, oldest := -1, -1
		images := v.images()
		for i := range images {
			if r := &images[i]; r.component() == "istiod" && r.minor >= 0 {
				newest = max(newest, r.minor)
				if oldest < 0 || r.minor < oldest {
					oldest = r.minor
				}
			}
		}
		if newest < 0 {
			return nil
		}
		return manyWorkloads(images, func(r *running) string {
			if c := r.component(); c != "istiod" && r.minor >= 0 && (r.minor > newest || r.minor < oldest-1) {
				return c + r.version
			}
			return ""
		}, func(r *running, others int) Finding {
			word := "more than one minor behind"
			if r.minor > newest {
				word = "newer than"
			}
			return Finding{Subject: r.workload.Ref, Evidence: r.evidence(),
				Message: fmt.Sprintf("The %s of %s/%s%s is %s, %s istiod (1.%d).", r.component(), r.workload.Namespace, r.workload.Name, andOthers(others), r.version, word, newest)}
		})
	},
}

func andOthers(n int) string {
	switch n {
	case 0:
		return ""
	case 1:
		return " and of 1 more workload"
	}
	return fmt.Sprintf(" and of %d more workloads", n)
}
