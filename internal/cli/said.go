package cli

import (
	"fmt"

	"github.com/sidestep-mesh/sidestep/internal/mesh"
	"github.com/sidestep-mesh/sidestep/internal/snapshot"
	"github.com/sidestep-mesh/sidestep/internal/snapshot/manifest"
	"github.com/spf13/cobra"
)

// saidFlags say of the mesh what its files do not.
type saidFlags struct {
	exclude    []string
	meshConfig string
	mesh.Said
}

func (f *saidFlags) register(c *cobra.Command) {
	flags := c.Flags()
	flags.StringArrayVar(&f.exclude, "exclude", nil, "leave out files and folders whose name, or path where it has a slash, matches this `GLOB`; ** crosses folders; repeatable")
	flags.StringSliceVar(&f.Injected, "assume-injected", nil, "judge the pods of this `NAMESPACE`, whose object is not in the input, as injected; all for every such namespace; repeatable")
	flags.BoolVar(&f.None, "assume-none", false, "judge the pods of every other namespace whose object is not in the input as outside the mesh")
	flags.StringVar(&f.Version, "istio-version", "", "Istio's `VERSION`, where the input does not show it")
	flags.StringVar(&f.meshConfig, "mesh-config", "", "lay the mesh configuration in `FILE` (bare, or Helm values that hold one) over that of the input")
}

func (f *saidFlags) check() error {
	for _, glob := range f.exclude {
		if err := manifest.CheckGlob(glob); err != nil {
			return fmt.Errorf("--exclude: %w", err)
		}
	}
	return nil
}

// lay adds what was said to what was read.
func (f *saidFlags) lay(env *Env, snap *snapshot.Snapshot) (*snapshot.Snapshot, error) {
	said := f.Said
	if f.meshConfig != "" {
		text, err := readWhole(env, f.meshConfig)
		if err != nil {
			return nil, fmt.Errorf("--mesh-config %w", err)
		}
		said.Config, said.ConfigName = string(text), f.meshConfig
	}
	return said.Lay(snap)
}
