package cli

import (
	"context"
	"fmt"
	"io"

	"github.com/sidestep-mesh/sidestep/internal/live"
	"github.com/sidestep-mesh/sidestep/internal/snapshot"
	"sigs.k8s.io/yaml"
)

// collect reads the cluster of a context.
func (f *inputFlags) collect(ctx context.Context, env *Env) (*snapshot.Snapshot, error) {
	kubeconfig := f.kubeconfig
	if kubeconfig != "" {
		kubeconfig = env.Path(kubeconfig)
	}
	cluster, err := live.Config(kubeconfig, f.context)
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
