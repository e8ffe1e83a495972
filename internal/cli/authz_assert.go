package cli

import (
	"fmt"
	"io"
	"os"

	"github.com/sidestep-mesh/sidestep/internal/assertion"
	"github.com/sidestep-mesh/sidestep/internal/mesh"
	"github.com/sidestep-mesh/sidestep/internal/report"
	"github.com/spf13/cobra"
)

func newAuthzAssertCommand(env *Env) *cobra.Command {
	var in inputFlags
	var output string
	var moves []string
	var wide bool
	c := &cobra.Command{
		Use:   "assert FILE",
		Short: "Check sentences about who must and who must never be able to call whom",
		Long: `Reads sentences from a YAML file and examines each over every request that any policy can tell
from another: nothing is sampled. docs/assertions.md says what can be said.

Exit codes: 0 all hold, 1 one could not be examined, 2 at least one does not hold.`,
		Example: `  sidestep authz assert assertions.yaml -f mesh/
  sidestep authz assert assertions.yaml -f mesh/ --move payments=ambient`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if err := checkFormat(output, "text", "json"); err != nil {
				return err
			}
			text, err := readWhole(env, args[0])
			if err != nil {
				return err
			}
			doc, err := assertion.Parse(args[0], text)
			if err != nil {
				return err
			}
			snap, err := in.load(c.Context(), env)
			if err != nil {
				return err
			}
			m, err := moved(mesh.Build(snap, mesh.Assume{}), moves)
			if err != nil {
				return err
			}
			world := mesh.AuthzWorld(m)
			r := report.NewAuthzAssertionReport(assertion.Check(&world, doc))
			if output == "json" {
				err = r.JSON(env.Stdout)
			} else {
				err = r.Text(env.Stdout, report.TextOptions{Wide: wide, Colour: env.Colour()})
			}
			problems, _ := r.Problems()
			switch {
			case err != nil:
				return err
			case problems > 0:
				return &ExitStatus{Code: ExitError}
			case !r.Holds:
				return Findings()
			}
			return nil
		},
	}
	in.register(c)
	c.Flags().StringArrayVar(&moves, "move", nil, moveUsage)
	c.Flags().BoolVar(&wide, "wide", false, "show every call that breaks an assertion")
	outputFlag(c, &output, "text", "json")
	return c
}

// readWhole reads a file that a user named; - is standard input.
func readWhole(env *Env, name string) ([]byte, error) {
	if name == "-" {
		return io.ReadAll(env.Stdin)
	}
	text, err := os.ReadFile(env.Path(name))
	if err != nil {
		return nil, fmt.Errorf("%s cannot be read: %w", name, err)
	}
	return text, nil
}
