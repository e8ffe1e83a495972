package cli

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"

	"github.com/sidestep-mesh/sidestep/internal/report"
	"github.com/spf13/cobra"
)

// codePattern is what a rule's code looks like.
var codePattern = regexp.MustCompile(`(?i)^SS[0-9]{3}$`)

func newExplainCommand(env *Env) *cobra.Command {
	var in inputFlags
	var output string
	var wide, demo bool
	c := &cobra.Command{
		Use:   "explain CODE|WORKLOAD",
		Short: "Say what a code means, or everything a workload's verdict rests on",
		Long: `With a code, says what the rule looks for, why it matters and what would end it; with -f as
well, where it was found. With a workload, written NAME, KIND/NAME, NAMESPACE/NAME or
NAMESPACE/KIND/NAME, says every finding with the fields it was read from and the way out.`,
		Example: `  sidestep explain SS201
  sidestep explain SS201 -f manifests/
  sidestep explain payments/ledger --demo`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if err := checkFormat(output, "text", "json"); err != nil {
				return err
			}
			options := report.TextOptions{Wide: wide, Colour: env.Colour()}
			isCode := codePattern.MatchString(args[0])
			if isCode && len(in.files) == 0 && in.context == "" && in.kubeconfig == "" && !demo {
				r := report.Rules()
				rule, err := findRule(r, args[0])
				if err != nil {
					return err
				}
				return r.ExplainRule(env.Stdout, rule, options)
			}
			var r *report.AuditReport
			var err error
			if demo {
				r, err = auditDemo(env, &auditFlags{}, in.namespaces)
			} else {
				r, err = runAudit(c.Context(), env, &in, &auditFlags{})
			}
			if err != nil {
				return err
			}
			if isCode {
				rule, err := findRule(r, args[0])
				if err != nil {
					return err
				}
				return r.ExplainCode(env.Stdout, rule, options)
			}
			w, err := findWorkload(r, args[0])
			if err != nil {
				return err
			}
			if output == "json" {
				return report.ExplainJSON(env.Stdout, w)
			}
			return r.ExplainWorkload(env.Stdout, w, options)
		},
	}
	in.register(c)
	outputFlag(c, &output, "text", "json")
	c.Flags().BoolVar(&wide, "wide", false, "name every workload that a code was found on")
	c.Flags().BoolVar(&demo, "demo", false, "look at the embedded sample mesh")
	return c
}

func findRule(r *report.AuditReport, code string) (string, error) {
	if rule, ok := r.Rule(code); ok {
		return rule.Code, nil
	}
	return "", fmt.Errorf("no rule has the code %s", strings.ToUpper(code))
}

func findWorkload(r *report.AuditReport, what string) (*report.Workload, error) {
	found := r.Find(what)
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		return nil, fmt.Errorf("no code and no workload is called %s; a code looks like SS201, a workload like payments/ledger", what)
	}
	var names bytes.Buffer
	for i, w := range found {
		if i == 10 {
			fmt.Fprintf(&names, "\n  and %d more", len(found)-i)
			break
		}
		fmt.Fprintf(&names, "\n  %s/%s/%s", w.Namespace, w.Kind, w.Name)
	}
	return nil, fmt.Errorf("%s names %d workloads; say which:%s", what, len(found), names.String())
}
