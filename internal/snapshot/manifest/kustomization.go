package manifest

import (
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"
)

// maxKustomization bounds a kustomization file; real ones have a few hundred lines.
const maxKustomization = 1 << 20

// IsKustomization reports whether a file name is one that kustomize looks for
// (https://kubectl.docs.kubernetes.io/references/kustomize/glossary/#kustomization).
func IsKustomization(name string) bool {
	return slices.Contains([]string{"kustomization.yaml", "kustomization.yml", "Kustomization"}, name)
}

// kustomization looks at a kustomization that a walk meets. One that only lists files of the folder makes what the files say, so
// reading them is right; any other makes other objects, and a verdict on its raw files would be one on what nobody applies.
func (in Input) kustomization(l *loader, p, shown string) {
	f, err := in.fsys.Open(p)
	if err != nil {
		l.problem(shown, "cannot be read: %s", reason(err))
		return
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxKustomization))
	if err != nil {
		l.problem(shown, "cannot be read: %s", reason(err))
		return
	}
	var fields map[string]any
	if err := yaml.Unmarshal(text, &fields); err != nil {
		l.problem(shown, "not YAML: %v", err)
		return
	}
	if what := in.changes(path.Dir(p), fields); what != "" {
		folder := path.Dir(shown)
		l.problem(shown, "a kustomization whose objects are not what its files say (%s): read what it makes, with -k %s or kubectl kustomize %s | sidestep audit -f -", what, folder, folder)
	}
}

// changes names the first reason why a kustomization in folder makes something else than the files of the input; empty when there is none.
func (in Input) changes(folder string, fields map[string]any) string {
	var other []string
	for field := range fields {
		if !slices.Contains([]string{"apiVersion", "kind", "metadata", "resources"}, field) {
			other = append(other, field)
		}
	}
	if len(other) > 0 {
		slices.Sort(other)
		return strings.Join(other, ", ")
	}
	resources, _ := fields["resources"].([]any)
	for _, r := range resources {
		name, _ := r.(string)
		full := path.Join(folder, name)
		if _, err := fs.Stat(in.fsys, full); !fs.ValidPath(full) || err != nil || !strings.HasPrefix(full+"/", strings.TrimPrefix(in.root+"/", "./")) {
			return "resources: " + name + " is not in this folder"
		}
	}
	return ""
}
