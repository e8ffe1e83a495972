package cli

import (
	"fmt"
	"io"

	"github.com/sidestep-mesh/sidestep/internal/audit"
	"github.com/sidestep-mesh/sidestep/internal/generate"
	"github.com/sidestep-mesh/sidestep/internal/mesh"
	"github.com/spf13/cobra"
)

func newGenerateAdmissionCommand(env *Env) *cobra.Command {
	var in inputFlags
	o := generate.AdmissionOptions{}
	c := &cobra.Command{
		Use:   "admission-policy",
		Short: "Write ValidatingAdmissionPolicies that keep a migrated mesh from being undone by accident",
		Long: `Writes policies that the API server evaluates itself: no sidecar by accident on workloads of many replicas,
no label that asks for a waypoint which is not there, no policy by selector that does nothing in ambient mode, no removal
of a guard. They warn, and refuse with --enforce. Each says in the file what it cannot see. The waypoints that
there are come from the cluster or from -f.`,
		Example: `  sidestep generate admission-policy | kubectl apply --server-side -f -
  sidestep generate admission-policy --enforce -f mesh/ > admission.yaml`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if o.Replicas < 1 {
				return fmt.Errorf("--replicas %d: 1 or more", o.Replicas)
			}
			snap, err := in.load(c.Context(), env)
			if err != nil {
				return err
			}
			for _, w := range mesh.Build(snap, mesh.Assume{}).Waypoints {
				o.Waypoints = append(o.Waypoints, [2]string{w.Namespace, w.Name})
			}
			text, err := generate.Admission(o)
			if err != nil {
				return err
			}
			_, err = io.WriteString(env.Stdout, text)
			return err
		},
	}
	in.register(c)
	f := c.Flags()
	f.BoolVar(&o.Enforce, "enforce", false, "refuse instead of warning")
	f.IntVar(&o.Replicas, "replicas", audit.DefaultHighScaleReplicas, "from how many `REPLICAS` on a sidecar has to be asked for")
	f.StringVar(&o.Namespace, "list-namespace", "sidestep-system", "`NAMESPACE` of the ConfigMap that lists the waypoints")
	f.StringSliceVar(&o.Accounts, "may-remove-guards", []string{"system:serviceaccount:sidestep-system:sidestep-controller"}, "`USER` who may remove guards besides; repeatable")
	return c
}
