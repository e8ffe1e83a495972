package cli

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
)

// Run runs the command line in env and returns the exit code. Whatever goes wrong is one message on
// env.Stderr.
func Run(ctx context.Context, env *Env, args []string) int {
	root := newRootCommand(env)
	root.SetArgs(args)
	code, message := codeOf(root.ExecuteContext(ctx))
	if message != "" {
		fmt.Fprintf(env.Stderr, "%s: %s\n", programName(env), message)
	}
	return code
}

func newRootCommand(env *Env) *cobra.Command {
	root := &cobra.Command{
		Use:   "sidestep",
		Short: "Move an Istio mesh from sidecars to ambient mode, with proof",
		Long: `Sidestep moves an Istio mesh from one sidecar per pod to a hybrid: ztunnel for every
workload that can have it, a waypoint where a policy or a route needs one, a sidecar
only where nothing else preserves behaviour.

Exit codes: 0 clean, 1 error, 2 findings or changes pending, 3 held or halted.`,
		// main prints errors, once, and usage only when asked for.
		SilenceErrors: true,
		SilenceUsage:  true,
		Annotations:   map[string]string{cobra.CommandDisplayNameAnnotation: programName(env)},
	}
	root.SetIn(env.Stdin)
	root.SetOut(env.Stdout)
	root.SetErr(env.Stderr)
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return fmt.Errorf("%w\nSee '%s --help'", err, c.CommandPath())
	})
	root.AddCommand(
		newAuditCommand(env),
		newExplainCommand(env),
		newAuthzCommand(env),
		newRoiCommand(env),
		newSnapshotCommand(env),
		newDemoCommand(env),
		newVersionCommand(env),
	)
	return root
}

// programName is what to call the program in messages: kubectl runs a plugin under the name
// kubectl-sidestep, and its user typed "kubectl sidestep".
func programName(env *Env) string {
	name := strings.TrimSuffix(filepath.Base(env.Args0), ".exe")
	if name == "kubectl-sidestep" {
		return "kubectl sidestep"
	}
	return "sidestep"
}
