package doctor

import (
	"fmt"

	"github.com/sidestep-mesh/sidestep/internal/audit"
	"github.com/sidestep-mesh/sidestep/internal/mesh"
	"github.com/sidestep-mesh/sidestep/internal/metric"
)

var failedCalls = Check{
	ID:         "failed-connections",
	Sentence:   "Connections through ztunnel succeed",
	Otherwise:  "Connections fail at ztunnel",
	Severity:   audit.Error,
	Confidence: Likely,
	Symptoms:   []Symptom{Symptom503, SymptomStartup},
	Cause:      "The destination does not accept it.",
	Fix:        "See what the flag of the finding says.",
	References: []string{"istio/ztunnel src/proxy/metrics.rs"},
	Metrics:    []string{"failed_connections"},
	Alert:      &Alert{Name: "SidestepConnectionsFailed", Metric: "failed_connections", Bound: "> 0.1", For: "10m", Summary: "Connections to {{ $labels.destination_workload_namespace }}/{{ $labels.destination_workload }} fail at ztunnel: {{ $labels.response_flags }}."},
	Look: func(v *View) []Finding {
		return v.above("failed_connections", 0, func(s metric.Series, value float64) Finding {
			ns, name, flag := s.Labels["destination_workload_namespace"], s.Labels["destination_workload"], s.Labels["response_flags"]
			why := failureCauses[flag]
			return Finding{Subject: mesh.Ref{Kind: "Deployment", Namespace: ns, Name: name}, Message: fmt.Sprintf("Connections to %s/%s fail at ztunnel (%s), %s a second.", ns, name, flag, short(value)), Cause: why[0], Fix: why[1]}
		})
	},
}

// failureCauses are cause and fix by ztunnel's response flag.
var failureCauses = map[string][2]string{
	"CONNECT":              {"Nothing answers at the address: the pod is gone or not listening, or its address is used by another pod now and a pooled HBONE connection is half open.", "Check the endpoints, and set meshConfig.hboneIdleTimeout (1.29 and later) to half the CNI's cool-down of addresses."},
	"TLS_FAILURE":          {"The two ends do not accept each other's certificates: another trust domain, an expired certificate or clocks that differ by more than two minutes.", "See clocks-right and certificates-fresh; ztunnel accepts no trust domain but its workload's own, aliases included."},
	"H2_HANDSHAKE_FAILURE": {"Port 15008 answers and is no HBONE server: the destination is not captured, or something else listens there.", "Check that the destination is enrolled and that no port of the application is 15008."},
	"NETWORK_POLICY":       {"A NetworkPolicy drops port 15008.", "Admit port 15008 from the same peers as the application's ports; see network-policies."},
	"IDENTITY_ERROR":       {"ztunnel has no certificate for the workload: istiod refuses to sign it, or cannot be reached.", "Look at ztunnel's log and at istiod; CA_TRUSTED_NODE_ACCOUNTS has to name ztunnel's account."},
	"CERT_REVOKED":         {"A certificate in the chain is revoked.", "Renew the chain, or correct the list of revoked certificates."},
}
