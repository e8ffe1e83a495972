package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/sidestep-mesh/sidestep/internal/account"
	"github.com/sidestep-mesh/sidestep/internal/metric"
	"github.com/sidestep-mesh/sidestep/internal/report"
	"github.com/sidestep-mesh/sidestep/internal/roi"
	"github.com/spf13/cobra"
)

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
	currency, prices, committedUntil, plan        string
	committedNodes, waypointReplicas              int
	waves                                         []string
}

func (f *roiFlags) register(c *cobra.Command) {
	f.in.cost = true
	f.in.register(c)
	c.Flags().Lookup("namespace").Usage = "count only what leaves its sidecar in this `NAMESPACE`; repeatable. All pods and nodes are still taken into account"
	f.metrics.register(c)
	fl := c.Flags()
	fl.Float64Var(&f.nodePrice, "node-price", 0, "price of any node per hour; wins over every other source")
	fl.StringVar(&f.currency, "currency", "USD", "currency of --node-price, --prices, OpenCost and costs")
	fl.StringVar(&f.prices, "prices", "", "CSV `FILE` of node prices in OpenCost's columns")
	fl.Float64Var(&f.spotFactor, "spot-factor", 0, "share of the list price that spot nodes cost, such as 0.35")
	fl.IntVar(&f.committedNodes, "committed-nodes", 0, "`NUMBER` of nodes that are paid for anyway")
	fl.StringVar(&f.committedUntil, "committed-until", "", "`DATE` (yyyy-mm-dd) until which they are")
	fl.Float64Var(&f.engineering, "engineering-cost", 0, "what the migration costs, for the payback")
	fl.Float64Var(&f.zonePrice, "zone-price", 0, "price of a GB that crosses zones, both directions of the charge; default: the list price of the cloud that the nodes name")
	fl.StringVar(&f.plan, "plan", "", "`FILE` with a Plan: count only what its waves move, wave by wave; without it, all that the audit allows")
	fl.StringSliceVar(&f.waves, "wave", nil, "count only this `WAVE` of --plan; repeatable")
	fl.IntVar(&f.waypointReplicas, "waypoint-replicas", 2, "least replicas of each waypoint that the move adds")
}

func (f *roiFlags) registerOutput(c *cobra.Command) {
	c.Flags().StringVarP(&f.output, "output", "o", "text", "text, json, csv, markdown, html or prometheus")
	c.Flags().BoolVar(&f.explain, "explain", false, "show every query and step of arithmetic")
}

// read loads objects and metrics. A cluster that cannot be read is an error only when there are no metrics either.
func (f *roiFlags) read(c *cobra.Command, env *Env) (*account.State, account.Options, error) {
	plan, err := f.readPlan(env)
	if err != nil {
		return nil, account.Options{}, err
	}
	dump, err := f.metrics.load(c.Context(), env)
	if err != nil {
		return nil, account.Options{}, err
	}
	o := account.Options{At: env.Now().UTC(), Tool: Version(), ZonePrice: f.zonePrice, Currency: f.currency, EngineeringCost: f.engineering, WaypointReplicas: f.waypointReplicas,
		Namespaces: f.in.namespaces, Waves: f.waves, ZonePriceGiven: c.Flags().Changed("zone-price")}
	if o.Prices, err = f.priceSources(env, dump); err != nil {
		return nil, o, err
	}
	snap, err := f.in.load(c.Context(), env)
	switch {
	case err != nil && dump.Failed != "":
		return nil, o, errors.Join(err, errors.New(dump.Failed))
	case err != nil:
		return account.FromMetrics(dump, plan, err), o, nil
	}
	s := account.FromObjects(snap, dump, plan)
	return s, o, s.CheckScope(o)
}

func (f *roiFlags) readPlan(env *Env) (*account.Plan, error) {
	if f.plan == "" {
		return nil, nil
	}
	raw, err := os.ReadFile(env.Path(f.plan))
	if err != nil {
		return nil, fmt.Errorf("--plan: %w", err)
	}
	return account.ReadPlan(raw, f.plan)
}

func (f *roiFlags) priceSources(env *Env, d metric.Dump) (roi.Prices, error) {
	p := roi.Prices{ByNode: map[string]roi.Price{}, Table: roi.StaticTable(), SpotFactor: f.spotFactor}
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
		defer func() { _ = file.Close() }() // only read
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
			s, o, err := f.read(c, env)
			if err != nil {
				return err
			}
			return write(report.NewROIForecast(s.Forecast(o), s.Queries(), f.explain), env.Stdout)
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
	case "prometheus":
		return (*report.ROI).Prometheus, nil
	}
	return nil, fmt.Errorf("-o %q: want text, json, csv, markdown, html or prometheus", format)
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
			for _, g := range account.MetricGaps(d) {
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
			s, o, err := f.read(c, env)
			if err != nil {
				return err
			}
			b, err := s.Baseline(o)
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
