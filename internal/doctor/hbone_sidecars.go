package doctor

import "github.com/sidestep-mesh/sidestep/internal/audit"

var hboneSidecars = Check{
	ID:         "hbone-sidecars",
	Sentence:   "Every sidecar that ambient workloads call speaks HBONE",
	Otherwise:  "A sidecar that ambient workloads call does not speak HBONE",
	Severity:   audit.Warning,
	Confidence: Certain,
	Symptoms:   []Symptom{Symptom503, Symptom403},
	Cause:      "ztunnel cannot speak Istio's older mutual TLS: it calls such a sidecar in plaintext, which STRICT refuses and policies by identity do not recognise.",
	Fix:        "Set ISTIO_META_ENABLE_HBONE in meshConfig.defaultConfig.proxyMetadata and restart the workload before its callers become ambient.",
	References: []string{"istio/istio pkg/config/constants/constants.go"},
	Rules:      []string{"SS112"},
}
