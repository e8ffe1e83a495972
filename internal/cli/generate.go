package cli

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/sidestep-mesh/sidestep/internal/audit"
	"github.com/sidestep-mesh/sidestep/internal/generate"
	"github.com/sidestep-mesh/sidestep/internal/mesh"
	"github.com/sidestep-mesh/sidestep/internal/snapshot"
	"github.com/spf13/cobra"
)

func newGenerateCommand(env *Env) *cobra.Command {
	c := &cobra.Command{Use: "generate", Short: "Write files for other programs: alerts, dashboards, install values, waypoint capacity, admission policies"}
	c.AddCommand(newGenerateAlertsCommand(env), newGenerateDashboardsCommand(env), newGenerateInstallCommand(env), newGenerateCapacityCommand(env), newGenerateAdmissionCommand(env))
	return c
}

func newGenerateAlertsCommand(env *Env) *cobra.Command {
	var output, namespace string
	var labels []string
	c := &cobra.Command{
		Use:   "alerts",
		Short: "Write recording rules and alerts for every check of doctor that has a metric",
		Long: `Writes a rule file for Prometheus, or a PrometheusRule for its operator. Each alert names the check
that looks at the same thing; docs/checks.md is its runbook.`,
		Example: `  sidestep generate alerts > sidestep.rules.yaml
  sidestep generate alerts -o prometheusrule -n monitoring --label release=prometheus | kubectl apply -f -`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if err := checkFormat(output, "plain", "prometheusrule"); err != nil {
				return err
			}
			var pairs [][2]string
			for _, l := range labels {
				name, value, ok := strings.Cut(l, "=")
				if !ok || name == "" {
					return fmt.Errorf("--label %s: want NAME=VALUE", l)
				}
				pairs = append(pairs, [2]string{name, value})
			}
			text := generate.Plain(generate.Alerts())
			if output == "prometheusrule" {
				text = generate.PrometheusRule(generate.Alerts(), namespace, pairs)
			}
			_, err := io.WriteString(env.Stdout, text)
			return err
		},
	}
	c.Flags().StringVarP(&namespace, "namespace", "n", "", "`NAMESPACE` of the PrometheusRule")
	c.Flags().StringArrayVar(&labels, "label", nil, "label `NAME=VALUE` of the PrometheusRule, for the operator's selector; repeatable")
	outputFlag(c, &output, "plain", "prometheusrule")
	return c
}

func newGenerateDashboardsCommand(env *Env) *cobra.Command {
	var in inputFlags
	var output, out, namespace string
	c := &cobra.Command{
		Use:   "dashboards",
		Short: "Write Grafana dashboards: the migration, waypoints, mTLS and policy, ztunnel",
		Long: `Writes dashboards for Grafana 10.4 and later: files to import with --out, or ConfigMaps that the
Grafana chart's sidecar loads. With -f the goal of the move, as audit sees it there, is drawn beside
where it stands.`,
		Example: `  sidestep generate dashboards --out dashboards/ -f mesh.snapshot
  sidestep generate dashboards -o configmap -n monitoring | kubectl apply -f -`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := checkFormat(output, "json", "configmap"); err != nil {
				return err
			}
			if output == "json" && out == "" {
				return errors.New("dashboards are several files: say where with --out DIR, or write ConfigMaps with -o configmap")
			}
			var goal *generate.Goal
			if len(in.files) > 0 {
				snap, err := in.load(c.Context(), env)
				if err != nil {
					return err
				}
				goal = generate.GoalOf(audit.Run(mesh.Build(snap, mesh.Assume{}), everyCore(audit.Options{})))
			}
			list := generate.Dashboards(goal)
			if output == "configmap" {
				text, err := generate.ConfigMaps(list, namespace)
				if err != nil {
					return err
				}
				_, err = io.WriteString(env.Stdout, text)
				return err
			}
			return writeDashboards(env, out, list)
		},
	}
	c.Flags().StringArrayVarP(&in.files, "filename", "f", nil, "draw the goal of the mesh in this `FILE`, folder, snapshot archive or - for standard input; repeatable")
	c.Flags().StringVar(&out, "out", "", "write one file a dashboard into this `DIR`")
	c.Flags().StringVarP(&namespace, "namespace", "n", "", "`NAMESPACE` of the ConfigMaps")
	outputFlag(c, &output, "json", "configmap")
	return c
}

func newGenerateInstallCommand(env *Env) *cobra.Command {
	var in inputFlags
	var o generate.InstallOptions
	var out string
	var anew bool
	c := &cobra.Command{
		Use:   "install",
		Short: "Write Helm values and an istioctl file for the hybrid, and what would break on this cluster",
		Long: `Reads a cluster, or files, and writes into --out: values for Istio's charts, the same as a file for
istioctl, a Telemetry that makes logs and traces flow, and INSTALL.md: what on this cluster would
break, the commands, and the restarts after which sidecars speak HBONE. Nothing is installed.`,
		Example: `  sidestep generate install --out hybrid/
  sidestep generate install -f mesh.snapshot --platform eks --out hybrid/ --tracing otel.observability.svc.cluster.local:4317
  sidestep generate install --new --platform gke --out hybrid/`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if out == "" {
				return errors.New("install files are several: say where with --out DIR")
			}
			snap := snapshot.NewBuilder().Build()
			if !anew {
				var err error
				if snap, err = in.load(c.Context(), env); err != nil {
					return err
				}
			}
			i, err := generate.NewInstall(mesh.Build(snap, mesh.Assume{}), o)
			if err != nil {
				return err
			}
			files, err := i.Files()
			if err != nil {
				return err
			}
			if err := writeFiles(env, out, files); err != nil {
				return err
			}
			fmt.Fprintf(env.Stderr, "wrote %d files; begin with %s\n", len(files), filepath.ToSlash(filepath.Join(out, "INSTALL.md")))
			return nil
		},
	}
	in.cost = true // nodes say the platform and the size
	in.register(c)
	c.Flags().StringVar(&o.Platform, "platform", "", "write for this `PLATFORM`: "+orList(generate.PlatformNames())+" (default: what the nodes say)")
	c.Flags().StringVar(&o.Version, "version", "", "install this `VERSION` of Istio (default: the newest without a known fault)")
	c.Flags().StringVar(&o.Tracing, "tracing", "", "send traces to the OpenTelemetry collector at `HOST:PORT`")
	c.Flags().StringVar(&out, "out", "", "write the files into this `DIR`")
	c.Flags().BoolVar(&anew, "new", false, "write for a new cluster: nothing is read")
	completeWith(c, "platform", generate.PlatformNames()...)
	return c
}

func writeFiles(env *Env, dir string, files []generate.File) error {
	if err := os.MkdirAll(env.Path(dir), 0o755); err != nil {
		return fmt.Errorf("--out: %w", err)
	}
	for _, f := range files {
		if err := os.WriteFile(filepath.Join(env.Path(dir), f.Name), []byte(f.Text), 0o644); err != nil { //nolint:gosec // for everybody
			return fmt.Errorf("--out: %w", err)
		}
	}
	return nil
}

func writeDashboards(env *Env, dir string, list []generate.Dashboard) error {
	var files []generate.File
	for _, d := range list {
		text, err := d.JSON()
		if err != nil {
			return err
		}
		files = append(files, generate.File{Name: d.UID + ".json", Text: string(text)})
	}
	if err := writeFiles(env, dir, files); err != nil {
		return err
	}
	fmt.Fprintf(env.Stderr, "wrote %d dashboards\n", len(list))
	return nil
}
