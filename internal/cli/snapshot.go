package cli

import (
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/sidestep-mesh/sidestep/internal/snapshot"
	"github.com/sidestep-mesh/sidestep/internal/snapshot/manifest"
	"github.com/sidestep-mesh/sidestep/internal/snapshot/redact"
	"github.com/spf13/cobra"
)

func newSnapshotCommand(env *Env) *cobra.Command {
	in := inputFlags{cost: true}
	var out, keyFile string
	var hide bool
	c := &cobra.Command{
		Use:   "snapshot",
		Short: "Write what a verdict can depend on into one file that every other command reads",
		Long: `Reads a mesh, from a cluster or from files, and writes it into one archive: always the same
bytes for the same mesh, and never a Secret. With --redact, names, hosts, paths and addresses
are pseudonyms that still match each other, and free text is gone, so that an audit of the
archive gives the same verdicts and the archive can be given away.`,
		Example: `  sidestep snapshot --out mesh.snapshot
  sidestep snapshot -f manifests/ --redact --out mesh.snapshot
  sidestep audit -f mesh.snapshot`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if len(in.namespaces) > 0 {
				return errors.New("-n: a snapshot of one namespace would miss the policies that apply to it from outside; leave -n away and use it when reading the snapshot")
			}
			key, err := redactKey(env, hide, keyFile)
			if err != nil {
				return err
			}
			snap, err := in.load(c.Context(), env)
			if err != nil {
				return err
			}
			if key != nil {
				snap = redact.Redact(snap, key)
			}
			return writeArchive(env, out, snap)
		},
	}
	in.register(c)
	c.Flags().StringVar(&out, "out", "", "`FILE` to write, or - for standard output")
	c.Flags().BoolVar(&hide, "redact", false, "replace names and values by pseudonyms made with a random key that is not kept")
	c.Flags().StringVar(&keyFile, "redact-key-file", "", "redact with the content of `FILE` as key, so that several snapshots have the same pseudonyms; keep it secret")
	if err := c.MarkFlagRequired("out"); err != nil {
		panic(err) // the flag was registered above
	}
	return c
}

// redactKey is the key to redact with, nil for not at all.
func redactKey(env *Env, hide bool, file string) ([]byte, error) {
	if file == "" && !hide {
		return nil, nil
	}
	if file == "" {
		key := make([]byte, 32)
		_, err := rand.Read(key)
		return key, err
	}
	key, err := os.ReadFile(env.Path(file))
	if err == nil && len(key) < 16 {
		err = fmt.Errorf("%s: a key has at least 16 bytes", file)
	}
	return key, err
}

// writeArchive writes the archive completely or not at all.
func writeArchive(env *Env, name string, snap *snapshot.Snapshot) error {
	if name == "-" {
		return manifest.WriteArchive(env.Stdout, snap)
	}
	full := env.Path(name)
	f, err := os.CreateTemp(filepath.Dir(full), ".sidestep-*")
	if err != nil {
		return fmt.Errorf("--out %s: %w", name, err)
	}
	defer func() { _ = os.Remove(f.Name()) }() // fails once renamed
	err = errors.Join(manifest.WriteArchive(f, snap), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), full)
	}
	if err != nil {
		return fmt.Errorf("--out %s: %w", name, err)
	}
	fmt.Fprintf(env.Stderr, "wrote %s: %d objects\n", name, snap.Len())
	return nil
}
