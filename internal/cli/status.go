package cli

import (
	"errors"
	"fmt"
	"time"

	"github.com/sidestep-mesh/sidestep/internal/live"
	"github.com/sidestep-mesh/sidestep/internal/migrate"
	"github.com/sidestep-mesh/sidestep/internal/report"
	"github.com/sidestep-mesh/sidestep/internal/verify"
	"github.com/spf13/cobra"
)

func newStatusCommand(env *Env) *cobra.Command {
	var f migrationFlags
	c := &cobra.Command{
		Use:   "status",
		Short: "Say how far a migration is, what it waits for, since when, and until when",
		Long: `Reads the record of the migration and the mesh, and says what would be done next. It writes nothing.

Exit codes: 0 done or none, 1 error, 2 under way, 3 held or halted.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := checkFormat(f.output, "text", "json"); err != nil {
				return err
			}
			r, err := f.runner(env)
			if err != nil {
				return err
			}
			tick, err := r.Look(c.Context())
			if errors.Is(err, live.ErrNoMigration) {
				fmt.Fprintln(env.Stdout, "No migration is under way.")
				return nil
			}
			if err != nil {
				return err
			}
			m := migrationReport(tick)
			if f.output == "json" {
				err = m.JSON(env.Stdout)
			} else {
				err = m.Text(env.Stdout, report.TextOptions{Wide: f.wide, Colour: env.Colour()})
			}
			if err != nil {
				return err
			}
			return exitOf(m)
		},
	}
	f.register(c)
	outputFlag(c, &f.output, "text", "json")
	c.Flags().BoolVar(&f.wide, "wide", false, "show every step")
	return c
}

// changed changes the record of a migration and says what that means.
func (f *migrationFlags) changed(c *cobra.Command, env *Env, said string, change func(r *live.Record) ([]string, error)) error {
	r, err := f.runner(env)
	if err != nil {
		return err
	}
	if _, err := f.change(c.Context(), env, r, change); err != nil {
		return err
	}
	fmt.Fprintln(env.Stdout, said)
	return nil
}

func newPauseCommand(env *Env) *cobra.Command {
	var f migrationFlags
	c := &cobra.Command{
		Use:   "pause",
		Short: "Stop a migration where it is: nothing more is written",
		Long:  `Whatever was written stays, and pods that are being made anew go on. Whoever carries the migration out stops at its next look.`,
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return f.changed(c, env, "Paused: go on with sidestep resume.", func(r *live.Record) ([]string, error) {
				r.Wished(migrate.Pause, whoami(), env.Now())
				return nil, nil
			})
		},
	}
	f.register(c)
	return c
}

func newResumeCommand(env *Env) *cobra.Command {
	var f migrationFlags
	var budget int
	var soak time.Duration
	c := &cobra.Command{
		Use:   "resume",
		Short: "Let a migration go on that is paused, held or being taken back",
		Long: `Fields that somebody else owned are tried again, and so are steps that were undone; what is waited for gets its
time anew. It changes the record alone: sidestep apply carries on.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := f.checkGates(); err != nil {
				return err
			}
			return f.changed(c, env, "Resumed: carry on with sidestep apply.", func(r *live.Record) ([]string, error) {
				if c.Flags().Changed("max-pods") {
					r.MaxPods = budget
				}
				if c.Flags().Changed("soak") {
					r.Soak = soak
				}
				r.LeaveOut(f.without, whoami(), env.Now())
				return r.Resume(r.Plan, whoami(), env.Now()), nil
			})
		},
	}
	f.register(c)
	f.leaving(c)
	c.Flags().IntVar(&budget, "max-pods", 0, "make at most so many `PODS` anew at once; 0 for no bound")
	c.Flags().DurationVar(&soak, "soak", 0, "all gates have to pass for this `DURATION`")
	return c
}

func newSkipCommand(env *Env) *cobra.Command {
	var f migrationFlags
	var why string
	c := &cobra.Command{
		Use:   "skip STEP|NAMESPACE/NAME",
		Short: "Go on without a step",
		Long: `A step that is not written is left out; one that is counts as passed, and is taken back with the rest. What needs it
first is held, and the proof is made all the same: a step without which something would be weaker cannot be skipped past.`,
		Example: `  sidestep skip move-shop-deployment-cart --why 'no traffic until Monday'`,
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if why == "" {
				return errors.New("skip needs --why: whoever reads the record wants to know")
			}
			return f.changed(c, env, "Skipped: carry on with sidestep apply.", func(r *live.Record) ([]string, error) {
				return r.Skip(r.Plan, args[0], why, whoami(), env.Now())
			})
		},
	}
	f.register(c)
	c.Flags().StringVar(&why, "why", "", "the `REASON`, which is kept in the record")
	return c
}

func newRollbackCommand(env *Env) *cobra.Command {
	var f migrationFlags
	c := &cobra.Command{
		Use:   "rollback",
		Short: "Take a migration back, the latest step first, to what was there before",
		Long: `Every object gets back what was recorded before it was written; workloads are back on their sidecars before what was
prepared for them goes. At the end the record is removed. Where the old pods do not come up and the new ones are the
healthy ones, it halts.

Exit codes: 0 everything is as it was, 1 error, 3 held or halted.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := f.checkGates(verify.Proof); err != nil {
				return err
			}
			r, err := f.runner(env)
			if err != nil {
				return err
			}
			_, err = f.change(c.Context(), env, r, func(r *live.Record) ([]string, error) {
				r.Wished(migrate.Rollback, whoami(), env.Now())
				r.LeaveOut(f.without, whoami(), env.Now())
				return r.RetryUndo(env.Now()), nil
			})
			if err != nil {
				return err
			}
			return f.drive(c.Context(), env, r)
		},
	}
	f.register(c)
	f.driving(c)
	f.leaving(c)
	return c
}
