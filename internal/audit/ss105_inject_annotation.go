package audit

import (
	"fmt"

	"github.com/sidestep-mesh/sidestep/internal/mesh"
)

// injectAnnotation: the old form of the injection label.
var injectAnnotation = Rule{
	Code:       "SS105",
	Title:      "sidecar.istio.io/inject is an annotation",
	Severity:   Warning,
	Requires:   VerdictNone,
	Modes:      []mesh.Mode{mesh.Sidecar, mesh.Ambient, mesh.None},
	Inputs:     Inputs{Features: []mesh.Feature{mesh.InjectAnnotation}, Facts: []Fact{FactMode}},
	References: []string{"istio/istio pkg/kube/inject/inject.go (injectRequired)"},
	Why: "The injection webhook is called by labels. The annotation of the same name is deprecated: true cannot bring a sidecar by itself, and false holds only where " +
		"the webhook is called anyway. Steps that read or change labels miss it.",
	Remedy: "Write it as a label of the pod template.",
	Check: func(v *View) []Finding {
		uses := v.Uses(mesh.InjectAnnotation)
		if len(uses) == 0 {
			return nil
		}
		evidence := gather(uses)
		if v.Mode() != mesh.Sidecar && values(evidence) == "true" {
			return one("Annotation sidecar.istio.io/inject: \"true\" brings no sidecar: the webhook is called by labels.", evidence...)
		}
		return one(fmt.Sprintf("Injection is controlled by annotation sidecar.istio.io/inject: %q, which is deprecated and easy to miss.", values(evidence)), evidence...)
	},
}
