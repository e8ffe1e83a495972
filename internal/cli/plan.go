package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"time"

	"github.com/sidestep-mesh/sidestep/internal/metric"
	"github.com/sidestep-mesh/sidestep/internal/plan"
	"github.com/sidestep-mesh/sidestep/internal/report"
	"github.com/sidestep-mesh/sidestep/internal/snapshot"
	"github.com/sidestep-mesh/sidestep/internal/snapshot/manifest"
	"github.com/spf13/cobra"
)

// planFlags say what is planned and how it is shown.
type planFlags struct {
	output       string
	wide         bool
	calls        string
	accept       []string
	why          string
	canary       string
	maxPods      int
	maxNamespace int
	out          string
	from         string
	change       string
	metrics      metricFlags
}

func (f *planFlags) register(c *cobra.Command) {
	flags := c.Flags()
	outputFlag(c, &f.output, "text", "json", "html")
	flags.BoolVar(&f.wide, "wide", false, "show every step, need and workload that stays, with reasons")
	flags.StringVar(&f.calls, "calls", "", "`FILE` with the calls that exist: an answer of Prometheus about istio_requests_total or istio_tcp_*, or a list; see the example")
	prom := &f.metrics.prom
	flags.StringVar(&prom.URL, "prometheus", "", "ask this `URL` (Prometheus, Thanos, Mimir, VictoriaMetrics) for the calls that exist")
	flags.StringVar(&prom.BearerFile, "prometheus-token-file", "", "`FILE` with a bearer token")
	flags.StringVar(&prom.CAFile, "prometheus-ca", "", "PEM `FILE` with the authority of the server's certificate")
	flags.StringVar(&prom.Tenant, "prometheus-tenant", "", "`NAME` sent as X-Scope-OrgID")
	flags.DurationVar(&prom.Timeout, "prometheus-timeout", time.Minute, "give a query this `DURATION` at most")
	flags.StringVar(&f.metrics.window, "window", "7d", "with --prometheus, what was called in this `TIME`: a job that runs once a month is not seen in a week")
	c.MarkFlagsMutuallyExclusive("calls", "prometheus")
	flags.StringArrayVar(&f.accept, "accept", nil, "take a divergence, as `CODE:NAMESPACE/NAME`; repeatable, needs --why")
	flags.StringVar(&f.why, "why", "", "the `REASON` for what --accept takes; it is kept in the plan")
	flags.StringVar(&f.canary, "canary", "", "the `NAMESPACE` whose workloads move first")
	flags.IntVar(&f.maxPods, "max-pods", 0, "move at most so many `PODS` in one wave; 0 for no bound")
	flags.StringVar(&f.out, "out", "", "write the plan into `DIR`, which must not exist or be empty: a folder per wave, to apply one after the other")
	flags.StringVar(&f.from, "from-plan", "", "say what has changed since the plan in `FILE` (of -o json) was made, and plan what is left")
	flags.StringVar(&f.change, "change", "", "instead of a move, order the writes that make the mesh say what the manifests in `DIR` do: policies, routes and other objects that restart nothing; what has annotation "+plan.AnnotationRemove+`: "true" is removed`)
	for _, other := range []string{"accept", "canary", "max-pods", "max-namespaces"} {
		defer c.MarkFlagsMutuallyExclusive("change", other)
	}
	flags.IntVar(&f.maxNamespace, "max-namespaces", 0, "move workloads of at most so many `NAMESPACES` in one wave; 0 for no bound")
}

func (f *planFlags) check() error {
	var err error
	if len(f.accept) > 0 && f.why == "" {
		err = fmt.Errorf("--accept needs --why: whoever reads the plan wants to know")
	}
	if f.maxPods < 0 || f.maxNamespace < 0 {
		err = errors.Join(err, fmt.Errorf("--max-pods and --max-namespaces must not be negative"))
	}
	return errors.Join(checkFormat(f.output, "text", "json", "html"), err)
}

func newPlanCommand(env *Env) *cobra.Command {
	var in inputFlags
	var f planFlags
	c := &cobra.Command{
		Use:   "plan",
		Short: "Find an order of small steps to ambient mode in which nothing is weaker and no call that exists is refused",
		Long: `Reads a mesh, from a cluster or from files, and finds the steps that move its workloads from
sidecars to ambient mode and waypoints: what has to be prepared, who moves in which wave, what goes
in the end, and who keeps a sidecar and why. It proves that no state on the way lets a call pass that
is refused today, and orders the waves by the calls that exist. It never writes to a cluster.

Without --calls every caller that a policy admits counts as one that calls. A wrong list of calls can
make a call fail for the length of an undo; it can never let one pass.

Exit codes:
  0  nothing to do
  1  no plan could be made
  2  there are steps to take`,
		Example: `  sidestep plan                                     # the cluster of the current context
  sidestep plan -f mesh/ --calls calls.json -o json
  sidestep plan --change policies/                  # in which order to write edited policies
  curl -sG $PROMETHEUS/api/v1/query --data-urlencode 'query=sum by (source_workload,
    source_workload_namespace, source_principal, destination_workload, destination_workload_namespace,
    destination_service_name, destination_service_namespace) (increase(istio_requests_total[7d]))' > calls.json`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := f.check(); err != nil {
				return err
			}
			options, err := f.options(c.Context(), env)
			if err != nil {
				return err
			}
			snap, err := in.load(c.Context(), env)
			if err != nil {
				return err
			}
			if len(in.namespaces) > 0 {
				options.Only = func(namespace string) bool { return slices.Contains(in.namespaces, namespace) }
			}
			r, err := f.plan(env, &in, snap, options)
			if err != nil {
				return err
			}
			if err := f.compare(env, r); err != nil {
				return err
			}
			return f.write(env, snap, &in, r)
		},
	}
	in.register(c)
	f.register(c)
	return c
}

// plan plans the move of a mesh, or orders a change.
func (f *planFlags) plan(env *Env, in *inputFlags, snap *snapshot.Snapshot, options plan.Options) (*report.PlanReport, error) {
	if f.change == "" {
		return planOf(snap, options)
	}
	if len(in.namespaces) > 0 {
		return nil, fmt.Errorf("--change orders all that its manifests say: -n does not narrow it")
	}
	want, err := loadFiles(env, []string{f.change}, nil, manifest.Options{Namespace: in.defaultNamespace()})
	if err != nil {
		return nil, fmt.Errorf("--change: %w", err)
	}
	if problems := want.Problems(); len(problems) > 0 {
		sayProblems(env, problems)
		return nil, fmt.Errorf("--change: %s cannot be read as a whole, and a part of a change is another change", f.change)
	}
	if want.Len() == 0 {
		return nil, nothingRead([]string{f.change}, want)
	}
	p, err := plan.BuildChange(snap, slices.Collect(want.Objects()), options)
	if err != nil {
		return nil, fmt.Errorf("plan: %w", err)
	}
	r, err := report.NewPlan(p)
	if err != nil {
		return nil, fmt.Errorf("plan: %w", err)
	}
	return r, nil
}

// planOf plans the move of a mesh.
func planOf(snap *snapshot.Snapshot, options plan.Options) (*report.PlanReport, error) {
	p, err := plan.Build(snap, options)
	if err != nil {
		return nil, fmt.Errorf("plan: %w", err)
	}
	r, err := report.NewPlan(p)
	if err != nil {
		return nil, fmt.Errorf("plan: %w", err)
	}
	return r, nil
}

// compare says what has changed since an earlier plan.
func (f *planFlags) compare(env *Env, r *report.PlanReport) error {
	if f.from == "" {
		return nil
	}
	raw, err := os.ReadFile(env.Path(f.from))
	if err != nil {
		return fmt.Errorf("--from-plan: %w", err)
	}
	earlier, err := report.ReadPlan(raw)
	if err != nil {
		return fmt.Errorf("--from-plan: %s: %w", f.from, err)
	}
	r.Since(earlier)
	return nil
}

func (f *planFlags) write(env *Env, snap *snapshot.Snapshot, in *inputFlags, r *report.PlanReport) error {
	if f.out != "" {
		files, err := r.Tree()
		if err != nil {
			return fmt.Errorf("--out: %w", err)
		}
		if err := writeTree(env.Path(f.out), files); err != nil {
			return fmt.Errorf("--out: %w", err)
		}
	}
	var err error
	switch f.output {
	case "json":
		err = r.JSON(env.Stdout)
	case "html":
		err = pageOf(env, snap, in, r).HTML(env.Stdout)
	default:
		err = r.Text(env.Stdout, report.TextOptions{Wide: f.wide, Colour: env.Colour()})
	}
	if err != nil {
		return fmt.Errorf("write the plan: %w", err)
	}
	if r.Pending() || len(snap.Problems()) > 0 { // nobody knows what was not read
		return Findings()
	}
	return nil
}

// writeTree writes files into a folder of their own.
func writeTree(dir string, files []report.TreeFile) error {
	if there, err := os.ReadDir(dir); err == nil && len(there) > 0 {
		return fmt.Errorf("%s is not empty: give a folder that is, or none", dir)
	}
	for _, f := range files {
		path := filepath.Join(dir, filepath.FromSlash(f.Path))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return fmt.Errorf("write the tree: %w", err)
		}
		if err := os.WriteFile(path, f.Text, 0o644); err != nil {
			return fmt.Errorf("write the tree: %w", err)
		}
	}
	return nil
}

// options turns flags into what package plan takes.
func (f *planFlags) options(ctx context.Context, env *Env) (plan.Options, error) {
	o := plan.Options{Canary: f.canary, MaxPods: f.maxPods, MaxNamespaces: f.maxNamespace, Each: onEveryCore}
	if f.calls != "" {
		raw, err := os.ReadFile(env.Path(f.calls))
		if err != nil {
			return o, fmt.Errorf("--calls: %w", err)
		}
		if o.Calls, err = plan.ReadCalls(raw, f.calls); err != nil {
			return o, fmt.Errorf("--calls: %w", err)
		}
	}
	if f.metrics.prom.URL != "" {
		var err error
		if o.Calls, o.NoCalls, err = f.ask(ctx, env); err != nil {
			return o, err
		}
	}
	for _, text := range f.accept {
		a, err := plan.ParseAcceptance(text)
		if err != nil {
			return o, fmt.Errorf("--accept %w", err)
		}
		a.Why, a.Who, a.When = f.why, whoami(), env.Now()
		o.Accept = append(o.Accept, a)
	}
	return o, nil
}

// ask asks Prometheus for the calls that exist. A server that is gone or knows of none is no error: the plan says what then rests on
// no evidence.
func (f *planFlags) ask(ctx context.Context, env *Env) (calls *plan.CallGraph, why string, err error) {
	f.metrics.metrics = metric.Calls()
	dump, err := f.metrics.load(ctx, env)
	if err != nil {
		return nil, "", fmt.Errorf("--prometheus: %w", err)
	}
	r := dump.Result(metric.ObservedCalls)
	switch {
	case r.Failed != "":
		why = "--prometheus: " + r.Failed
	case r.Partial:
		why = "--prometheus: the server gave a part of the answer, and what is missing would count as not called"
	case len(r.Series) == 0:
		why = "--prometheus: no call was recorded in " + f.metrics.window
	}
	if why != "" {
		return nil, why, nil
	}
	labels := make([]map[string]string, 0, len(r.Series))
	for _, s := range r.Series {
		labels = append(labels, s.Labels)
	}
	return plan.CallsOf(labels, f.metrics.prom.URL), "", nil
}

// whoami is the name of the user, empty where the system does not tell.
func whoami() string {
	u, err := user.Current()
	if err != nil {
		return ""
	}
	return u.Username
}
