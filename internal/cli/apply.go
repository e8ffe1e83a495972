package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/sidestep-mesh/sidestep/internal/live"
	"github.com/sidestep-mesh/sidestep/internal/mesh"
	"github.com/sidestep-mesh/sidestep/internal/migrate"
	"github.com/sidestep-mesh/sidestep/internal/plan"
	"github.com/sidestep-mesh/sidestep/internal/report"
	"github.com/sidestep-mesh/sidestep/internal/snapshot"
	"github.com/sidestep-mesh/sidestep/internal/verify"
	"github.com/spf13/cobra"
)

// migrationFlags say which cluster a migration is in and how it is watched.
type migrationFlags struct {
	in       inputFlags
	prom     live.PromConfig
	every    time.Duration
	patience time.Duration
	output   string
	wide     bool
	without  []string
}

func (f *migrationFlags) register(c *cobra.Command) {
	flags := c.Flags()
	f.in.clusterFlags.register(c)
	flags.StringVar(&f.prom.URL, "prometheus", "", "`URL` of a server with the Prometheus API, which the gates on traffic ask")
	flags.StringVar(&f.prom.BearerFile, "prometheus-token-file", "", "`FILE` with a bearer token")
	flags.StringVar(&f.prom.CAFile, "prometheus-ca", "", "PEM `FILE` with the authority of the server's certificate")
	flags.StringVar(&f.prom.Tenant, "prometheus-tenant", "", "`NAME` sent as X-Scope-OrgID")
}

func (f *migrationFlags) driving(c *cobra.Command) {
	c.Flags().DurationVar(&f.every, "every", 5*time.Second, "look again after this `DURATION` while there is something to wait for")
	c.Flags().DurationVar(&f.patience, "patience", 2*time.Minute, "give up when nothing has worked for this `DURATION`, as with an API server out of reach")
}

func (f *migrationFlags) leaving(c *cobra.Command) {
	c.Flags().StringSliceVar(&f.without, "without-gate", nil, "go on without this `GATE`, which is recorded with your name: "+strings.Join(gateNames(), ", ")+"; or metrics, for all that need them; repeatable")
}

func gateNames() []string {
	var out []string
	for _, g := range verify.All() {
		out = append(out, g.Name)
	}
	return out
}

// checkGates refuses gates that are none; more are further names.
func (f *migrationFlags) checkGates(more ...string) error {
	if i := slices.Index(f.without, "metrics"); i >= 0 {
		f.without = slices.Delete(f.without, i, i+1)
		f.without = append(f.without, verify.OnMetrics()...)
	}
	for _, name := range f.without {
		if !slices.Contains(append(gateNames(), more...), name) {
			return fmt.Errorf("--without-gate %s: no gate is called so; there are %s", name, strings.Join(gateNames(), ", "))
		}
	}
	return nil
}

// runner prepares to carry a migration out in the cluster that the flags name.
func (f *migrationFlags) runner(env *Env) (*live.Runner, error) {
	cluster, err := f.in.cluster(env)
	if err != nil {
		return nil, err
	}
	w, err := live.NewWriter(cluster)
	if err != nil {
		return nil, err
	}
	r := &live.Runner{Writer: w, Now: env.Now, Each: onEveryCore,
		Collect: func(ctx context.Context) (*snapshot.Snapshot, error) {
			return live.Collect(ctx, cluster, live.Options{})
		}}
	if f.prom.URL != "" {
		if r.Prom, err = live.NewProm(f.prom); err != nil {
			return nil, err
		}
	}
	return r, nil
}

func newApplyCommand(env *Env) *cobra.Command {
	var f migrationFlags
	var p planFlags
	var namespaces []string
	var yes bool
	var dryRun string
	var wave, budget int
	var soak time.Duration
	c := &cobra.Command{
		Use:   "apply [PLAN]",
		Short: "Carry a plan out, step by step: each is proved on the mesh as it is just before it is written, and gated before the next",
		Long: `Carries out the plan in a file (of sidestep plan -o json), or makes one; where a migration is under way,
goes on with it. Every step is written by server-side apply under the field manager "sidestep", never by force: a field
that somebody else owns holds the step, with the patch to commit. How far it is stands in the cluster, so that
Ctrl-C, a lost connection or another machine is no matter: sidestep apply goes on.

Exit codes:
  0  done
  1  error
  2  steps are left, as after --wave or --dry-run
  3  held or halted: see what for, and sidestep status`,
		Example: `  sidestep plan --calls calls.json -o json > plan.json
  sidestep apply plan.json --prometheus http://localhost:9090
  sidestep apply --wave 2 --yes`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if err := errors.Join(p.check(), f.checkGates()); err != nil {
				return err
			}
			if !slices.Contains([]string{"none", "client", "server"}, dryRun) {
				return fmt.Errorf("--dry-run=%s: use none, client or server", dryRun)
			}
			r, err := f.runner(env)
			if err != nil {
				return err
			}
			if len(args) == 0 {
				args = []string{""}
			}
			a := &applying{env: env, flags: &f, runner: r, file: args[0], plan: &p, namespaces: namespaces, yes: yes, dryRun: dryRun}
			g := migrate.Progress{Until: wave, MaxPods: budget, Soak: soak}
			g.LeaveOut(f.without, whoami(), env.Now())
			return a.run(c, g)
		},
	}
	f.register(c)
	f.driving(c)
	f.leaving(c)
	p.output = "text"
	flags := c.Flags()
	flags.StringVar(&p.calls, "calls", "", "`FILE` with the calls that exist, for the plan that is made; see sidestep plan")
	flags.StringArrayVar(&p.accept, "accept", nil, "take a divergence in the plan that is made, as `CODE:NAMESPACE/NAME`; see sidestep plan")
	flags.StringVar(&p.why, "why", "", "the `REASON` for what --accept takes")
	flags.StringVar(&p.canary, "canary", "", "the `NAMESPACE` whose workloads move first in the plan that is made")
	flags.StringSliceVarP(&namespaces, "namespace", "n", nil, "move workloads of this `NAMESPACE` only; repeatable")
	flags.IntVar(&budget, "max-pods", 0, "make at most so many `PODS` anew at once; 0 for no bound")
	flags.DurationVar(&soak, "soak", 5*time.Minute, "all gates of a workload that has moved have to pass for this `DURATION` before the next wave")
	flags.IntVar(&wave, "wave", 0, "stop after this `WAVE`, counted from 1; 0 for all")
	flags.StringVar(&dryRun, "dry-run", "none", "none; client: show what would be written; server: have the API server check it as well, and say what others own")
	flags.BoolVarP(&yes, "yes", "y", false, "do not ask")
	completeWith(c, "dry-run", "none", "client", "server")
	return c
}

// applying is one run of sidestep apply.
type applying struct {
	env        *Env
	flags      *migrationFlags
	runner     *live.Runner
	file       string
	plan       *planFlags
	namespaces []string
	yes        bool
	dryRun     string
}

func (a *applying) run(c *cobra.Command, g migrate.Progress) error {
	ctx := c.Context()
	rec, err := a.runner.Writer.ReadRecord(ctx)
	switch {
	case errors.Is(err, live.ErrNoMigration):
		return a.begin(ctx, g)
	case err != nil:
		return err
	case a.dryRun != "none":
		return a.show(ctx, rec.Plan, &rec.Progress)
	case rec.Wish == migrate.Rollback:
		return Held("the migration is being taken back: see it through with sidestep rollback, or turn it round with sidestep resume")
	case rec.Wish == migrate.Pause:
		return Held("the migration is paused by " + rec.Who + ": sidestep resume")
	case rec.Finished(rec.Plan):
		return a.again(ctx, rec, g)
	}
	if a.file != "" {
		p, _, err := a.read(ctx)
		if err != nil {
			return err
		}
		if p.ID != rec.Plan.ID {
			return fmt.Errorf("plan %s is under way, and %s is another (%s): finish or take back what is under way first", rec.Plan.ID, a.file, p.ID)
		}
	}
	rec, err = a.flags.change(ctx, a.env, a.runner, func(r *live.Record) ([]string, error) {
		r.Until = g.Until
		for flag, set := range map[string]func(){"max-pods": func() { r.MaxPods = g.MaxPods }, "soak": func() { r.Soak = g.Soak }} {
			if c.Flags().Changed(flag) {
				set()
			}
		}
		r.LeaveOut(a.flags.without, whoami(), a.env.Now())
		return nil, nil
	})
	if err != nil {
		return err
	}
	fmt.Fprintf(a.env.Stderr, "going on with plan %s\n", rec.Plan.ID)
	return a.flags.drive(ctx, a.env, a.runner)
}

// again begins a migration where an earlier one is finished: its record gives way, and with it what stood before it.
func (a *applying) again(ctx context.Context, rec *live.Record, g migrate.Progress) error {
	p, snap, err := a.read(ctx)
	if err != nil {
		return err
	}
	if len(p.Waves) == 0 || p.ID == rec.Plan.ID {
		return a.flags.drive(ctx, a.env, a.runner)
	}
	fmt.Fprintf(a.env.Stderr, "plan %s is finished; once another begins, sidestep rollback takes that one back, and not %s\n", rec.Plan.ID, rec.Plan.ID)
	return a.start(ctx, p, snap, g, func() error {
		if _, err := a.runner.Writer.ReadRecord(ctx); errors.Is(err, live.ErrNoMigration) {
			return nil
		}
		return a.runner.Writer.End(ctx, rec)
	})
}

// read reads the plan of the file, or makes one, for the mesh as it is.
func (a *applying) read(ctx context.Context) (*migrate.Plan, *snapshot.Snapshot, error) {
	snap, err := a.runner.Collect(ctx)
	if err != nil {
		return nil, nil, err
	}
	sayProblems(a.env, snap.Problems())
	options, err := a.plan.options(ctx, a.env)
	if err != nil {
		return nil, nil, err
	}
	if len(a.namespaces) > 0 {
		options.Only = func(namespace string) bool { return slices.Contains(a.namespaces, namespace) }
	}
	p, err := plan.Build(snap, options)
	if err != nil {
		return nil, nil, fmt.Errorf("plan: %w", err)
	}
	if a.file != "" {
		if p, err = a.readFile(p); err != nil {
			return nil, nil, err
		}
	}
	out, err := migrate.Of(p)
	return out, snap, err
}

// readFile reads a plan, and refuses one that was made for another mesh.
func (a *applying) readFile(now *plan.Plan) (*plan.Plan, error) {
	raw, err := os.ReadFile(a.env.Path(a.file))
	if err != nil {
		return nil, err
	}
	earlier, err := report.ReadPlan(raw)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", a.file, err)
	}
	r, err := report.NewPlan(now)
	if err != nil {
		return nil, err
	}
	if r.Since(earlier); len(r.Stale) > 0 {
		s := r.Stale[0]
		return nil, fmt.Errorf("%s: the mesh has changed since the plan was made, in %d places: %s %s %s; make it anew with sidestep plan -o json", a.file, len(r.Stale), s.Object, s.Field, s.How)
	}
	return earlier.Plan()
}

func (a *applying) begin(ctx context.Context, g migrate.Progress) error {
	p, snap, err := a.read(ctx)
	if err != nil {
		return err
	}
	if len(p.Waves) == 0 {
		fmt.Fprintln(a.env.Stdout, "Nothing to do.")
		return nil
	}
	if a.dryRun != "none" {
		return a.show(ctx, p, &g)
	}
	return a.start(ctx, p, snap, g, func() error { return nil })
}

// start asks, makes room, records the plan and carries it out.
func (a *applying) start(ctx context.Context, p *migrate.Plan, snap *snapshot.Snapshot, g migrate.Progress, room func() error) error {
	steps := 0
	for i, w := range p.Waves {
		fmt.Fprintf(a.env.Stdout, "%d. %s: %d steps. %s.\n", i+1, w.Name, len(w.Steps), w.Purpose)
		steps += len(w.Steps)
	}
	if !a.yes {
		fmt.Fprintf(a.env.Stderr, "Take %d steps in cluster %s? Type yes: ", steps, a.runner.Writer.Cluster().Name)
		line, err := bufio.NewReader(a.env.Stdin).ReadString('\n')
		if strings.TrimSpace(line) != "yes" {
			if err != nil && line == "" {
				return fmt.Errorf("nobody is there to ask: give --yes")
			}
			return &ExitStatus{Code: ExitFindings, Message: "nothing was written"}
		}
	}
	g.Wished(migrate.Run, whoami(), a.env.Now())
	root := mesh.Build(snap, mesh.Assume{}).Settings.RootNamespace
	o := a.flags.options(a.env)
	err := o.Retry(ctx, room)
	if err != nil {
		return interrupted(ctx, err)
	}
	err = o.Retry(ctx, func() error {
		rec, err := a.runner.Writer.Begin(ctx, root, p, g)
		if errors.Is(err, live.ErrMigration) && rec.Plan.ID == p.ID {
			return nil // the answer was lost
		}
		return err
	})
	if err != nil {
		return interrupted(ctx, err)
	}
	return a.flags.drive(ctx, a.env, a.runner)
}

// show prints what would be written. With --dry-run=server the API server is asked whether it would take it.
func (a *applying) show(ctx context.Context, p *migrate.Plan, g *migrate.Progress) error {
	held := 0
	for _, w := range p.Waves {
		for _, s := range w.Steps {
			if st := g.State(s.ID); st == migrate.Passed || st == migrate.Written || st == migrate.Skipped {
				continue
			}
			fmt.Fprintf(a.env.Stdout, "%s %s %s\n    %s\n", w.Name, s.Kind, s.Subject, migrate.Patch(s.Edit))
			if a.dryRun != "server" {
				continue
			}
			st, err := a.runner.Writer.Look(ctx, s.Edit)
			if err == nil {
				err = a.runner.Writer.Write(ctx, st, s.Edit, false, nil, true)
			}
			if conflict, ok := errors.AsType[*live.ConflictError](err); ok {
				held++
				fmt.Fprintf(a.env.Stdout, "    held: %s\n", conflict.Text)
			} else if err != nil {
				return err
			}
		}
	}
	if held > 0 {
		return Held(fmt.Sprintf("%d steps would be held: others own what they write", held))
	}
	return Findings()
}

// change changes the record of a migration, patiently.
func (f *migrationFlags) change(ctx context.Context, env *Env, r *live.Runner, change func(r *live.Record) ([]string, error)) (*live.Record, error) {
	o := f.options(env)
	if o.Patience == 0 {
		o.Patience, o.Every = 30*time.Second, 200*time.Millisecond
	}
	var rec *live.Record
	err := o.Retry(ctx, func() (err error) {
		rec, err = r.Writer.Change(ctx, change)
		return err
	})
	return rec, interrupted(ctx, err)
}

// options say how a migration is watched, and where failures are told.
func (f *migrationFlags) options(env *Env) live.DriveOptions {
	return live.DriveOptions{Every: f.every, Patience: f.patience, Failed: func(err error) {
		fmt.Fprintf(env.Stderr, "%s: %s; trying again\n", programName(env), oneLine(err.Error()))
	}}
}

// interrupted words the end of a command that was told to end.
func interrupted(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return &ExitStatus{Code: ExitError, Message: "interrupted: what was written is recorded; go on with sidestep apply, or take it back with sidestep rollback"}
	}
	return err
}

// drive carries the recorded migration out until it is done, held or halted.
func (f *migrationFlags) drive(ctx context.Context, env *Env, r *live.Runner) error {
	said := ""
	o := f.options(env)
	o.Told = func(t *live.Tick) {
		for _, id := range t.Taken {
			fmt.Fprintf(env.Stdout, "wrote     %s\n", id)
		}
		for _, id := range t.TakenBack {
			fmt.Fprintf(env.Stdout, "took back %s\n", id)
		}
		if t.Kind != migrate.Wait || len(t.Why) == 0 || t.Why[0].Gate == "" {
			return
		}
		line := fmt.Sprintf("waiting   %s %s: %s", t.Why[0].Gate, t.Why[0].Step, t.Why[0].Text)
		if more := len(t.Why) - 1; more > 0 {
			line += fmt.Sprintf(" (and %d more)", more)
		}
		if line != said {
			said = line
			fmt.Fprintln(env.Stdout, line)
		}
	}
	tick, err := r.Drive(ctx, o)
	switch {
	case err != nil:
		return interrupted(ctx, err)
	case tick.Over:
		fmt.Fprintln(env.Stdout, "Everything is as it was before.")
		return nil
	}
	m := migrationReport(tick)
	if err := m.Text(env.Stdout, report.TextOptions{Colour: env.Colour()}); err != nil {
		return err
	}
	return exitOf(m)
}

func migrationReport(t *live.Tick) *report.MigrationReport {
	return report.NewMigration(t.Record.Plan, &t.Record.Progress, t.Action, nil)
}

// exitOf is how a command ends that shows a migration.
func exitOf(m *report.MigrationReport) error {
	switch migrate.Kind(m.State) {
	case migrate.Hold, migrate.Halt:
		return &ExitStatus{Code: ExitHeld}
	case migrate.Done:
		if !m.Pending() {
			return nil
		}
	}
	return Findings()
}
