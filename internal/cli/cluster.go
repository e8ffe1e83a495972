package cli

import (
	"context"
	"fmt"
	"io"

	"github.com/sidestep-mesh/sidestep/internal/live"
	"github.com/sidestep-mesh/sidestep/internal/snapshot"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"sigs.k8s.io/yaml"
)

// clusterFlags say which cluster a command talks to, as kubectl's do.
type clusterFlags struct {
	context, kubeconfig string
	overrides           live.Overrides
}

// register adds the flags. --context and --kubeconfig are shown; kubectl's other flags about a cluster work and are not, as
// kubectl itself shows them under "options" alone.
func (f *clusterFlags) register(c *cobra.Command) {
	flags := c.Flags()
	flags.StringVar(&f.context, "context", "", "read the cluster of this kubeconfig `CONTEXT` instead of the current one")
	flags.StringVar(&f.kubeconfig, "kubeconfig", "", "`FILE` with the clusters and credentials; kubectl's --server, --user, --token, --as and so on work too")
	live.OverrideFlags(&f.overrides).VisitAll(func(flag *pflag.Flag) {
		if flags.Lookup(flag.Name) != nil { // the command has its own meaning for it
			return
		}
		flag.Hidden, flag.Shorthand = true, ""
		if flag.Name == live.TimeoutFlag {
			flag.Hidden, flag.Usage, flag.DefValue = false, "give a single request this `DURATION` at most, such as 30s (default 1m)", ""
		}
		flags.AddFlag(flag)
	})
}

// names reports whether a flag picks a cluster.
func (f *clusterFlags) names() bool {
	return f.context != "" || f.kubeconfig != "" || f.overrides.ClusterInfo.Server != "" || f.overrides.Context.Cluster != ""
}

// cluster is the cluster that the flags name.
func (f *clusterFlags) cluster(env *Env) (*live.Cluster, error) {
	kubeconfig := f.kubeconfig
	if kubeconfig != "" {
		kubeconfig = env.Path(kubeconfig)
	}
	overrides := f.overrides
	overrides.CurrentContext = f.context
	return live.ConfigWith(kubeconfig, overrides)
}

// collect reads the cluster of a context.
func (f *inputFlags) collect(ctx context.Context, env *Env) (*snapshot.Snapshot, error) {
	cluster, err := f.cluster(env)
	if err != nil {
		return nil, err
	}
	options := live.Options{Cost: f.cost}
	if env.StderrIsTerminal {
		options.Progress = func(read, all int) {
			fmt.Fprintf(env.Stderr, "\rreading %s: %d of %d kinds", cluster.Name, read, all)
			if read == all {
				fmt.Fprint(env.Stderr, "\r\x1b[K")
			}
		}
	}
	snap, err := live.Collect(ctx, cluster, options)
	if err != nil {
		return nil, err
	}
	sayProblems(env, snap.Problems())
	return snap, nil
}

// writeClusterRole prints the role that reading a cluster needs.
func writeClusterRole(w io.Writer) error {
	text, err := yaml.Marshal(live.RequiredRole())
	if err != nil {
		return fmt.Errorf("write the ClusterRole: %w", err)
	}
	_, err = w.Write(text)
	return err
}
