package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/sidestep-mesh/sidestep/internal/doctor"
	"github.com/sidestep-mesh/sidestep/internal/mesh"
	"github.com/sidestep-mesh/sidestep/internal/metric"
	"github.com/sidestep-mesh/sidestep/internal/report"
	"github.com/spf13/cobra"
)

var doctorFormats = []string{"text", "json", "sarif", "markdown", "html"}

// doctorFlags say what doctor looks at and how it shows it.
type doctorFlags struct {
	in               inputFlags
	metrics          metricFlags
	output, failOn   string
	record           string
	symptoms, checks []string
	wide, watch      bool
	every            time.Duration
	only             doctor.Only
}

func newDoctorCommand(env *Env) *cobra.Command {
	f := &doctorFlags{metrics: metricFlags{metrics: metric.Health(), window: "1h"}}
	c := &cobra.Command{
		Use:   "doctor",
		Short: "Look a running hybrid mesh over: what is wrong, why, and what ends it",
		Long: `Makes every check of docs/checks.md on a cluster or on a snapshot, with the metrics of a server of
the Prometheus API or of a file that --record wrote. What cannot be told for want of input is said.

Exit codes:
  0  the mesh was looked at; no finding is as severe as --fail-on
  1  nothing could be looked at: nothing readable, no cluster
  2  a finding is as severe as --fail-on, or a part of the input could not be read
     (with --watch: when it is interrupted, by what was seen last)`,
		Example: `  sidestep doctor --prometheus http://localhost:9090
  sidestep doctor -f mesh.snapshot --metrics health.json
  sidestep doctor --symptom 503
  sidestep doctor --prometheus http://localhost:9090 --watch --every 1m`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := f.check(); err != nil {
				return err
			}
			if f.watch {
				return f.watchMesh(c.Context(), env)
			}
			r, err := f.look(c.Context(), env)
			if err != nil {
				return err
			}
			if err := f.write(env, r); err != nil {
				return err
			}
			return f.end(r)
		},
	}
	f.register(c)
	return c
}

func (f *doctorFlags) register(c *cobra.Command) {
	f.in.register(c)
	flags := c.Flags()
	prom := &f.metrics.prom
	flags.StringVar(&prom.URL, "prometheus", "", "`URL` of a server with the Prometheus API (Prometheus, Thanos, Mimir, VictoriaMetrics)")
	flags.StringVar(&prom.BearerFile, "prometheus-token-file", "", "`FILE` with a bearer token")
	flags.StringVar(&prom.CAFile, "prometheus-ca", "", "PEM `FILE` with the authority of the server's certificate")
	flags.StringVar(&prom.Tenant, "prometheus-tenant", "", "`NAME` sent as X-Scope-OrgID")
	flags.DurationVar(&prom.Timeout, "prometheus-timeout", time.Minute, "give a query this `DURATION` at most")
	flags.StringVar(&f.metrics.dump, "metrics", "", "read metrics from this `FILE`, written by --record, instead of a server")
	flags.StringVar(&f.record, "record", "", "write the metrics asked for to this `FILE`")
	flags.StringSliceVar(&f.symptoms, "symptom", nil, "make only the checks that explain this `SYMPTOM`: "+orList(symptomWords())+"; repeatable")
	flags.StringSliceVar(&f.checks, "check", nil, "make only the check with this `ID` of docs/checks.md; repeatable")
	flags.StringVar(&f.failOn, "fail-on", "error", "exit with 2 when a finding is at least this `SEVERITY`: error, warning or info; none for never")
	flags.BoolVar(&f.wide, "wide", false, "show every finding, with evidence")
	flags.BoolVar(&f.watch, "watch", false, "go on looking, and say what begins and what ends, until interrupted")
	flags.DurationVar(&f.every, "every", 30*time.Second, "with --watch, look again after this `DURATION`")
	c.MarkFlagsMutuallyExclusive("metrics", "prometheus")
	outputFlag(c, &f.output, doctorFormats...)
	completeWith(c, "symptom", symptomWords()...)
	completeWith(c, "fail-on", "error", "warning", "info", "none")
}

func symptomWords() []string {
	var words []string
	for _, s := range doctor.Symptoms() {
		words = append(words, string(s))
	}
	return words
}

// check refuses values that are none, and reads the rest.
func (f *doctorFlags) check() error {
	f.only = doctor.Only{Checks: f.checks}
	for _, w := range f.symptoms {
		if !slices.Contains(symptomWords(), w) {
			return fmt.Errorf("--symptom %s: no symptom is called so; use %s", w, orList(symptomWords()))
		}
		f.only.Symptoms = append(f.only.Symptoms, doctor.Symptom(w))
	}
	for _, id := range f.checks {
		if _, ok := doctor.Lookup(id); !ok {
			return fmt.Errorf("--check %s: no check is called so; docs/checks.md lists them", id)
		}
	}
	if !slices.Contains([]string{"error", "warning", "info", "none"}, f.failOn) {
		return fmt.Errorf("--fail-on %s: use error, warning, info or none", f.failOn)
	}
	if f.watch && f.output != "text" && f.output != "json" {
		return fmt.Errorf("--watch writes text or json, not %s", f.output)
	}
	if f.every <= 0 {
		return fmt.Errorf("--every %s: must be more than nothing", f.every)
	}
	return checkFormat(f.output, doctorFormats...)
}

// look reads the input once and makes the checks.
func (f *doctorFlags) look(ctx context.Context, env *Env) (*report.DoctorReport, error) {
	snap, err := f.in.load(ctx, env)
	if err != nil {
		return nil, err
	}
	dump, err := f.metrics.load(ctx, env)
	if err != nil {
		return nil, err
	}
	if f.record != "" {
		if err := recordDump(env, f.record, dump); err != nil {
			return nil, err
		}
	}
	m := mesh.Build(snap, mesh.Assume{})
	r := report.NewDoctor(m, doctor.Run(m, dump, f.only))
	r.Only(f.in.namespaces)
	return r, nil
}

func (f *doctorFlags) end(r *report.DoctorReport) error {
	if f.failOn != "none" && r.Worst(f.failOn) {
		return Findings()
	}
	return nil
}

// watchMesh looks again and again until it is interrupted. A look that fails is said and does not end it: what was seen before stands.
func (f *doctorFlags) watchMesh(ctx context.Context, env *Env) error {
	last, err := f.look(ctx, env)
	if err != nil {
		return err
	}
	if err := f.write(env, last); err != nil {
		return err
	}
	tick := time.NewTicker(f.every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return f.end(last)
		case <-tick.C:
		}
		r, err := f.look(ctx, env)
		switch {
		case errors.Is(ctx.Err(), context.Canceled):
			return f.end(last)
		case err != nil:
			fmt.Fprintf(env.Stderr, "%s: %v; looking again in %s\n", programName(env), err, f.every)
			continue
		}
		if f.output == "json" {
			err = r.JSON(env.Stdout)
		} else {
			err = r.Changes(env.Stdout, last, report.TextOptions{Colour: env.Colour()}, env.Now().Format(time.TimeOnly))
		}
		if err != nil {
			return err
		}
		last = r
	}
}

func recordDump(env *Env, name string, d metric.Dump) error {
	file, err := os.Create(env.Path(name))
	if err != nil {
		return err
	}
	if err := d.Encode(file); err != nil {
		_ = file.Close() // the first error tells more
		return fmt.Errorf("%s: %w", name, err)
	}
	return file.Close()
}

func (f *doctorFlags) write(env *Env, r *report.DoctorReport) error {
	switch f.output {
	case "json":
		return r.JSON(env.Stdout)
	case "sarif":
		return r.SARIF(env.Stdout, Version())
	case "markdown":
		return r.Markdown(env.Stdout)
	case "html":
		return r.HTML(env.Stdout)
	}
	return r.Text(env.Stdout, report.TextOptions{Wide: f.wide, Colour: env.Colour()})
}
