package cli

import (
	"context"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/agnivade/levenshtein"
	"github.com/sidestep-mesh/sidestep/internal/audit"
	"github.com/sidestep-mesh/sidestep/internal/report"
	"github.com/sidestep-mesh/sidestep/internal/snapshot"
	"github.com/spf13/cobra"
)

// codePattern is what a rule's code looks like.
var codePattern = regexp.MustCompile(`(?i)^SS[0-9]{3}$`)

func newExplainCommand(env *Env) *cobra.Command {
	var in inputFlags
	var output string
	var wide, demo bool
	var log logFlags
	c := &cobra.Command{
		Use:   "explain CODE|WORKLOAD|NAMESPACE|OBJECT|--log FILE",
		Short: "Say what a code means, or everything a workload's verdict rests on",
		Long: `With a code, says what the rule looks for, why it matters and what would end it; with -f as
well, where it was found. With a workload, written NAME, KIND/NAME, NAMESPACE/NAME or
NAMESPACE/KIND/NAME, says every finding with the fields it was read from and the way out. A policy, a route,
a waypoint or any other object is named in the same way; a namespace by its name.` + logHelp,
		Example: `  sidestep explain SS201
  sidestep explain SS201 -f manifests/
  sidestep explain payments/ledger --demo
  kubectl logs -n payments deploy/api -c istio-proxy | grep ' 403 ' | sidestep explain --log -`,
		Args: func(c *cobra.Command, args []string) error {
			if log.file != "" {
				return cobra.NoArgs(c, args)
			}
			return cobra.ExactArgs(1)(c, args)
		},
		RunE: func(c *cobra.Command, args []string) error {
			if err := checkFormat(output, "text", "json"); err != nil {
				return err
			}
			options := report.TextOptions{Wide: wide, Colour: env.Colour()}
			if log.file != "" {
				return explainLog(c, env, &in, &log, output, options)
			}
			isCode := codePattern.MatchString(args[0])
			if isCode && len(in.named()) == 0 && !in.names() && !demo {
				r := report.Rules()
				rule, err := findRule(r, args[0])
				if err != nil {
					return err
				}
				return r.ExplainRule(env.Stdout, rule, options)
			}
			r, snap, err := explained(c.Context(), env, &in, demo)
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
			return explain(env, r, snap, args[0], output, options)
		},
	}
	in.register(c)
	log.register(c)
	outputFlag(c, &output, "text", "json")
	c.Flags().BoolVar(&wide, "wide", false, "name every workload that a code was found on")
	c.Flags().BoolVar(&demo, "demo", false, "look at the embedded sample mesh")
	return c
}

// explained audits what is to be explained.
func explained(ctx context.Context, env *Env, in *inputFlags, demo bool) (*report.AuditReport, *snapshot.Snapshot, error) {
	if demo {
		snap := demoSnapshot()
		r, err := auditDemo(env, &auditFlags{}, in.namespaces)
		return r, snap, err
	}
	snap, err := in.load(ctx, env)
	if err != nil {
		return nil, nil, err
	}
	r := auditSnapshot(snap, audit.Options{}, env.provenance(in.source()), report.Filter{Namespaces: in.namespaces})
	return r, snap, nil
}

// explain says what is known of what a user named: a workload, else any other object, else a namespace.
func explain(env *Env, r *report.AuditReport, snap *snapshot.Snapshot, what, output string, options report.TextOptions) error {
	if found := r.Find(what); len(found) > 0 {
		w, err := oneOf(what, found)
		if err != nil {
			return err
		}
		if output == "json" {
			return report.ExplainJSON(env.Stdout, w)
		}
		return r.ExplainWorkload(env.Stdout, w, options)
	}
	names := map[string]bool{}
	var objects []report.Object
	for o := range snap.Objects() {
		ref := report.Object{Kind: kindName(o), Namespace: o.GetNamespace(), Name: o.GetName()}
		switch {
		case ref.Kind == "Pod":
			continue // pods are explained by what made them
		case ref.Kind == "Namespace":
			names[ref.Name] = true
		case ref.Namespace != "":
			names[ref.Namespace+"/"+ref.Name] = true
			if report.Means(what, ref.Namespace, ref.Kind, ref.Name) {
				objects = append(objects, ref)
			}
		}
	}
	if _, isNamespace := snap.Find(snapshot.Kind{Kind: "Namespace"}, "", what); isNamespace {
		part := auditSnapshot(snap, audit.Options{}, r.Provenance, report.Filter{Namespaces: []string{what}})
		return part.Text(env.Stdout, options)
	}
	if len(objects) == 1 {
		return r.ExplainObject(env.Stdout, objects[0], options)
	}
	if len(objects) > 1 {
		list := make([]string, len(objects))
		for i, o := range objects {
			list[i] = o.Namespace + "/" + o.Kind + "/" + o.Name
		}
		return fmt.Errorf("%s names %d objects; say which:%s", what, len(objects), indented(list))
	}
	return fmt.Errorf("no code, workload, namespace or other object is called %s%s; a code looks like SS201, a workload like payments/ledger", what, didYouMean(what, names))
}

// didYouMean names what was perhaps meant.
func didYouMean(what string, names map[string]bool) string {
	best, least := "", max(2, len(what)/3)+1
	for _, name := range slices.Sorted(maps.Keys(names)) {
		candidates := []string{name}
		if _, short, ok := strings.Cut(name, "/"); ok && !strings.Contains(what, "/") {
			candidates = append(candidates, short)
		}
		for _, c := range candidates {
			if d := levenshtein.ComputeDistance(strings.ToLower(what), c); d < least {
				best, least = name, d
			}
		}
	}
	if best == "" {
		return ""
	}
	return " (did you mean " + best + "?)"
}

func newRulesCommand(env *Env) *cobra.Command {
	var output string
	c := &cobra.Command{
		Use:   "rules",
		Short: "List every code, with what it asks for",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if err := checkFormat(output, "text", "json"); err != nil {
				return err
			}
			if output == "json" {
				return report.Rules().RulesJSON(env.Stdout)
			}
			return report.Rules().ListRules(env.Stdout, report.TextOptions{Colour: env.Colour()})
		},
	}
	outputFlag(c, &output, "text", "json")
	return c
}

func findRule(r *report.AuditReport, code string) (string, error) {
	if rule, ok := r.Rule(code); ok {
		return rule.Code, nil
	}
	return "", fmt.Errorf("no rule has the code %s; sidestep rules lists them", strings.ToUpper(code))
}

func oneOf(what string, found []*report.Workload) (*report.Workload, error) {
	if len(found) == 1 {
		return found[0], nil
	}
	names := make([]string, len(found))
	for i, w := range found {
		names[i] = w.Namespace + "/" + w.Kind + "/" + w.Name
	}
	return nil, fmt.Errorf("%s names %d workloads; say which:%s", what, len(found), indented(names))
}

// indented lists names below a message, the first ten of them.
func indented(names []string) string {
	const most = 10
	var b strings.Builder
	for i, name := range names {
		if i == most {
			fmt.Fprintf(&b, "\n  and %d more", len(names)-i)
			break
		}
		b.WriteString("\n  " + name)
	}
	return b.String()
}
