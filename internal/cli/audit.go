package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/sidestep-mesh/sidestep/internal/audit"
	"github.com/sidestep-mesh/sidestep/internal/authz"
	"github.com/sidestep-mesh/sidestep/internal/mesh"
	"github.com/sidestep-mesh/sidestep/internal/report"
	"github.com/sidestep-mesh/sidestep/internal/snapshot"
	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/labels"
)

var auditFormats = []string{"text", "json", "sarif", "markdown", "html"}

// auditFlags say how an audit is shown.
type auditFlags struct {
	output             string
	wide, list         bool
	only, codes        []string
	selector, severity string
	gate               *gateFlags // nil where findings are shown as they are
	audit.Options
}

func (f *auditFlags) register(c *cobra.Command) {
	flags := c.Flags()
	outputFlag(c, &f.output, auditFormats...)
	flags.BoolVar(&f.list, "list", false, "show one line for each workload, and every code, instead of the first screen")
	flags.StringSliceVar(&f.only, "only", nil, "list workloads of this `VERDICT` only: ambient, waypoint, sidecar or none; repeatable")
	flags.StringSliceVar(&f.codes, "code", nil, "list workloads with this `CODE` only; repeatable")
	flags.StringVar(&f.severity, "severity", "", "list workloads with a finding of at least this `SEVERITY` only, today or if just moved: error, warning or info")
	flags.StringVarP(&f.selector, "selector", "l", "", "list workloads whose pods have these labels only, as in kubectl: `key=value,...`")
	completeWith(c, "only", verdictWords...)
	completeWith(c, "severity", "error", "warning", "info")
	flags.BoolVar(&f.wide, "wide", false, "show every finding of every workload, with evidence and the way out")
	flags.IntVar(&f.HighScaleReplicas, "high-scale", audit.DefaultHighScaleReplicas, "`PODS` from which a workload that keeps its sidecars is named in the summary")
}

func (f *auditFlags) check() error {
	if err := checkFormat(f.output, auditFormats...); err != nil {
		return err
	}
	if f.HighScaleReplicas < 1 {
		return fmt.Errorf("--high-scale %d: must be at least 1", f.HighScaleReplicas)
	}
	_, err := f.filter(nil)
	return err
}

// verdictWords are the values of --only.
var verdictWords = []string{"ambient", "waypoint", "sidecar", "none"}

// filter says which workloads are shown.
func (f *auditFlags) filter(namespaces []string) (report.Filter, error) {
	out := report.Filter{Namespaces: namespaces, Verdicts: f.only, Severity: f.severity}
	for _, v := range f.only {
		if !slices.Contains(verdictWords, v) {
			return out, fmt.Errorf("--only %s: not a verdict; use %s", v, orList(verdictWords))
		}
	}
	for _, code := range f.codes {
		rule, known := audit.Explain(strings.ToUpper(code))
		if !known {
			return out, fmt.Errorf("--code %s: no rule has this code; see docs/rules.md", code)
		}
		out.Codes = append(out.Codes, rule.Code)
	}
	if f.severity != "" && !slices.Contains([]string{"error", "warning", "info"}, f.severity) {
		return out, fmt.Errorf("--severity %s: use error, warning or info", f.severity)
	}
	if f.selector != "" {
		selector, err := labels.Parse(f.selector)
		if err != nil {
			return out, fmt.Errorf("-l %s: %w", f.selector, err)
		}
		out.Selector = selector
	}
	return out, nil
}

// lists reports whether the flags ask for workloads one by one.
func (f *auditFlags) lists(namespaces []string) bool {
	return f.list || f.wide || len(namespaces)+len(f.only)+len(f.codes) > 0 || f.severity != "" || f.selector != ""
}

func newAuditCommand(env *Env) *cobra.Command {
	var in inputFlags
	var show auditFlags
	var known gateFlags
	var diff string
	var failOn string
	var printRBAC bool
	c := &cobra.Command{
		Use:   "audit",
		Short: "Tell for every workload which mode keeps its behaviour, and why",
		Long: `Reads a mesh, from a cluster or from files, and tells for every workload the cheapest mode
that keeps its behaviour: ambient (ztunnel is enough), waypoint (ztunnel and a waypoint),
sidecar (nothing else does), or none (no mode applies). It never writes to a cluster.

Exit codes:
  0  the input was audited; no finding is as severe as --fail-on, today or if its sidecar just went
  1  nothing could be audited: no workload, nothing readable, no cluster
  2  a finding is as severe as --fail-on, or a part of the input could not be read
     (which counts as an error, since nobody knows what it holds)`,
		Example: `  sidestep audit                                  # the cluster of the current context
  sidestep audit -f manifests/ -o markdown        # a Git repository, for a pull request
  kubectl get -A -o yaml deploy,svc,... | sidestep audit -f -
  sidestep audit -f mesh.snapshot -n payments --wide`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if printRBAC {
				return writeClusterRole(env.Stdout)
			}
			if err := known.configure(env, c, &in); err != nil {
				return err
			}
			if err := errors.Join(show.check(), checkFailOn(failOn)); err != nil {
				return err
			}
			show.gate = &known
			if diff != "" {
				return diffAudits(c.Context(), env, &in, &show, diff, failOn)
			}
			r, err := runAudit(c.Context(), env, &in, &show)
			if err != nil {
				return err
			}
			if known.writeBaseline != "" {
				return known.write(env, &in, r)
			}
			show.list = show.lists(in.namespaces)
			if err := writeAudit(env, r, &show); err != nil {
				return err
			}
			if failOn != "none" && r.Worst(failOn) {
				return Findings()
			}
			return nil
		},
	}
	in.register(c)
	show.register(c)
	known.register(c)
	c.Flags().StringVar(&diff, "diff", "", "say what changed since this `BASE`, a file, folder or snapshot: verdicts, findings, access and cost; exits with 2 when access changed or a new finding is as severe as --fail-on")
	c.Flags().StringVar(&failOn, "fail-on", "error", "exit with 2 when a finding is at least this `SEVERITY`, today or if the sidecar just went: error, warning or info; today for errors of today alone, none for never")
	c.Flags().BoolVar(&printRBAC, "print-rbac", false, "print the ClusterRole that reading a cluster needs, and do nothing else")
	completeWith(c, "fail-on", failOnValues...)
	return c
}

var failOnValues = []string{"error", report.FailOnToday, "warning", "info", "none"}

func checkFailOn(severity string) error {
	if slices.Contains(failOnValues, severity) {
		return nil
	}
	return fmt.Errorf("--fail-on %s: use %s", severity, orList(failOnValues))
}

// runAudit reads the input and audits it.
func runAudit(ctx context.Context, env *Env, in *inputFlags, show *auditFlags) (*report.AuditReport, error) {
	filter, err := show.filter(in.namespaces)
	if err != nil {
		return nil, err
	}
	snap, err := in.load(ctx, env)
	if err != nil {
		return nil, err
	}
	r := auditSnapshot(snap, show.Options, env.provenance(in.source()), filter)
	if show.gate != nil {
		if err := show.gate.apply(env, snap, r); err != nil {
			return nil, err
		}
	}
	if len(r.Workloads) == 0 && !show.narrows() {
		return nil, nothingToAudit(snap, in)
	}
	if len(r.Workloads) == 0 && show.selector != "" {
		fmt.Fprintf(env.Stderr, "%s: no workload that is shown has pods with the labels -l %s\n", programName(env), show.selector)
	}
	return r, nil
}

// diffAudits audits the input and its base and shows what the change between them does.
func diffAudits(ctx context.Context, env *Env, in *inputFlags, show *auditFlags, base, failOn string) error {
	if err := checkFormat(show.output, "text", "json", "markdown"); err != nil {
		return fmt.Errorf("--diff: %w", err)
	}
	audited := func(in *inputFlags) (*report.AuditReport, *mesh.Mesh, error) {
		snap, err := in.load(ctx, env)
		if err != nil {
			return nil, nil, err
		}
		m := mesh.Build(snap, mesh.Assume{})
		r := report.NewAudit(m, audit.Run(m, everyCore(show.Options)), show.Options, env.provenance(in.source()), report.Filter{Namespaces: in.namespaces})
		return r, m, show.gate.apply(env, snap, r)
	}
	was := *in
	was.files, was.kustomizations, was.clusterFlags = []string{base}, nil, clusterFlags{}
	before, a, err := audited(&was)
	if err != nil {
		return fmt.Errorf("--diff %s: %w", base, err)
	}
	after, b, err := audited(in)
	if err != nil {
		return err
	}
	x, y := mesh.AuthzWorld(a), mesh.AuthzWorld(b)
	d := report.NewAuditDiff(before, after, diffOnEveryCore(&x, &y, authz.Options{}))
	switch show.output {
	case "json":
		err = d.JSON(env.Stdout)
	case "markdown":
		err = d.Markdown(env.Stdout)
	default:
		err = d.Text(env.Stdout, report.TextOptions{Colour: env.Colour()})
	}
	if err == nil && failOn != "none" && d.Worse(failOn) {
		err = Findings()
	}
	return err
}

// narrows reports whether flags beside the namespace pick workloads: then to find none is an answer.
func (f *auditFlags) narrows() bool {
	return len(f.only)+len(f.codes) > 0 || f.severity != "" || f.selector != ""
}

func auditSnapshot(snap *snapshot.Snapshot, options audit.Options, from report.Provenance, filter report.Filter) *report.AuditReport {
	m := mesh.Build(snap, mesh.Assume{})
	return report.NewAudit(m, audit.Run(m, everyCore(options)), options, from, filter)
}

// everyCore lets an audit use all cores.
func everyCore(o audit.Options) audit.Options {
	o.Each = onEveryCore
	return o
}

func nothingToAudit(snap *snapshot.Snapshot, in *inputFlags) error {
	if len(in.namespaces) > 0 {
		return fmt.Errorf("nothing to audit: no workload in namespace %s (%d objects read)", strings.Join(in.namespaces, ", "), snap.Len())
	}
	return fmt.Errorf("nothing to audit: none of the %d objects read is a workload (Deployment, StatefulSet, DaemonSet, Job, CronJob, Rollout, ReplicaSet, ReplicationController or Pod)", snap.Len())
}

func writeAudit(env *Env, r *report.AuditReport, show *auditFlags) error {
	render := map[string]func(io.Writer) error{
		"text": func(w io.Writer) error {
			text := report.TextOptions{Wide: show.wide, Colour: env.Colour(), Command: programName(env)}
			if show.list || show.wide {
				return r.Text(w, text)
			}
			return r.Screen(w, text)
		},
		"json":     r.JSON,
		"sarif":    func(w io.Writer) error { return r.SARIF(w, Version()) },
		"markdown": r.Markdown,
		"html":     r.HTML,
	}[show.output]
	if err := render(env.Stdout); err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	return nil
}
