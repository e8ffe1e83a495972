package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/sidestep-mesh/sidestep/internal/account"
	"github.com/sidestep-mesh/sidestep/internal/report"
	"github.com/sidestep-mesh/sidestep/internal/roi"
	"github.com/sidestep-mesh/sidestep/internal/roi/latency"
	"github.com/spf13/cobra"
)

func newRoiReportCommand(env *Env) *cobra.Command {
	var f roiFlags
	var o roiReportFlags
	c := &cobra.Command{
		Use:   "report",
		Short: "What was promised and what came of it",
		Example: `  sidestep roi report --baseline before.json --prometheus http://localhost:9090 --history roi-weeks/
  sidestep roi report --baseline before.json --metrics now.json --enrolled payments=2026-09-01T10:00:00Z`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			write, err := roiWriter(f.output)
			if err != nil {
				return err
			}
			r, s, err := o.make(c, env, &f)
			if err != nil {
				return err
			}
			if err := write(report.NewROIReport(r, s.Queries(), f.explain), env.Stdout); err != nil {
				return err
			}
			if err := o.keep(env, r); err != nil {
				return err
			}
			if len(r.Drift) > 0 {
				return Findings()
			}
			return nil
		},
	}
	f.register(c)
	f.registerOutput(c)
	o.register(c)
	return c
}

// roiReportFlags are those of report alone.
type roiReportFlags struct {
	baseline, history, simulated string
	enrolled, waves, released    []string
	before, after, margin        float64
	settle                       time.Duration
	billed                       func() bool
}

func (o *roiReportFlags) register(c *cobra.Command) {
	fl := c.Flags()
	fl.StringVar(&o.baseline, "baseline", "", "`FILE` of sidestep roi baseline")
	fl.StringVar(&o.history, "history", "", "`FOLDER` that keeps one small file a week")
	fl.StringVar(&o.simulated, "simulated", "", "`TEXT` that says what of the measurements is made, for labs")
	fl.StringSliceVar(&o.enrolled, "enrolled", nil, "`NAMESPACE=TIME` (RFC 3339) at which a namespace changed mode; default: between the baseline and the first hour without its sidecars")
	fl.StringSliceVar(&o.waves, "enrolled-wave", nil, "`WAVE=TIME` (RFC 3339) at which a wave of --plan changed mode; repeatable")
	fl.StringSliceVar(&o.released, "released", nil, "`NAMESPACE` whose application was released in the window, so that its latency is not compared; another image or limit than at the baseline is seen without it")
	fl.Float64Var(&o.margin, "latency-margin", 100*latency.DefaultMargin, "`PERCENT` within which a change of latency counts as none")
	fl.Float64Var(&o.before, "billed-before", 0, "what the bill was per month")
	fl.Float64Var(&o.after, "billed-after", 0, "what the bill is per month")
	fl.DurationVar(&o.settle, "settle", 2*time.Hour, "how long after a change of mode latency is not counted")
	c.MarkFlagsRequiredTogether("billed-before", "billed-after")
	o.billed = func() bool { return fl.Changed("billed-before") }
	if err := c.MarkFlagRequired("baseline"); err != nil {
		panic(err) // the flag was registered above
	}
}

func (o *roiReportFlags) make(c *cobra.Command, env *Env, f *roiFlags) (roi.Report, *account.State, error) {
	raw, err := os.ReadFile(env.Path(o.baseline))
	if err != nil {
		return roi.Report{}, nil, err
	}
	b, err := roi.ReadBaseline(raw, o.baseline)
	if err != nil {
		return roi.Report{}, nil, err
	}
	if f.metrics.params.EdgeMatcher == "" && f.metrics.params.LatencyMetric == "" {
		f.metrics.params.EdgeMatcher = b.Instrument // like is compared with like, also when gateways came or went
	}
	s, given, err := f.read(c, env)
	if err != nil {
		return roi.Report{}, nil, err
	}
	now := s.Now(given)
	now.Settle, now.Simulated, now.Margin = o.settle, o.simulated, o.margin/100
	if o.billed() {
		now.BilledBefore, now.BilledAfter = &o.before, &o.after
	}
	enrolled, err := o.enrolments(s)
	if err != nil {
		return roi.Report{}, nil, err
	}
	s.Enrolled(b, now.Edge, enrolled)
	if now.History, err = o.weeks(env); err != nil {
		return roi.Report{}, nil, err
	}
	return roi.Compare(b, now), s, nil
}

// enrolments reads --enrolled and --enrolled-wave.
func (o *roiReportFlags) enrolments(s *account.State) (account.Enrolments, error) {
	out := account.Enrolments{Released: o.released}
	var err error
	if out.Namespaces, err = times("--enrolled", "NAMESPACE", o.enrolled); err != nil {
		return out, err
	}
	if out.Waves, err = times("--enrolled-wave", "WAVE", o.waves); err != nil {
		return out, err
	}
	waves := make([]string, 0, len(out.Waves))
	for w := range out.Waves {
		waves = append(waves, w)
	}
	return out, s.CheckScope(account.Options{Waves: waves})
}

// times reads values NAME=TIME of a flag.
func times(flag, what string, values []string) (map[string]time.Time, error) {
	at := map[string]time.Time{}
	for _, x := range values {
		name, text, _ := strings.Cut(x, "=")
		t, err := time.Parse(time.RFC3339, text)
		if err != nil || name == "" {
			return nil, fmt.Errorf("%s %q: want %s=2026-09-01T10:00:00Z", flag, x, what)
		}
		at[name] = t
	}
	return at, nil
}

func (o *roiReportFlags) weeks(env *Env) ([]roi.Week, error) {
	if o.history == "" {
		return nil, nil
	}
	files, err := filepath.Glob(filepath.Join(env.Path(o.history), "*-W*.json"))
	if err != nil {
		return nil, err
	}
	this := roi.WeekName(env.Now())
	var out []roi.Week
	for _, name := range files {
		raw, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		var w roi.Week
		if err := json.Unmarshal(raw, &w); err != nil || w.Kind != "RoiWeek" {
			return nil, fmt.Errorf("%s: not a week of sidestep roi report", name)
		}
		if w.Week != this { // a second report in one week replaces the first
			out = append(out, w)
		}
	}
	return out, nil
}

func (o *roiReportFlags) keep(env *Env, r roi.Report) error {
	if o.history == "" {
		return nil
	}
	dir := env.Path(o.history)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	return writeFile(env, filepath.Join(dir, r.ThisWeek.Week+".json"), func(w io.Writer) error {
		return json.NewEncoder(w).Encode(r.ThisWeek)
	})
}
