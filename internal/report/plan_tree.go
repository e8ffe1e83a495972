package report

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"sigs.k8s.io/yaml"
)

// TreeFile is a file of a GitOps tree; Path is relative, with forward slashes.
type TreeFile struct {
	Path string
	Text []byte
}

// fieldManager is who owns what a plan writes, so that giving it up takes nothing of anybody else's along.
const fieldManager = "sidestep"

// Tree writes a plan as folders that are applied one after the other: one per wave, with a kustomization and a README. What a wave
// deletes is listed beside it, since no kustomization deletes.
func (r *PlanReport) Tree() ([]TreeFile, error) {
	var out []TreeFile
	var index bytes.Buffer
	fmt.Fprintf(&index, "# Plan %.12s\n\n%s in %s. Apply one folder after the other; go on when what its README asks for is seen.\n\n", r.Fingerprint,
		count(r.Summary.Moves, "workload")+" can move", count(r.Summary.Waves, "wave"))
	for i, w := range r.Waves {
		folder := fmt.Sprintf("%02d-%s", i+1, w.Name)
		fmt.Fprintf(&index, "%d. [%s](%s/README.md): %s\n", i+1, folder, folder, w.Purpose)
		files, err := w.tree(folder)
		if err != nil {
			return nil, err
		}
		out = append(out, files...)
	}
	fmt.Fprintf(&index, "\n%s.\n", keeps(r.Summary.Stays))
	return append(out, TreeFile{"README.md", index.Bytes()}), nil
}

func (w *PlanWave) tree(folder string) ([]TreeFile, error) {
	var out []TreeFile
	var resources, deletions []string
	for _, s := range w.Steps {
		for _, m := range s.Change.Apply {
			if len(s.Change.Recreate) > 0 {
				continue // not to be applied to what is there
			}
			text, err := yaml.Marshal(m)
			if err != nil {
				return nil, fmt.Errorf("step %s: %w", s.ID, err)
			}
			name := s.ID + ".yaml"
			resources = append(resources, name)
			out = append(out, TreeFile{folder + "/" + name, text})
		}
		for _, d := range s.Change.Delete {
			text, err := yaml.Marshal(map[string]any{"apiVersion": d.APIVersion, "kind": d.Kind, "metadata": map[string]any{"name": d.Name, "namespace": d.Namespace}})
			if err != nil {
				return nil, fmt.Errorf("step %s: %w", s.ID, err)
			}
			deletions = append(deletions, string(text))
		}
	}
	if len(resources) > 0 {
		text, err := yaml.Marshal(map[string]any{"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization", "resources": resources})
		if err != nil {
			return nil, fmt.Errorf("wave %s: %w", w.Name, err)
		}
		out = append(out, TreeFile{folder + "/kustomization.yaml", text})
	}
	if len(deletions) > 0 {
		out = append(out, TreeFile{folder + "/delete.yaml", []byte(strings.Join(deletions, "---\n"))})
	}
	return append(out, TreeFile{folder + "/README.md", w.readme(folder, len(resources) > 0, len(deletions) > 0)}), nil
}

// readme says for one wave what to run, what to see before and after, and how to go back.
func (w *PlanWave) readme(folder string, applies, deletes bool) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "# %s\n\n%s.\n\n## Do\n\n", w.Name, w.Purpose)
	if applies {
		fmt.Fprintf(&b, "    kubectl apply --server-side --force-conflicts --field-manager=%s -k %s\n", fieldManager, folder)
	}
	if deletes {
		fmt.Fprintf(&b, "    kubectl delete -f %s/delete.yaml\n", folder)
	}
	for _, s := range w.Steps {
		for _, o := range s.Change.Recreate {
			fmt.Fprintf(&b, "\nMake the next run of %s with these labels in its pod template: %s\n", o.Object, labelsIn(s.Change.Apply))
		}
	}
	for _, when := range []struct{ when, head string }{{"before", "See first"}, {"after", "See then"}} {
		lines := w.gates(when.when)
		if len(lines) > 0 {
			fmt.Fprintf(&b, "\n## %s\n\n%s", when.head, strings.Join(lines, ""))
		}
	}
	fmt.Fprintf(&b, "\n## Steps\n\n")
	for _, s := range w.Steps {
		fmt.Fprintf(&b, "- %s %s: %s (undo: %s)\n", s.Kind, s.Subject, s.Why, s.UndoKind)
	}
	fmt.Fprintf(&b, "\n## Back\n\nIn reverse order:\n\n")
	for i := len(w.Steps) - 1; i >= 0; i-- {
		for _, line := range w.Steps[i].Undo.commands() {
			fmt.Fprintf(&b, "    %s\n", line)
		}
	}
	return b.Bytes()
}

func (w *PlanWave) gates(when string) []string {
	var out []string
	for _, s := range w.Steps {
		for _, g := range s.Gates {
			if g.When == when {
				out = append(out, fmt.Sprintf("- %s of %s: %s\n", g.Check, g.Object, g.Expect))
			}
		}
	}
	return out
}

// labelsIn shows the fields that a manifest sets, in one line of YAML.
func labelsIn(manifests []map[string]any) string {
	var parts []string
	for _, m := range manifests {
		text, err := yaml.Marshal(m["spec"])
		if err == nil {
			parts = append(parts, strings.Join(strings.Fields(string(text)), " "))
		}
	}
	return strings.Join(parts, "; ")
}

// commands are kubectl command lines that do a change.
func (c *PlanChange) commands() []string {
	var out []string
	for _, u := range c.Unset {
		fields := make([]string, 0, len(u.Fields))
		for _, f := range u.Fields {
			fields = append(fields, fmt.Sprintf(`{"op":"remove","path":"%s"}`, jsonPointer(f)))
		}
		out = append(out, fmt.Sprintf("kubectl patch %s -n %s %s --type=json -p '[%s]'", strings.ToLower(u.Object.Kind), u.Object.Namespace, u.Object.Name, strings.Join(fields, ",")))
	}
	for _, d := range c.Delete {
		out = append(out, fmt.Sprintf("kubectl delete %s -n %s %s", strings.ToLower(d.Kind), d.Namespace, d.Name))
	}
	for _, m := range c.Apply {
		if text, err := json.Marshal(m); err == nil { // it was read from JSON
			out = append(out, fmt.Sprintf("kubectl apply --server-side --force-conflicts --field-manager=%s -f - <<< '%s'", fieldManager, strings.ReplaceAll(string(text), "'", `'\''`)))
		}
	}
	return out
}

// jsonPointer turns metadata.labels[istio.io/x] into a JSON pointer.
func jsonPointer(field string) string {
	path, key, keyed := strings.Cut(strings.TrimSuffix(field, "]"), "[")
	if !keyed {
		return "/" + strings.ReplaceAll(path, ".", "/")
	}
	escaped := strings.ReplaceAll(strings.ReplaceAll(key, "~", "~0"), "/", "~1")
	return "/" + strings.ReplaceAll(path, ".", "/") + "/" + escaped
}
