package cli

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"

	"github.com/sidestep-mesh/sidestep/internal/demo"
	"github.com/sidestep-mesh/sidestep/internal/report"
	"github.com/sidestep-mesh/sidestep/internal/snapshot"
	"github.com/sidestep-mesh/sidestep/internal/snapshot/manifest"
	"github.com/spf13/cobra"
)

func newDemoCommand(env *Env) *cobra.Command {
	var show auditFlags
	var out string
	var namespaces []string
	c := &cobra.Command{
		Use:   "demo",
		Short: "Audit an embedded sample mesh of 400 services and 2,000 pods; no cluster needed",
		Long: `Audits an invented mesh with the mix of features, and the traps, that real ones have, and
prints the report that "sidestep audit" prints. With --out it writes the mesh's manifests
instead, to try the other commands on.`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if err := show.check(); err != nil {
				return err
			}
			if out != "" {
				return writeDemo(env, out)
			}
			r, err := auditDemo(env, &show, namespaces)
			if err != nil {
				return err
			}
			show.list = show.lists(namespaces)
			if err := writeAudit(env, r, &show); err != nil {
				return err
			}
			if show.output == "text" {
				sayNext(env)
			}
			return nil
		},
	}
	show.register(c)
	c.Flags().StringSliceVarP(&namespaces, "namespace", "n", nil, "show this `NAMESPACE` only; repeatable")
	c.Flags().StringVar(&out, "out", "", "write the manifests into `DIR`, which must not exist or be empty, instead of auditing them")
	return c
}

// demoSnapshot loads the sample mesh the way that files are loaded.
func demoSnapshot() *snapshot.Snapshot {
	var inputs []manifest.Input
	for _, m := range demo.Manifests() {
		inputs = append(inputs, manifest.Stream(m.Path, bytes.NewReader(m.Text)))
	}
	return manifest.LoadWith(manifest.Options{Each: onEveryCore}, inputs...)
}

func auditDemo(env *Env, show *auditFlags, namespaces []string) (*report.AuditReport, error) {
	filter, err := show.filter(namespaces)
	if err != nil {
		return nil, err
	}
	snap := demoSnapshot()
	if problems := snap.Problems(); len(problems) > 0 {
		return nil, fmt.Errorf("the sample mesh is damaged: %s", problems[0])
	}
	return auditSnapshot(snap, show.Options, env.provenance("the sample mesh"), filter), nil
}

// sayNext points at what to try after the demo. It goes to standard error, so that standard output is
// the report that "sidestep audit" gives.
func sayNext(env *Env) {
	name := programName(env)
	fmt.Fprintf(env.Stderr, `
This is an invented mesh. Next:
  %[1]s explain payments/ledger --demo     why one workload needs what it needs
  %[1]s explain SS501                      what a code means, and the way out
  %[1]s demo --out mesh/                   the manifests; then: %[1]s audit -f mesh/
  %[1]s audit                              your own mesh, read-only, from the current context
`, name)
}

func writeDemo(env *Env, dir string) error {
	full := env.Path(dir)
	if entries, err := os.ReadDir(full); err == nil && len(entries) > 0 {
		return fmt.Errorf("--out %s: the folder is not empty", dir)
	}
	n := 0
	for _, m := range demo.Manifests() {
		file := filepath.Join(full, filepath.FromSlash(m.Path))
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			return fmt.Errorf("--out: %w", err)
		}
		if err := os.WriteFile(file, m.Text, 0o644); err != nil {
			return fmt.Errorf("--out: %w", err)
		}
		n++
	}
	fmt.Fprintf(env.Stderr, "wrote %d files; try: %s audit -f %s\n", n, programName(env), dir)
	return nil
}
