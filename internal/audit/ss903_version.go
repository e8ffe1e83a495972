package audit

import (
	"fmt"

	"github.com/sidestep-mesh/sidestep/internal/mesh"
)

// version: behaviour differs from release to release.
var version = Rule{
	Code:       "SS903",
	Title:      "Istio's version is unknown, mixed, or outside what the rules know",
	Severity:   Warning,
	Requires:   VerdictNone,
	Inputs:     Inputs{Facts: []Fact{FactSettings}},
	References: []string{"https://istio.io/latest/docs/releases/supported-releases/"},
	Why: "What a waypoint and ztunnel can do changed in almost every release. Rules go by the oldest control plane found; where none was found, by the newest release they know, which is the " +
		"optimistic side for features that were fixed since.",
	Remedy: "Include istiod's Deployment in the input, or audit the cluster.",
	Whole: func(m *MeshView) []Finding {
		s := m.Settings()
		istiod := at(mesh.Ref{Kind: "Deployment", Namespace: s.SystemNamespace, Name: "istiod"}, "spec.template.spec.containers[0].image", "")
		switch {
		case s.Minor == 0:
			f := one(fmt.Sprintf("Istio's version is not in the input; behaviour of 1.%d is assumed.", NewestMinor), istiod)
			f[0].Severity = Info
			return f
		case s.Minor > NewestMinor:
			f := one(fmt.Sprintf("Istio 1.%d is newer than the rules, which know up to 1.%d.", s.Minor, NewestMinor), istiod)
			f[0].Remedy = "Look for a newer release of sidestep; findings about what does not work may be out of date."
			return f
		case s.Minor < GAMinor:
			f := one(fmt.Sprintf("Istio 1.%d is older than 1.%d, the first release with ambient mode generally available.", s.Minor, GAMinor), istiod)
			f[0].Remedy = "Upgrade Istio before the first workload is moved."
			return f
		case len(s.Minors) > 1:
			var all []string
			for _, minor := range s.Minors {
				all = append(all, fmt.Sprintf("1.%d", minor))
			}
			f := one(fmt.Sprintf("Control planes of several releases run (%s); rules go by the oldest.", list(all)), istiod)
			f[0].Remedy = "Finish the upgrade before the migration."
			return f
		}
		return nil
	},
}

// GAMinor is the first Istio 1.x minor with ambient mode generally available.
const GAMinor = 24
