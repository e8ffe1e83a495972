package doctor

import (
	"fmt"
	"slices"

	"github.com/sidestep-mesh/sidestep/internal/audit"
)

// badRelease is a fault of released versions that ambient meshes run into.
type badRelease struct {
	component, what, fixed, reference string
	versions                          []string
	severity                          Severity
}

// badReleases are read from release notes and issues; versions are those that have the fault.
var badReleases = []badRelease{
	{"istiod", "may lose updates of addresses while pushes are scoped (AMBIENT_SCOPED_ADDRESS_PUSHES): callers keep using pods that are gone", "1.30.5 or 1.31.1",
		"https://istio.io/latest/news/releases/1.31.x/announcing-1.31.1/", []string{"1.30.3", "1.30.4", "1.31.0"}, audit.Warning},
	{"istiod", "pushes to every proxy for changes of a VirtualService's metadata alone", "1.30.3", "https://github.com/istio/istio/issues/60629", []string{"1.30.0", "1.30.1", "1.30.2"}, audit.Info},
	{"istio-cni", "writes its rules twice into enrolled pods when the iptables backend changes", "1.31.1", "https://github.com/istio/istio/issues/61020", []string{"1.31.0"}, audit.Info},
}

var releasesSound = Check{
	ID:         "releases-sound",
	Sentence:   "Every component runs a release that is sound for ambient mode",
	Otherwise:  "A component runs a release with a known fault in ambient mode",
	Severity:   audit.Warning,
	Confidence: Possible,
	Symptoms:   []Symptom{Symptom503, SymptomRollout},
	Cause:      "The release has a fault that its successor mends.",
	Fix:        "Upgrade to the release that the finding names.",
	References: []string{"https://istio.io/latest/news/releases/"},
	Look: func(v *View) []Finding {
		var out []Finding
		images := v.images()
		for _, bad := range badReleases {
			out = append(out, manyWorkloads(images, func(r *running) string {
				if r.component() == bad.component && slices.Contains(bad.versions, r.version) {
					return r.version
				}
				return ""
			}, func(r *running, _ int) Finding {
				return Finding{Subject: r.workload.Ref, Severity: bad.severity, Evidence: r.evidence(),
					Message: fmt.Sprintf("%s %s %s.", bad.component, r.version, bad.what), Fix: "Upgrade to " + bad.fixed + " (" + bad.reference + ")."}
			})...)
		}
		return out
	},
}
