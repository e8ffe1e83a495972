package audit

import (
	"fmt"

	"github.com/sidestep-mesh/sidestep/internal/mesh"
)

// proxyImage: a custom proxy build.
var proxyImage = Rule{
	Code:       "SS704",
	Title:      "The sidecar runs an image of its own",
	Severity:   Warning,
	Requires:   VerdictAmbient,
	Inputs:     Inputs{Features: []mesh.Feature{mesh.ProxyImageAnnotation}},
	References: []string{"istio/api annotation/annotations.yaml"},
	Why:        "A custom proxy image may hold filters or patches that nothing in ambient mode has.",
	Remedy:     "Find out what the image adds. If it is no more than a version or a registry, remove the annotation.",
	Check: differs(func(from string) string {
		return fmt.Sprintf("%s is a proxy image of its own; what that adds ends with the sidecar.", from)
	}, mesh.ProxyImageAnnotation),
}
