package cli

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/sidestep-mesh/sidestep/internal/report"
	"github.com/spf13/cobra"
)

func newSchemaCommand(env *Env) *cobra.Command {
	var out string
	c := &cobra.Command{
		Use:   "schema [KIND]",
		Short: "Print the JSON schema of what -o json writes",
		Long: `Prints the JSON schema (2020-12) of one kind of document, lists the kinds, or writes all of them into a
folder. Within a version fields are added and never renamed or taken away, so the schemas allow fields
that they do not name.`,
		Example: `  sidestep schema                 # the kinds
  sidestep schema AuditReport
  sidestep schema --out schemas/`,
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: cobra.FixedCompletions(report.Kinds(), cobra.ShellCompDirectiveNoFileComp),
		RunE: func(_ *cobra.Command, args []string) error {
			switch {
			case out != "" && len(args) > 0:
				return fmt.Errorf("--out writes all schemas: leave %s out, or redirect the output", args[0])
			case out != "":
				return writeSchemas(env.Path(out))
			case len(args) == 0:
				for _, kind := range report.Kinds() {
					if _, err := fmt.Fprintln(env.Stdout, kind); err != nil {
						return err
					}
				}
				return nil
			}
			text, err := report.Schema(args[0])
			if err == nil {
				_, err = env.Stdout.Write(text)
			}
			return err
		},
	}
	c.Flags().StringVar(&out, "out", "", "write every schema into this `DIR`, one file a kind")
	return c
}

func writeSchemas(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for _, kind := range report.Kinds() {
		text, err := report.Schema(kind)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, kind+".json"), text, 0o644); err != nil {
			return err
		}
	}
	return nil
}
