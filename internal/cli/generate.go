package cli

import (
	"fmt"
	"io"
	"strings"

	"github.com/sidestep-mesh/sidestep/internal/generate"
	"github.com/spf13/cobra"
)

func newGenerateCommand(env *Env) *cobra.Command {
	c := &cobra.Command{Use: "generate", Short: "Write files for other programs: recording rules and alerts"}
	c.AddCommand(newGenerateAlertsCommand(env))
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
