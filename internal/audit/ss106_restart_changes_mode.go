package audit

import (
	"fmt"

	"github.com/sidestep-mesh/sidestep/internal/mesh"
)

// restartChangesMode: labels and pods tell different things.
var restartChangesMode = Rule{
	Code:       "SS106",
	Title:      "The next restart changes the mode",
	Severity:   Warning,
	Requires:   VerdictNone,
	Modes:      []mesh.Mode{mesh.Sidecar, mesh.Ambient, mesh.None},
	Inputs:     Inputs{Facts: []Fact{FactMode, FactProxy}},
	References: []string{"istio/istio cni/pkg/nodeagent/informers.go", "https://istio.io/latest/docs/setup/additional-setup/sidecar-injection/"},
	Why: "Injection happens when a pod is created, so a changed label shows only at the next restart: by a node drain at night as well as by a roll-out. " +
		"Policies that fit the mode of today then no longer do.",
	Remedy: "Restart the workload now if the change is wanted; else restore the labels.",
	Check: func(v *View) []Finding {
		now, next := v.Mode(), v.AfterRestart()
		if now != next && next != "" {
			return one(fmt.Sprintf("Pods are in mode %s now; new pods will be in mode %s.", now, next), modeEvidence(v)...)
		}
		if v.Proxy().Mixed {
			return one("Only some of the pods have a sidecar: a roll-out is under way, or pods were not restarted after a label change.", modeEvidence(v)...)
		}
		return nil
	},
}

// modeEvidence is what decides the mode of new pods.
func modeEvidence(v *View) []mesh.Evidence {
	out := []mesh.Evidence{at(v.Workload(), "", "")}
	for _, because := range v.NextReasons() {
		if because.Evidence.Field != "" {
			out = append(out, because.Evidence)
		}
	}
	return out
}
