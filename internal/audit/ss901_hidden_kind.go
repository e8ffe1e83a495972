package audit

import (
	"fmt"
	"slices"
	"strings"

	"github.com/sidestep-mesh/sidestep/internal/mesh"
	"github.com/sidestep-mesh/sidestep/internal/snapshot"
)

// hiddenKind: what could not be read counts as the worst.
var hiddenKind = Rule{
	Code:       "SS901",
	Title:      "A kind that the verdict depends on could not be read",
	Severity:   Error,
	Requires:   VerdictSidecar,
	Today:      true,
	Modes:      []mesh.Mode{mesh.Sidecar, mesh.Ambient, mesh.None},
	Inputs:     Inputs{Facts: []Fact{FactUnknown, FactMode}},
	References: []string{"https://kubernetes.io/docs/reference/access-authn-authz/rbac/"},
	Why:        "Objects of this kind may exist and keep the workload on its sidecar. An audit that took them for absent would be optimistic out of ignorance, so the sidecar stays until they can be read.",
	Remedy:     "Grant list on the kind (sidestep audit --print-rbac prints the whole ClusterRole) and audit again.",
	Check: func(v *View) []Finding {
		var what, rules []string
		unknown := v.Unknown()
		if v.Mode() == mesh.None {
			unknown = hiddenFromMode(v)
		}
		for _, k := range unknown {
			text := k.Kind
			if reason := v.Snapshot().KnowledgeIn(k, v.Workload().Namespace).Reason; reason != "" {
				text += " (" + reason + ")"
			}
			what = append(what, text)
			if info, ok := snapshot.KindOf(k); ok {
				rules = append(rules, fmt.Sprintf("%s in API group %q", info.Resource, k.Group))
			}
		}
		if len(what) == 0 {
			return nil
		}
		f := one(fmt.Sprintf("Could not read %s: any of them may need the sidecar.", strings.Join(what, ", ")), at(v.Workload(), "", ""))
		f[0].Remedy = fmt.Sprintf("Grant verb list on %s and audit again (sidestep audit --print-rbac prints the whole ClusterRole).", strings.Join(rules, ", "))
		return f
	},
}

// hiddenFromMode are the kinds without which nobody can tell that a workload is outside the mesh. Live pods
// show it by themselves.
func hiddenFromMode(v *View) []snapshot.Kind {
	if !v.w.Derived {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(v.Unknown()), func(k snapshot.Kind) bool {
		return k != kindNamespace && k != kindPod && k != kindWebhook
	})
}
