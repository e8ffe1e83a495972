package audit

import (
	"fmt"
	"slices"

	"github.com/sidestep-mesh/sidestep/internal/mesh"
	"github.com/sidestep-mesh/sidestep/internal/snapshot"
)

// unknownRevision: a label that no webhook matches injects nothing.
var unknownRevision = Rule{
	Code:       "SS107",
	Title:      "No webhook serves the revision that is asked for",
	Severity:   Error,
	Requires:   VerdictNone,
	Modes:      []mesh.Mode{mesh.Sidecar, mesh.Ambient, mesh.None},
	Inputs:     Inputs{Facts: []Fact{FactMetadata, FactSettings}, Kinds: []snapshot.Kind{kindNamespace}},
	References: []string{"https://istio.io/latest/docs/setup/upgrade/canary/#stable-revision-labels", "https://github.com/istio/istio/issues/53942"},
	Why: "istio.io/rev names a revision or a tag. When no injection webhook matches it, pods are created without a sidecar and nothing says so; running ones keep the " +
		"sidecar of a control plane that may be gone.",
	Remedy: "Name a revision or tag that exists (istioctl tag list), then restart the workload.",
	Check: func(v *View) []Finding {
		known := v.Settings().Revisions
		if !v.Settings().WebhooksFound {
			return nil // tags stand in webhooks alone, and none is in the input
		}
		rev, e := v.Labels()[mesh.LabelRevision], at(v.Workload(), templateLabel(v.Workload(), mesh.LabelRevision), "")
		ns := v.Namespace()
		if rev == "" && ns.Labels[mesh.LabelInjection] == "" {
			rev, e = ns.Labels[mesh.LabelRevision], at(namespaceRef(ns.Name), labelField(mesh.LabelRevision), "")
		}
		if rev == "" {
			return nil
		}
		for _, r := range known {
			if r.Name == rev || r.Default && rev == mesh.DefaultRevision || slices.Contains(r.Tags, rev) {
				return nil
			}
		}
		e.Value = rev
		return one(fmt.Sprintf("istio.io/rev: %s is served by no injection webhook: new pods get no sidecar.", rev), e)
	},
}
