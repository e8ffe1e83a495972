package cli

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
)

// graceOfInterrupt is how long a command may take to end by itself once it is told to.
const graceOfInterrupt = 500 * time.Millisecond

// Run runs the command line in env and returns the exit code. Whatever goes wrong is one message on
// env.Stderr. When ctx ends, so does Run, even if the command waits for something that cannot be told, such as
// standard input.
func Run(ctx context.Context, env *Env, args []string) int {
	root := newRootCommand(env)
	root.SetArgs(args)
	done := make(chan error, 1)
	go func() { done <- root.ExecuteContext(ctx) }()
	var err error
	select {
	case err = <-done:
	case <-ctx.Done():
		select {
		case err = <-done:
		case <-time.After(graceOfInterrupt):
			err = context.Canceled
		}
	}
	if errors.Is(err, context.Canceled) && ctx.Err() != nil {
		err = &ExitStatus{Code: ExitError, Message: "interrupted: nothing was finished"}
	}
	code, message := codeOf(err)
	if errors.Is(err, syscall.EPIPE) {
		return code // whoever read the output has had enough
	}
	if message != "" {
		fmt.Fprintf(env.Stderr, "%s: %s\n", programName(env), message)
	}
	return code
}

func newRootCommand(env *Env) *cobra.Command {
	root := &cobra.Command{
		Use:     "sidestep",
		Version: Version(),
		Short:   "Move an Istio mesh from sidecars to ambient mode, with proof",
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
		newRulesCommand(env),
		newAuthzCommand(env),
		newPlanCommand(env),
		newApplyCommand(env),
		newStatusCommand(env),
		newPauseCommand(env),
		newResumeCommand(env),
		newSkipCommand(env),
		newRollbackCommand(env),
		newRouteCommand(env),
		newDoctorCommand(env),
		newGenerateCommand(env),
		newRoiCommand(env),
		newSnapshotCommand(env),
		newDemoCommand(env),
		newServeCommand(env),
		newControllerCommand(env),
		newMCPCommand(env),
		newSchemaCommand(env),
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
