package controller

import (
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/sidestep-mesh/sidestep/internal/snapshot"
	rbacv1 "k8s.io/api/rbac/v1"
)

var update = flag.Bool("update", false, "write the generated files anew")

// The roles of the chart are what the code asks for, to the letter.
func TestTheChartGrantsWhatTheCodeNeeds(t *testing.T) {
	rules := RequiredRules()
	for name, list := range map[string][]rbacv1.PolicyRule{"rules-watch.yaml": rules.Watch, "rules-enforce.yaml": rules.Enforce, "rules-own.yaml": rules.Own} {
		want, err := Text(list)
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Join("../../deploy/chart/sidestep/files", name)
		if *update {
			if err := os.WriteFile(file, []byte(want), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		have, err := os.ReadFile(file)
		if err != nil || string(have) != want {
			t.Errorf("%s is not what RequiredRules gives (%v): go test ./internal/controller -update", file, err)
		}
	}
}

// Who only looks writes nothing but what it saw, and nobody reads a Secret.
func TestOnlyEnforceMayChangeTheMesh(t *testing.T) {
	rules := RequiredRules()
	mayWrite := []string{"migrations/status", "events", "tokenreviews", "subjectaccessreviews"}
	for _, r := range rules.Watch {
		for _, verb := range r.Verbs {
			if !slices.Contains([]string{"get", "list", "watch"}, verb) && !slices.ContainsFunc(r.Resources, func(s string) bool { return slices.Contains(mayWrite, s) }) {
				t.Errorf("%v may %s in every mode", r.Resources, verb)
			}
		}
	}
	for _, r := range slices.Concat(rules.Watch, rules.Enforce, rules.Own) {
		for _, s := range append(slices.Clone(r.Resources), append(r.Verbs, r.APIGroups...)...) {
			if strings.Contains(s, "secret") || s == "*" {
				t.Errorf("%+v grants %s", r, s)
			}
		}
	}
	for _, info := range snapshot.ServedKinds() {
		if !info.CostOnly && !slices.ContainsFunc(rules.Watch, func(r rbacv1.PolicyRule) bool {
			return r.APIGroups[0] == info.Group && slices.Contains(r.Resources, info.Resource) && slices.Contains(r.Verbs, "watch")
		}) {
			t.Errorf("%s may not be watched", info.Resource)
		}
	}
}
