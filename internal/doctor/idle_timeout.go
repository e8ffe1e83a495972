package doctor

import (
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/sidestep-mesh/sidestep/internal/audit"
	"github.com/sidestep-mesh/sidestep/internal/mesh"
	"github.com/sidestep-mesh/sidestep/internal/snapshot"
)

var idleTimeout = Check{
	ID:         "idle-timeout",
	Sentence:   "Pooled HBONE connections end before a pod's address is used again",
	Otherwise:  "Pooled HBONE connections may outlive a pod whose address is used again",
	Severity:   audit.Info,
	Confidence: Possible,
	Symptoms:   []Symptom{Symptom503, SymptomRollout},
	Cause:      "Envoy keeps an idle HBONE connection for an hour. Where the CNI gives a pod's address to another pod within that time, calls on it end in 503.",
	Fix:        "Set meshConfig.hboneIdleTimeout (1.29 and later) to half of the time that the CNI lets an address rest: 15s on the AWS VPC CNI.",
	References: []string{"https://github.com/istio/istio/issues/58514"},
	Kinds:      []snapshot.Kind{{Kind: "ConfigMap"}},
	Look: func(v *View) []Finding {
		s := v.Mesh.Settings
		if len(v.waypointsInUse()) == 0 || s.Minor != 0 && s.Minor < 29 {
			return nil
		}
		for _, cm := range snapshot.All[*corev1.ConfigMap](v.Mesh.Snapshot) {
			text, ok := cm.Data["mesh"]
			if !ok || cm.Namespace != s.SystemNamespace || strings.Contains(text, "hboneIdleTimeout:") {
				continue
			}
			ref := mesh.Ref{Kind: "ConfigMap", Namespace: cm.Namespace, Name: cm.Name}
			return []Finding{{Subject: ref, Message: "meshConfig.hboneIdleTimeout is not set: waypoints keep idle HBONE connections for an hour.", Evidence: []mesh.Evidence{{Object: ref, Field: "data[mesh].hboneIdleTimeout"}}}}
		}
		return nil
	},
}
