package cli

import (
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/sidestep-mesh/sidestep/internal/doctor"
	"github.com/sidestep-mesh/sidestep/internal/mesh"
	"github.com/sidestep-mesh/sidestep/internal/metric"
	"github.com/sidestep-mesh/sidestep/internal/report"
	"github.com/spf13/cobra"
)

var doctorFormats = []string{"text", "json", "sarif", "markdown"}

func newDoctorCommand(env *Env) *cobra.Command {
	var in inputFlags
	f := metricFlags{metrics: metric.Health(), window: "1h"}
	var output, failOn, record string
	var symptoms []string
	var wide bool
	c := &cobra.Command{
		Use:   "doctor",
		Short: "Look a running hybrid mesh over: what is wrong, why, and what ends it",
		Long: `Makes every check of docs/checks.md on a cluster or on a snapshot, with the metrics of a server of
the Prometheus API or of a file that --record wrote. What cannot be told for want of input is said.

Exit codes: 0 no finding as severe as --fail-on, 1 nothing could be checked, 2 a finding is.`,
		Example: `  sidestep doctor --prometheus http://localhost:9090
  sidestep doctor -f mesh.snapshot --metrics health.json
  sidestep doctor --symptom 503`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			asked, err := parseSymptoms(symptoms)
			if err != nil {
				return err
			}
			if err := checkFormat(output, doctorFormats...); err != nil {
				return err
			}
			if !slices.Contains([]string{"error", "warning", "info", "none"}, failOn) {
				return fmt.Errorf("--fail-on %s: use error, warning, info or none", failOn)
			}
			snap, err := in.load(c.Context(), env)
			if err != nil {
				return err
			}
			dump, err := f.load(c.Context(), env)
			if err != nil {
				return err
			}
			if record != "" {
				if err := recordDump(env, record, dump); err != nil {
					return err
				}
			}
			r := report.NewDoctor(doctor.Run(mesh.Build(snap, mesh.Assume{}), dump, asked))
			if err := writeDoctor(env, r, output, wide); err != nil {
				return err
			}
			if failOn != "none" && r.Worst(failOn) {
				return Findings()
			}
			return nil
		},
	}
	in.register(c)
	flags := c.Flags()
	flags.StringVar(&f.prom.URL, "prometheus", "", "`URL` of a server with the Prometheus API (Prometheus, Thanos, Mimir, VictoriaMetrics)")
	flags.StringVar(&f.prom.BearerFile, "prometheus-token-file", "", "`FILE` with a bearer token")
	flags.StringVar(&f.prom.CAFile, "prometheus-ca", "", "PEM `FILE` with the authority of the server's certificate")
	flags.StringVar(&f.prom.Tenant, "prometheus-tenant", "", "`NAME` sent as X-Scope-OrgID")
	flags.DurationVar(&f.prom.Timeout, "prometheus-timeout", f.prom.Timeout, "how long one query may take (default: a minute)")
	flags.StringVar(&f.dump, "metrics", "", "read metrics from this `FILE`, written by --record, instead of a server")
	flags.StringVar(&record, "record", "", "write the metrics asked for to this `FILE`")
	flags.StringSliceVar(&symptoms, "symptom", nil, "make only the checks that explain this `SYMPTOM`: "+symptomList()+"; repeatable")
	flags.StringVar(&failOn, "fail-on", "error", "exit with 2 when a finding is at least this `SEVERITY`: error, warning or info; none for never")
	flags.BoolVar(&wide, "wide", false, "show every finding, with evidence")
	c.MarkFlagsMutuallyExclusive("metrics", "prometheus")
	outputFlag(c, &output, doctorFormats...)
	return c
}

func symptomList() string {
	var words []string
	for _, s := range doctor.Symptoms() {
		words = append(words, string(s))
	}
	return strings.Join(words, ", ")
}

func parseSymptoms(words []string) ([]doctor.Symptom, error) {
	var out []doctor.Symptom
	for _, w := range words {
		if !slices.Contains(doctor.Symptoms(), doctor.Symptom(w)) {
			return nil, fmt.Errorf("--symptom %s: no symptom is called so; use %s", w, symptomList())
		}
		out = append(out, doctor.Symptom(w))
	}
	return out, nil
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

func writeDoctor(env *Env, r *report.DoctorReport, output string, wide bool) error {
	switch output {
	case "json":
		return r.JSON(env.Stdout)
	case "sarif":
		return r.SARIF(env.Stdout, Version())
	case "markdown":
		return r.Markdown(env.Stdout)
	}
	return r.Text(env.Stdout, report.TextOptions{Wide: wide, Colour: env.Colour()})
}
