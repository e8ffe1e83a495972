package report

import (
	"encoding/json"
	"fmt"
	"strings"

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

// Plan gives the waves of a plan back, with what has to come first, so that it can be carried out.
func (r *PlanReport) Plan() (*plan.Plan, error) {
	out := &plan.Plan{Fingerprint: r.Fingerprint, Reads: r.reads()}
	for _, w := range r.Waves {
		wave := plan.Wave{Name: w.Name, Purpose: w.Purpose}
		for _, s := range w.Steps {
			step, err := s.step()
			if err != nil {
				return nil, fmt.Errorf("step %s: %w", s.ID, err)
			}
			wave.Steps = append(wave.Steps, step)
		}
		out.Waves = append(out.Waves, wave)
	}
	event := func(e PlanEvent) plan.Event {
		return plan.Event{Kind: plan.EventKind(e.Event), Subject: refOf(e.Object, r.groupOf(e.Object))}
	}
	for _, n := range r.Needs {
		need := plan.Need{First: event(n.First), Then: event(n.Then)}
		for _, o := range n.First.Others {
			need.First.Others = append(need.First.Others, refOf(o, r.groupOf(o)))
		}
		out.Needs = append(out.Needs, need)
	}
	return out, nil
}

// groupOf is the API group of an object that a step of the plan is about.
func (r *PlanReport) groupOf(o Object) string {
	for _, w := range r.Waves {
		for _, s := range w.Steps {
			if s.Subject == o {
				return plan.GroupOf(s.Change.versions(), o.Kind)
			}
		}
	}
	return ""
}

func refOf(o Object, group string) mesh.Ref {
	return mesh.Ref{Group: group, Kind: o.Kind, Namespace: o.Namespace, Name: o.Name}
}

func (s *PlanStep) step() (plan.Step, error) {
	group := plan.GroupOf(append(s.Change.versions(), s.Undo.versions()...), s.Subject.Kind)
	subject := refOf(s.Subject, group)
	out := plan.Step{ID: s.ID, Kind: plan.StepKind(s.Kind), Subject: subject, Why: s.Why, UndoKind: plan.UndoKind(s.UndoKind)}
	var err error
	if out.Edit, err = s.Change.edit(subject); err != nil {
		return out, err
	}
	if out.Undo, err = s.Undo.edit(subject); err != nil {
		return out, err
	}
	out.Restarts = out.Edit.Verb == plan.Template || out.Edit.Verb == plan.Recreate
	for _, g := range s.Gates {
		object := refOf(g.Object, "")
		if g.Object == s.Subject {
			object = subject
		}
		out.Gates = append(out.Gates, plan.Gate{Check: g.Check, Object: object, Expect: g.Expect, Before: g.When == "before"})
	}
	return out, nil
}

// edit gives a change back.
func (c *PlanChange) edit(object mesh.Ref) (plan.Edit, error) {
	e := plan.Edit{Verb: plan.Verb(c.Verb), Object: object}
	switch e.Verb {
	case plan.Delete:
		return e, nil
	case plan.Create, plan.Replace:
		if len(c.Apply) != 1 {
			return e, fmt.Errorf("%d manifests where one was expected", len(c.Apply))
		}
		raw, err := json.Marshal(c.Apply[0])
		if err != nil {
			return e, fmt.Errorf("manifest: %w", err)
		}
		e.Put, err = plan.Decode(object, raw)
		return e, err
	case plan.Label, plan.Template, plan.Recreate:
		return e, c.fields(&e)
	}
	return e, fmt.Errorf("%q is no verb; a plan of an older version of Sidestep has none: make it anew with sidestep plan -o json", c.Verb)
}

// fields gives the labels and annotations that a change sets and removes back.
func (c *PlanChange) fields(e *plan.Edit) error {
	path := []string{"metadata"}
	switch {
	case e.Verb != plan.Label && e.Object.Kind == "CronJob":
		path = []string{"spec", "jobTemplate", "spec", "template", "metadata"}
	case e.Verb != plan.Label:
		path = []string{"spec", "template", "metadata"}
	}
	set := func(name, key string, value *string) {
		list := &e.Labels
		if name == "annotations" {
			list = &e.Annotations
		}
		if *list == nil {
			*list = map[string]*string{}
		}
		(*list)[key] = value
	}
	for _, m := range c.Apply {
		at := m
		for _, p := range path {
			at, _ = at[p].(map[string]any)
		}
		for _, name := range []string{"labels", "annotations"} {
			values, _ := at[name].(map[string]any)
			for k, v := range values {
				text, ok := v.(string)
				if !ok {
					return fmt.Errorf("%s[%s] is no text", name, k)
				}
				set(name, k, &text)
			}
		}
	}
	for _, u := range c.Unset {
		for _, f := range u.Fields {
			head, key, _ := strings.Cut(strings.TrimSuffix(f, "]"), "[")
			name := head[strings.LastIndexByte(head, '.')+1:]
			set(name, key, nil)
		}
	}
	return nil
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
