package cli

import (
	"fmt"
	"log/slog"

	"github.com/sidestep-mesh/sidestep/internal/controller"
	"github.com/sidestep-mesh/sidestep/internal/live"
	"github.com/spf13/cobra"
)

func newControllerCommand(env *Env) *cobra.Command {
	var kubeconfig, kubeContext, level string
	var o controller.Options
	c := &cobra.Command{
		Use:   "controller",
		Short: "Run in a cluster: keep every Migration's status current, warn, and carry out what is asked for",
		Long: `Watches the cluster and audits it after every change. Each Migration (sidestep.dev/v1alpha1) gets counts,
conditions and events; docs/controller.md says what its modes do. Several replicas may run: one acts, the others
stand by. It runs until it is told to end.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			var min slog.Level
			if err := min.UnmarshalText([]byte(level)); err != nil {
				return fmt.Errorf("--log-level %s: use debug, info, warn or error", level)
			}
			if kubeconfig != "" {
				kubeconfig = env.Path(kubeconfig)
			}
			cluster, err := live.Config(kubeconfig, kubeContext)
			if err != nil {
				return err
			}
			if o.Namespace == "" {
				o.Namespace = env.Getenv("POD_NAMESPACE")
			}
			if o.Namespace == "" {
				return fmt.Errorf("--namespace: say in which namespace the lease and the plans are kept, or set POD_NAMESPACE")
			}
			o.Cluster = cluster
			o.Log = slog.New(slog.NewJSONHandler(env.Stderr, &slog.HandlerOptions{Level: min}))
			return controller.Run(c.Context(), o)
		},
	}
	f := c.Flags()
	f.StringVar(&kubeconfig, "kubeconfig", "", "`FILE` to find the cluster by; without it $KUBECONFIG, ~/.kube/config, or the pod's own account")
	f.StringVar(&kubeContext, "context", "", "`NAME` of the kubeconfig's context")
	f.StringVarP(&o.Namespace, "namespace", "n", "", "`NAMESPACE` of the lease and of the ConfigMaps with plans; $POD_NAMESPACE when empty")
	f.BoolVar(&o.LeaderElection, "leader-elect", true, "let several replicas run, of which one acts")
	f.StringVar(&o.MetricsAddress, "metrics-bind-address", ":8443", "`ADDRESS` for metrics; 0 for none")
	f.BoolVar(&o.InsecureMetrics, "metrics-insecure", false, "serve metrics over HTTP, to everybody")
	f.StringVar(&o.ProbeAddress, "health-probe-bind-address", ":8081", "`ADDRESS` for /healthz and /readyz; 0 for none")
	f.DurationVar(&o.Quiet, "quiet", 0, "look at changes once nothing changed for this `DURATION` (default 100ms)")
	f.StringVar(&level, "log-level", "info", "least `LEVEL` of messages: debug, info, warn or error")
	return c
}
