package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/sidestep-mesh/sidestep/internal/audit"
	"github.com/sidestep-mesh/sidestep/internal/mesh"
	"github.com/sidestep-mesh/sidestep/internal/metric"
	"github.com/sidestep-mesh/sidestep/internal/report"
	"github.com/sidestep-mesh/sidestep/internal/roi"
	"github.com/spf13/cobra"
)

// roiSeed makes the bootstrap of a latency verdict repeatable: the same measurements give the same interval.
const roiSeed = 20260901

func newRoiCommand(env *Env) *cobra.Command {
	c := &cobra.Command{
		Use:   "roi",
		Short: "Say what the sidecars cost, what a move would save, and what it did save",
		Long: `Money and milliseconds. The ladder of savings has five rungs - requests freed, usage freed,
nodes removable, nodes gone, money - and none is ever shown as another.`,
	}
	c.AddCommand(newRoiForecastCommand(env), newRoiBaselineCommand(env), newRoiReportCommand(env), newRoiCollectCommand(env))
	return c
}

// roiFlags are what forecast, baseline and report share.
type roiFlags struct {
	in      inputFlags
	metrics metricFlags
	output  string
	explain bool

	nodePrice, spotFactor, zonePrice, engineering float64
	currency, prices, committedUntil              string
	committedNodes, waypointReplicas              int
}

func (f *roiFlags) register(c *cobra.Command) {
	f.in.register(c)
	f.metrics.register(c)
	fl := c.Flags()
	fl.Float64Var(&f.nodePrice, "node-price", 0, "price of any node per hour; wins over every other source")
	fl.StringVar(&f.currency, "currency", "USD", "currency of --node-price, --prices, OpenCost and costs")
	fl.StringVar(&f.prices, "prices", "", "CSV `FILE` of node prices in OpenCost's columns")
	fl.Float64Var(&f.spotFactor, "spot-factor", 0, "share of the list price that spot nodes cost, such as 0.35")
	fl.IntVar(&f.committedNodes, "committed-nodes", 0, "`NUMBER` of nodes that are paid for anyway")
	fl.StringVar(&f.committedUntil, "committed-until", "", "`DATE` (yyyy-mm-dd) until which they are")
	fl.Float64Var(&f.engineering, "engineering-cost", 0, "what the migration costs, for the payback")
	fl.Float64Var(&f.zonePrice, "zone-price", 0.02, "price of a GB that crosses zones, both directions of the charge (AWS: 0.01 each)")
	fl.IntVar(&f.waypointReplicas, "waypoint-replicas", 2, "replicas of each waypoint that the move adds")
}

func (f *roiFlags) registerOutput(c *cobra.Command) {
	c.Flags().StringVarP(&f.output, "output", "o", "text", "text, json, csv, markdown or html")
	c.Flags().BoolVar(&f.explain, "explain", false, "show every query and step of arithmetic")
}

// roiState is one reading of the world.
type roiState struct {
	mesh    *mesh.Mesh
	audit   *audit.Result
	cluster roi.Cluster
	dump    metric.Dump
	pods    []roi.MeshPod
	source  string
	prices  roi.Prices
	modes   map[string]roi.Mode
	since   map[string]time.Time
	gaps    []roi.Gap
}

// read loads objects and metrics. A cluster that cannot be read is an error only when there are no metrics either.
func (f *roiFlags) read(c *cobra.Command, env *Env) (*roiState, error) {
	s := &roiState{modes: map[string]roi.Mode{}}
	var err error
	if s.dump, err = f.metrics.load(c.Context(), env); err != nil {
		return nil, err
	}
	snap, err := f.in.load(c.Context(), env)
	switch {
	case err != nil && s.dump.Failed != "":
		return nil, errors.Join(err, errors.New(s.dump.Failed))
	case err != nil:
		s.gaps = append(s.gaps, roi.Gap{What: "Kubernetes API", Why: oneLine(err.Error()),
			Costs: "roles come from metrics by heuristic; no verdicts, so nothing is known to leave, and nodes are not simulated (rung 3)"})
		s.pods, s.source = meshPodsFromMetrics(s.dump), "kube-state-metrics, roles by heuristic"
	default:
		s.mesh = mesh.Build(snap)
		s.audit = audit.Run(s.mesh, audit.Options{})
		s.cluster = roiCluster(s.mesh)
		s.pods, s.source = roi.MeshPods(s.cluster, usageOf(s.dump)), "pods of the input"
		s.modes, s.since = namespaceModes(s.cluster)
		if len(s.cluster.Nodes) == 0 {
			s.gaps = append(s.gaps, roi.Gap{What: "nodes", Why: "the input has none", Costs: "rung 3 cannot be simulated"})
		} else {
			s.gaps = append(s.gaps, roi.Gap{What: "volumes", Why: "a snapshot does not keep them", Costs: "pods tied to a zone by a volume, or to a node by local storage, are packed as if they were free"})
		}
	}
	s.gaps = append(s.gaps, metricGaps(s.dump, env.Now())...)
	s.prices, err = f.priceSources(env, s.dump)
	return s, err
}

func (f *roiFlags) priceSources(env *Env, d metric.Dump) (roi.Prices, error) {
	p := roi.Prices{ByNode: map[string]roi.Price{}, ByInstance: map[string]roi.Price{}, Table: roi.StaticTable(), SpotFactor: f.spotFactor}
	if f.nodePrice < 0 || f.spotFactor < 0 || f.spotFactor > 1 || f.zonePrice < 0 || f.engineering < 0 {
		return p, errors.New("prices and costs are not negative, and --spot-factor is at most 1")
	}
	if f.nodePrice > 0 {
		p.Flat = &roi.Price{PerHour: f.nodePrice, Currency: f.currency, Source: "--node-price", Date: env.Now().Format(time.DateOnly)}
	}
	if r := d.Result("node_price"); r.Usable() {
		for _, s := range r.Series {
			if v, ok := s.Last(); ok && v >= 0 {
				p.ByNode[s.Labels["node"]] = roi.Price{PerHour: v, Currency: f.currency, Source: "OpenCost", Date: d.End.UTC().Format(time.DateOnly)}
			}
		}
	}
	if f.prices != "" {
		file, err := os.Open(env.Path(f.prices))
		if err != nil {
			return p, fmt.Errorf("--prices: %w", err)
		}
		defer file.Close()
		byInstance, byNode, err := roi.ReadCSV(file, f.prices, f.currency)
		if err != nil {
			return p, err
		}
		p.ByInstance = byInstance
		for n, pr := range byNode {
			if _, ok := p.ByNode[n]; !ok {
				p.ByNode[n] = pr
			}
		}
	}
	if f.committedNodes > 0 {
		until, err := time.Parse(time.DateOnly, f.committedUntil)
		if err != nil {
			return p, fmt.Errorf("--committed-nodes needs --committed-until yyyy-mm-dd: %w", err)
		}
		p.Commitment = roi.Commitment{Nodes: f.committedNodes, Until: until}
	}
	return p, nil
}

func (f *roiFlags) forecast(env *Env, s *roiState) roi.Forecast {
	in := roi.Input{At: env.Now().UTC(), WindowStart: s.dump.Start, HasObjects: s.mesh != nil, Cluster: s.cluster, MeshPods: s.pods, Source: s.source,
		Prices: s.prices, EngineeringCost: f.engineering, Edge: edgeOf(s.dump, s.modes), Startup: startups(s.cluster), Gaps: s.gaps,
		Rng: rand.New(rand.NewPCG(roiSeed, 1))}
	var close map[string]bool
	if s.mesh != nil {
		in.Change, in.Keeps = roiChange(s.mesh, s.audit, f.waypointReplicas, roi.DefaultWaypoint)
		close = closeNamespaces(s.mesh)
	}
	in.Zone = zoneInput(s.dump, s.cluster, close, f.zonePrice, f.currency)
	return roi.Make(in)
}

func newRoiForecastCommand(env *Env) *cobra.Command {
	var f roiFlags
	c := &cobra.Command{
		Use:   "forecast",
		Short: "What the move that the audit allows would free, and what that is worth",
		Example: `  sidestep roi forecast --prometheus http://localhost:9090
  sidestep roi forecast -f mesh.snapshot --metrics metrics.json --prices prices.csv -o html > forecast.html`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			write, err := roiWriter(f.output)
			if err != nil {
				return err
			}
			s, err := f.read(c, env)
			if err != nil {
				return err
			}
			return write(report.NewROIForecast(f.forecast(env, s), queriesOf(s.dump), f.explain), env.Stdout)
		},
	}
	f.register(c)
	f.registerOutput(c)
	return c
}

func roiWriter(format string) (func(*report.ROI, io.Writer) error, error) {
	switch format {
	case "text":
		return (*report.ROI).Text, nil
	case "json":
		return (*report.ROI).JSON, nil
	case "csv":
		return (*report.ROI).CSV, nil
	case "markdown":
		return (*report.ROI).Markdown, nil
	case "html":
		return (*report.ROI).HTML, nil
	}
	return nil, fmt.Errorf("-o %q: want text, json, csv, markdown or html", format)
}

func newRoiCollectCommand(env *Env) *cobra.Command {
	var f metricFlags
	var out string
	c := &cobra.Command{
		Use:   "collect",
		Short: "Record the metrics, so that every other roi command works without the server",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if f.prom.URL == "" {
				return errors.New("--prometheus is needed")
			}
			d, err := f.load(c.Context(), env)
			if err != nil {
				return err
			}
			if d.Failed != "" {
				return errors.New(d.Failed)
			}
			for _, g := range metricGaps(d, env.Now()) {
				fmt.Fprintf(env.Stderr, "%s: %s\n", programName(env), oneLine(g.String()))
			}
			return writeFile(env, out, d.Encode)
		},
	}
	f.registerServer(c)
	c.Flags().StringVar(&out, "out", "-", "`FILE` to write, or - for standard output")
	return c
}

func newRoiBaselineCommand(env *Env) *cobra.Command {
	var f roiFlags
	var out string
	c := &cobra.Command{
		Use:   "baseline",
		Short: "Freeze what stands now and what is promised, before the first step",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			s, err := f.read(c, env)
			if err != nil {
				return err
			}
			b, err := f.baseline(env, s)
			if err != nil {
				return err
			}
			return writeFile(env, out, func(w io.Writer) error {
				e := json.NewEncoder(w)
				e.SetIndent("", " ")
				return e.Encode(b)
			})
		},
	}
	f.register(c)
	c.Flags().StringVar(&out, "out", "-", "`FILE` to write, or - for standard output")
	return c
}

func (f *roiFlags) baseline(env *Env, s *roiState) (roi.Baseline, error) {
	fc := f.forecast(env, s)
	b := roi.Baseline{At: env.Now().UTC(), WindowStart: s.dump.Start, Tool: Version(), Server: s.dump.Server, Queries: queriesOf(s.dump), Prices: fc.Prices,
		Accounts: fc.Accounts, Sidecars: proxyState(s.dump, s.staying()), Promised: fc, Edge: edgeOf(s.dump, s.modes),
		Commitment: s.prices.Commitment, Currency: fc.Money.Currency}
	b.Nodes, _ = s.nodes()
	fleet := s.prices.Price(s.cluster)
	if mean, ok := fleet.Mean(); ok {
		b.NodePrice = mean
	}
	b.EdgeRPS, _ = edgeRPS(b.Edge)
	return b.Freeze()
}

// staying are the mesh pods less the sidecars that are to leave: the hybrid tax is judged on those that stay.
func (s *roiState) staying() []roi.MeshPod {
	if s.audit == nil {
		return s.pods
	}
	change, _ := roiChange(s.mesh, s.audit, 0, roi.Resources{})
	leaves := map[string]bool{}
	for _, p := range s.cluster.Pods {
		if change.Leaves[p.Workload] {
			leaves[p.Object.Namespace+"/"+p.Object.Name] = true
		}
	}
	var out []roi.MeshPod
	for _, p := range s.pods {
		if !leaves[p.Key()] {
			out = append(out, p)
		}
	}
	return out
}

// nodes counts nodes from objects, else from metrics.
func (s *roiState) nodes() (int, bool) {
	if n := len(s.cluster.Nodes); n > 0 {
		return n, true
	}
	if r := s.dump.Result("node_count"); r.Usable() {
		if v, ok := r.Series[0].Last(); ok {
			return int(v), true
		}
	}
	return 0, false
}

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
			if err := write(report.NewROIReport(r, queriesOf(s.dump), f.explain), env.Stdout); err != nil {
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
	enrolled, released           []string
	before, after                float64
	settle                       time.Duration
	billed                       func() bool
}

func (o *roiReportFlags) register(c *cobra.Command) {
	fl := c.Flags()
	fl.StringVar(&o.baseline, "baseline", "", "`FILE` of sidestep roi baseline")
	fl.StringVar(&o.history, "history", "", "`FOLDER` that keeps one small file a week")
	fl.StringVar(&o.simulated, "simulated", "", "`TEXT` that says what of the measurements is made, for labs")
	fl.StringSliceVar(&o.enrolled, "enrolled", nil, "`NAMESPACE=TIME` (RFC 3339) at which a namespace changed mode; default: its newest pod's creation")
	fl.StringSliceVar(&o.released, "released", nil, "`NAMESPACE` whose application was released in the window, so that its latency is not compared")
	fl.Float64Var(&o.before, "billed-before", 0, "what the bill was per month")
	fl.Float64Var(&o.after, "billed-after", 0, "what the bill is per month")
	fl.DurationVar(&o.settle, "settle", 2*time.Hour, "how long after a change of mode latency is not counted")
	c.MarkFlagsRequiredTogether("billed-before", "billed-after")
	o.billed = func() bool { return fl.Changed("billed-before") }
	if err := c.MarkFlagRequired("baseline"); err != nil {
		panic(err) // the flag was registered above
	}
}

func (o *roiReportFlags) make(c *cobra.Command, env *Env, f *roiFlags) (roi.Report, *roiState, error) {
	raw, err := os.ReadFile(env.Path(o.baseline))
	if err != nil {
		return roi.Report{}, nil, err
	}
	b, err := roi.ReadBaseline(raw, o.baseline)
	if err != nil {
		return roi.Report{}, nil, err
	}
	s, err := f.read(c, env)
	if err != nil {
		return roi.Report{}, nil, err
	}
	now := roi.Now{At: env.Now().UTC(), MeshPods: s.pods, HasPods: s.mesh != nil || s.pods != nil, Source: s.source, Sidecars: proxyState(s.dump, s.pods), EngineeringCost: f.engineering,
		Edge: edgeOf(s.dump, s.modes), Settle: o.settle, Startup: startups(s.cluster), Gaps: s.gaps, Simulated: o.simulated,
		Currency: f.currency, Rng: rand.New(rand.NewPCG(roiSeed, 2))}
	now.Nodes, now.HasNodes = s.nodes()
	now.EdgeRPS, now.HasRPS = edgeRPS(now.Edge)
	if o.billed() {
		now.BilledBefore, now.BilledAfter = &o.before, &o.after
	}
	var close map[string]bool
	if s.mesh != nil {
		close = closeNamespaces(s.mesh)
	}
	now.Zone = zoneInput(s.dump, s.cluster, close, f.zonePrice, f.currency)
	if now.Edge, err = o.enrol(b, s, now.Edge); err != nil {
		return roi.Report{}, nil, err
	}
	if now.History, err = o.weeks(env); err != nil {
		return roi.Report{}, nil, err
	}
	return roi.Compare(b, now), s, nil
}

// enrol says when each namespace changed mode: as the user says, or, where the baseline saw sidecars and none is left, when its newest pod was made.
func (o *roiReportFlags) enrol(b roi.Baseline, s *roiState, edge []roi.EdgeSeries) ([]roi.EdgeSeries, error) {
	at := map[string]time.Time{}
	for _, e := range b.Edge {
		if m := s.modes[e.Namespace]; e.Mode == roi.ModeSidecar && (m == roi.ModeAmbient || m == roi.ModeWaypoint) {
			at[e.Namespace] = s.since[e.Namespace]
		}
	}
	for _, x := range o.enrolled {
		ns, text, _ := strings.Cut(x, "=")
		t, err := time.Parse(time.RFC3339, text)
		if err != nil {
			return nil, fmt.Errorf("--enrolled %q: want NAMESPACE=2026-09-01T10:00:00Z", x)
		}
		at[ns] = t
	}
	for i := range edge {
		edge[i].EnrolledAt = at[edge[i].Namespace]
		for _, ns := range o.released {
			edge[i].VersionChanged = edge[i].VersionChanged || ns == edge[i].Namespace
		}
	}
	return edge, nil
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
