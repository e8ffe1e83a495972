package cli

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/sidestep-mesh/sidestep/internal/snapshot/manifest"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"
)

// buildKustomization gives what the kustomization of a folder makes, as kubectl apply -k would apply it. Plugins and charts are off, as in kubectl.
func buildKustomization(env *Env, folder string) (manifest.Input, error) {
	full := env.Path(folder)
	if err := localOnly(full, map[string]bool{}); err != nil {
		return manifest.Input{}, fmt.Errorf("-k %s: %w", folder, err)
	}
	objects, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), full)
	if err != nil {
		return manifest.Input{}, fmt.Errorf("-k %s: %w", folder, err)
	}
	text, err := objects.AsYaml()
	if err != nil {
		return manifest.Input{}, fmt.Errorf("-k %s: %w", folder, err)
	}
	return manifest.Stream(filepath.ToSlash(filepath.Clean(folder))+" (built)", bytes.NewReader(text)), nil
}

// localOnly refuses a kustomization that would fetch something: kustomize runs git and follows URLs for what it does not find on
// disk, and reading an input must reach nothing but the input.
func localOnly(folder string, seen map[string]bool) error {
	if seen[folder] {
		return nil // kustomize names the cycle
	}
	seen[folder] = true
	text, name, err := kustomizationOf(folder)
	if err != nil {
		return err
	}
	var k struct{ Resources, Bases, Components, Crds, Generators, Transformers, Validators []string }
	if err := yaml.Unmarshal(text, &k); err != nil {
		return fmt.Errorf("%s: not YAML: %w", name, err)
	}
	for _, list := range [][]string{k.Resources, k.Bases, k.Components, k.Crds, k.Generators, k.Transformers, k.Validators} {
		for _, entry := range list {
			if strings.Contains(entry, "\n") { // an object written in place
				continue
			}
			full := filepath.Join(folder, entry)
			info, err := os.Stat(full)
			if err != nil {
				return fmt.Errorf("%s: %q is not on this disk, and nothing is fetched: vendor it, or read kubectl kustomize's output with -f -", name, entry)
			}
			if !info.IsDir() {
				continue
			}
			if err := localOnly(full, seen); err != nil {
				return err
			}
		}
	}
	return nil
}

// kustomizationOf reads the kustomization file of a folder.
func kustomizationOf(folder string) (text []byte, name string, err error) {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return nil, "", err
	}
	for _, e := range entries {
		if manifest.IsKustomization(e.Name()) {
			name = filepath.Join(folder, e.Name())
			text, err = os.ReadFile(name)
			return text, name, err
		}
	}
	return nil, "", fmt.Errorf("%s holds no kustomization.yaml: read plain manifests with -f", folder)
}
