package cli

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"github.com/sidestep-mesh/sidestep/internal/audit"
	"github.com/sidestep-mesh/sidestep/internal/live"
	"github.com/sidestep-mesh/sidestep/internal/plan"
	"github.com/sidestep-mesh/sidestep/internal/report"
	"github.com/sidestep-mesh/sidestep/internal/snapshot"
	"github.com/spf13/cobra"
)

func newServeCommand(env *Env) *cobra.Command {
	var in inputFlags
	var listen string
	var every time.Duration
	c := &cobra.Command{
		Use:   "serve",
		Short: "Show the page of audit and plan in a browser, live and read-only, on this machine alone",
		Long: `Serves the page of audit and plan on the loopback interface, from the cluster or from files, and reads
them again as time goes by; an open page shows what changed. The address that is printed bears a token;
without it, and from other sites, nothing is shown.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if every < time.Second {
				return fmt.Errorf("--every %s: at least 1s", every)
			}
			return live.Serve(c.Context(), live.ServeOptions{
				Listen: listen, Every: every,
				Render: func(ctx context.Context) ([]byte, error) {
					snap, err := in.load(ctx, env)
					if err != nil {
						return nil, err
					}
					r, err := planOf(snap, plan.Options{Each: onEveryCore})
					if err != nil {
						return nil, err
					}
					p := pageOf(env, snap, &in, r)
					p.Live = true
					p.Audit.Time = "" // else every reading would be news
					var page bytes.Buffer
					err = p.HTML(&page)
					return page.Bytes(), err
				},
				Ready: func(url string) { fmt.Fprintf(env.Stderr, "open %s\n", url) },
				Failed: func(err error) {
					fmt.Fprintf(env.Stderr, "%s: %v; the page shows what was read before\n", programName(env), err)
				},
			})
		},
	}
	in.register(c)
	c.Flags().StringVar(&listen, "listen", "127.0.0.1:0", "`ADDRESS` of the loopback interface; port 0 takes a free one")
	c.Flags().DurationVar(&every, "every", 30*time.Second, "read again after this `DURATION`")
	return c
}

// pageOf is the page of what was read, with its plan.
func pageOf(env *Env, snap *snapshot.Snapshot, in *inputFlags, r *report.PlanReport) *report.Page {
	return &report.Page{
		Audit: auditSnapshot(snap, audit.Options{}, env.provenance(in.source()), report.Filter{Namespaces: in.namespaces}), Plan: r,
	}
}
