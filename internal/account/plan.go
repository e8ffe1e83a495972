package account

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/sidestep-mesh/sidestep/internal/roi"
	"github.com/sidestep-mesh/sidestep/internal/roi/terms"
	"sigs.k8s.io/yaml"
)

// Plan is what roi reads of a Plan: which wave touches which workload. A plan may be written by hand: a wave whose steps name
// namespaces or workloads is enough.
type Plan struct {
	APIVersion string     `json:"apiVersion"`
	Kind       string     `json:"kind"`
	Waves      []planWave `json:"waves"`

	// name is that of the file, for messages.
	name string
	// waveOf says which wave a workload (namespace/kind/name) is in; empty for none.
	waveOf func(workload string) string
}

type planWave struct {
	Name  string     `json:"name"`
	Steps []planStep `json:"steps"`
}

type planStep struct {
	Subject struct {
		Kind      string `json:"kind"`
		Namespace string `json:"namespace"`
		Name      string `json:"name"`
	} `json:"subject"`
}

// ReadPlan reads a Plan in YAML or JSON; name is what messages call it.
func ReadPlan(raw []byte, name string) (*Plan, error) {
	var d Plan
	if err := yaml.Unmarshal(raw, &d); err != nil {
		return nil, fmt.Errorf("--plan: %s: %s", name, oneLine(err.Error()))
	}
	if d.Kind != "Plan" || d.APIVersion != roi.APIVersion {
		return nil, fmt.Errorf("--plan: %s: it is a %q of %q, want Plan of %s", name, d.Kind, d.APIVersion, roi.APIVersion)
	}
	seen := map[string]bool{}
	for i := range d.Waves {
		w := &d.Waves[i]
		if w.Name == "" {
			w.Name = strconv.Itoa(i + 1)
		}
		if seen[w.Name] {
			return nil, fmt.Errorf("--plan: %s: two waves are called %q", name, w.Name)
		}
		seen[w.Name] = true
	}
	if len(d.Waves) == 0 {
		return nil, fmt.Errorf("--plan: %s: it has no waves", name)
	}
	d.name, d.waveOf = name, d.membership()
	return &d, nil
}

// membership makes waveOf: a workload is in the first wave whose steps name it or, failing that, its namespace.
func (d *Plan) membership() func(workload string) string {
	workloads, namespaces := map[string]string{}, map[string]string{}
	first := func(m map[string]string, key, wave string) {
		if _, ok := m[key]; !ok {
			m[key] = wave
		}
	}
	for _, w := range d.Waves {
		for _, s := range w.Steps {
			if s.Subject.Kind == "Namespace" {
				first(namespaces, s.Subject.Name, w.Name)
			} else {
				first(workloads, s.Subject.Namespace+"/"+s.Subject.Kind+"/"+s.Subject.Name, w.Name)
			}
		}
	}
	return func(workload string) string {
		if w, ok := workloads[workload]; ok {
			return w
		}
		ns, _, _ := strings.Cut(workload, "/")
		return namespaces[ns]
	}
}

// names are the waves in order.
func (d *Plan) names() []string {
	out := make([]string, len(d.Waves))
	for i, w := range d.Waves {
		out[i] = w.Name
	}
	return out
}

// placeWaypoints gives each planned waypoint the first wave that needs it.
func (s *State) placeWaypoints(change *terms.Change) {
	if s.plan == nil {
		return
	}
	rank := map[string]int{}
	for i, w := range s.plan.names() {
		rank[w] = i
	}
	first := map[string]string{} // by namespace
	for w := range change.L7 {
		ns, _, _ := strings.Cut(w, "/")
		at := s.plan.waveOf(w)
		if old, ok := first[ns]; !ok || rank[at] < rank[old] {
			first[ns] = at
		}
	}
	for i := range change.Waypoints {
		change.Waypoints[i].Wave = first[change.Waypoints[i].Namespace]
	}
}

// setWaves writes the plan's waves into the pods and tells what the plan and the input do not share.
func (s *State) setWaves() {
	wave := s.plan.waveOf
	known, namespaces := map[string]bool{}, map[string]bool{}
	for i := range s.Cluster.Pods {
		p := &s.Cluster.Pods[i]
		p.Wave = wave(p.Workload)
		known[p.Workload], namespaces[p.Object.Namespace] = true, true
	}
	for _, w := range s.mesh.Workloads {
		known[workloadKey(w)], namespaces[w.Namespace] = true, true
	}
	kinds := map[string]bool{}
	for _, w := range s.mesh.Workloads {
		kinds[w.Kind] = true
	}
	for _, w := range s.plan.Waves {
		for _, step := range w.Steps {
			sub := step.Subject
			switch key := sub.Namespace + "/" + sub.Kind + "/" + sub.Name; {
			case sub.Kind == "Namespace" && !namespaces[sub.Name]:
				s.Gaps = append(s.Gaps, terms.Gap{What: "plan " + s.plan.name, Why: "wave " + w.Name + " names namespace " + sub.Name + ", which has no workloads in the input", Costs: "it counts for nothing"})
			case kinds[sub.Kind] && !known[key]:
				s.Gaps = append(s.Gaps, terms.Gap{What: "plan " + s.plan.name, Why: "wave " + w.Name + " names " + key + ", which is not in the input", Costs: "it counts for nothing"})
			}
		}
	}
}

// keptAgainstPlan are workloads that a step names although their verdict is sidecar: they are not counted as leaving.
func (s *State) keptAgainstPlan(keeps []roi.Keep) []terms.Gap {
	if s.plan == nil {
		return nil
	}
	wave := s.plan.waveOf
	var out []terms.Gap
	for _, k := range keeps {
		if w := wave(k.Workload); w != "" {
			out = append(out, terms.Gap{What: "plan " + s.plan.name, Why: "wave " + w + " covers " + k.Workload + ", which needs its sidecar (" + strings.Join(k.Features, ", ") + ")",
				Costs: "it is counted as staying"})
		}
	}
	return out
}

// waveSidecars counts the pods of each wave that have a sidecar now; nil without a plan or without pods.
func (s *State) waveSidecars() map[string]int {
	if s.plan == nil || s.mesh == nil {
		return nil
	}
	out := map[string]int{}
	for _, w := range s.plan.names() {
		out[w] = 0
	}
	for _, p := range s.Cluster.Pods {
		if p.Wave != "" && p.Sidecar != terms.NoSidecar && !p.Finished() {
			out[p.Wave]++
		}
	}
	return out
}
