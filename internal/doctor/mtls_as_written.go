package doctor

import "github.com/sidestep-mesh/sidestep/internal/audit"

var mtlsAsWritten = Check{
	ID:         "mtls-as-written",
	Sentence:   "Mutual TLS is in force as PeerAuthentications say",
	Otherwise:  "Mutual TLS is not in force as a PeerAuthentication says",
	Severity:   audit.Warning,
	Confidence: Certain,
	Symptoms:   []Symptom{Symptom503, Symptom403},
	Cause:      "ztunnel does not disable mTLS, and headless Services under STRICT cannot be reached by sidecars.",
	Fix:        "Set PERMISSIVE instead of DISABLE, and move callers of headless Services before their servers.",
	References: []string{"https://github.com/istio/istio/issues/54921"},
	Rules:      []string{"SS213", "SS215", "SS809"},
}
