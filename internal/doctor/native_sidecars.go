package doctor

import (
	"fmt"

	"github.com/sidestep-mesh/sidestep/internal/audit"
	"github.com/sidestep-mesh/sidestep/internal/mesh"
)

var nativeSidecars = Check{
	ID:         "native-sidecars",
	Sentence:   "Sidecars that stay are native ones where injection makes them so",
	Otherwise:  "Sidecars run as plain containers where injection would make native ones",
	Severity:   audit.Info,
	Confidence: Certain,
	Symptoms:   []Symptom{SymptomStartup, SymptomRollout},
	Cause:      "The pods were made before injection turned to native sidecars: Jobs do not end by themselves, init containers have no network through the mesh, and the proxy may stop before the application.",
	Fix:        "Restart the workload.",
	References: []string{"istio/istio pkg/kube/inject/webhook.go"},
	NeedsPods:  true,
	Look: func(v *View) []Finding {
		if !v.Mesh.Settings.NativeSidecars {
			return nil
		}
		var out []Finding
		for _, w := range v.Mesh.Workloads {
			if w.Role == mesh.Application && w.Mode == mesh.Sidecar && !w.Derived && w.Proxy.Kind == mesh.ClassicSidecar {
				out = append(out, Finding{Subject: w.Ref, Message: fmt.Sprintf("The sidecars of %s/%s are containers; new pods get native ones.", w.Namespace, w.Name)})
			}
		}
		return out
	},
}
