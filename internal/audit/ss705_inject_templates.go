package audit

import (
	"fmt"

	"github.com/sidestep-mesh/sidestep/internal/mesh"
)

// injectTemplates: a custom injection template.
var injectTemplates = Rule{
	Code:       "SS705",
	Title:      "The pod is injected from a template of its own",
	Severity:   Warning,
	Requires:   VerdictAmbient,
	Inputs:     Inputs{Features: []mesh.Feature{mesh.InjectTemplatesAnnotation}},
	References: []string{"https://istio.io/latest/docs/setup/additional-setup/sidecar-injection/#custom-templates-experimental"},
	Why:        "A custom injection template can add anything to the pod: containers, volumes, environment. None of it is added to an ambient pod.",
	Remedy:     "Move what the template adds into the pod template itself, then remove the annotation.",
	Check: differs(func(from string) string {
		return fmt.Sprintf("%s is a custom injection template; what it adds besides the proxy is missing in ambient mode.", from)
	}, mesh.InjectTemplatesAnnotation),
}
