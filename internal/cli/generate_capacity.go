package cli

import (
	"fmt"
	"io"
	"path/filepath"
	"time"

	"github.com/sidestep-mesh/sidestep/internal/audit"
	"github.com/sidestep-mesh/sidestep/internal/generate"
	"github.com/sidestep-mesh/sidestep/internal/mesh"
	"github.com/sidestep-mesh/sidestep/internal/metric"
	"github.com/spf13/cobra"
)

func newGenerateCapacityCommand(env *Env) *cobra.Command {
	var in inputFlags
	f := metricFlags{metrics: metric.Capacity(), window: "7d"}
	var out, keda, record string
	c := &cobra.Command{
		Use:   "capacity",
		Short: "Size waypoints from recorded load, and try their autoscaling on it before it is offered",
		Long: `Adds up what reaches the services of each waypoint, those that verdicts ask for included, and simulates
ways to scale on that load: how often pods come and go, and for how long they are short of CPU. With
--out it writes the objects: requests, grace, a budget and a HorizontalPodAutoscaler on CPU, or with
--keda a ScaledObject on requests. Connections are no measure: ztunnel puts many requests on few.`,
		Example: `  sidestep generate capacity --prometheus http://localhost:9090
  sidestep generate capacity -f mesh.snapshot --metrics load.json --out capacity/
  sidestep generate capacity --prometheus http://localhost:9090 --out capacity/ --keda http://prometheus.monitoring:9090`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
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
			m := mesh.Build(snap, mesh.Assume{})
			list, err := generate.Capacities(m, audit.Run(m, everyCore(audit.Options{})), dump)
			if err != nil {
				return err
			}
			if len(list) == 0 {
				return fmt.Errorf("no waypoint to size: none is bound to a service, and no verdict asks for one")
			}
			if _, err := io.WriteString(env.Stdout, generate.CapacityText(list)); err != nil || out == "" {
				return err
			}
			var files []generate.File
			for _, one := range list {
				files = append(files, generate.CapacityFile(one, keda))
			}
			if err := writeFiles(env, out, files); err != nil {
				return err
			}
			fmt.Fprintf(env.Stderr, "wrote %d files into %s\n", len(files), filepath.ToSlash(out))
			return nil
		},
	}
	in.register(c)
	flags := c.Flags()
	prom := &f.prom
	flags.StringVar(&prom.URL, "prometheus", "", "`URL` of a server with the Prometheus API (Prometheus, Thanos, Mimir, VictoriaMetrics)")
	flags.StringVar(&prom.BearerFile, "prometheus-token-file", "", "`FILE` with a bearer token")
	flags.StringVar(&prom.CAFile, "prometheus-ca", "", "PEM `FILE` with the authority of the server's certificate")
	flags.StringVar(&prom.Tenant, "prometheus-tenant", "", "`NAME` sent as X-Scope-OrgID")
	flags.DurationVar(&prom.Timeout, "prometheus-timeout", time.Minute, "give a query this `DURATION` at most")
	flags.StringVar(&f.window, "window", "7d", "how far back to measure")
	flags.StringVar(&f.dump, "metrics", "", "read metrics from this `FILE`, written by --record, instead of a server")
	flags.StringVar(&record, "record", "", "write the metrics asked for to this `FILE`")
	flags.StringVar(&out, "out", "", "write one file a waypoint into this `DIR`")
	flags.StringVar(&keda, "keda", "", "scale by requests with KEDA, which asks Prometheus at this `URL`")
	c.MarkFlagsMutuallyExclusive("metrics", "prometheus")
	return c
}
