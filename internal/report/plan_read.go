package report

import (
	"encoding/json"
	"fmt"

	"github.com/sidestep-mesh/sidestep/internal/mesh"
	"github.com/sidestep-mesh/sidestep/internal/plan"
	"sigs.k8s.io/yaml"
)

// ReadPlan reads a plan that was written with -o json.
func ReadPlan(raw []byte) (*PlanReport, error) {
	text, err := yaml.YAMLToJSON(raw)
	if err != nil {
		return nil, fmt.Errorf("neither JSON nor YAML: %w", err)
	}
	r := &PlanReport{}
	if err := json.Unmarshal(text, r); err != nil {
		return nil, fmt.Errorf("not a plan: %w", err)
	}
	if r.Kind != "Plan" || r.APIVersion != APIVersion {
		return nil, fmt.Errorf("it is a %q of %q, want Plan of %s", r.Kind, r.APIVersion, APIVersion)
	}
	if r.Fingerprint == "" || len(r.Basis) == 0 {
		return nil, fmt.Errorf("it does not say what its proof read (fingerprint and basis): make it with sidestep plan -o json")
	}
	return r, nil
}

// Since says what has changed since an earlier plan was made, beside what steps of that plan have written.
func (r *PlanReport) Since(earlier *PlanReport) {
	if r.Fingerprint == earlier.Fingerprint {
		return
	}
	for _, s := range plan.StaleBy(earlier.reads(), r.reads(), earlier.steps()) {
		r.Stale = append(r.Stale, PlanStale{Object: objectOf(s.Object), Field: s.Field, How: s.How, Steps: s.Steps})
	}
}

func (r *PlanReport) reads() []plan.Read {
	out := make([]plan.Read, 0, len(r.Basis))
	for _, x := range r.Basis {
		out = append(out, plan.Read{Object: mesh.Ref{Group: x.Group, Kind: x.Kind, Namespace: x.Namespace, Name: x.Name}, Fields: x.Fields})
	}
	return out
}

// steps gives the steps back as far as it matters to what they write: by which verb, and which labels.
func (r *PlanReport) steps() []plan.Step {
	var out []plan.Step
	for _, w := range r.Waves {
		for _, s := range w.Steps {
			e := plan.Edit{Verb: plan.Create}
			switch plan.StepKind(s.Kind) {
			case plan.KindMove, plan.KindRestart:
				e.Verb = plan.Template
			case plan.KindBind:
				e.Verb, e.Labels = plan.Label, map[string]*string{}
				for _, m := range s.Change.Apply {
					meta, _ := m["metadata"].(map[string]any)
					labels, _ := meta["labels"].(map[string]any)
					for k := range labels {
						e.Labels[k] = nil
					}
				}
			}
			r := mesh.Ref{Kind: s.Subject.Kind, Namespace: s.Subject.Namespace, Name: s.Subject.Name}
			r.Group = plan.GroupOf(s.Change.versions(), r.Kind)
			out = append(out, plan.Step{ID: s.ID, Kind: plan.StepKind(s.Kind), Subject: r, Edit: e, Restarts: e.Verb == plan.Template})
		}
	}
	return out
}

// versions are the API versions that a change names.
func (c *PlanChange) versions() []string {
	var out []string
	for _, m := range c.Apply {
		if v, ok := m["apiVersion"].(string); ok {
			out = append(out, v)
		}
	}
	for _, d := range c.Delete {
		out = append(out, d.APIVersion)
	}
	return out
}
