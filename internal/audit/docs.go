package audit

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/sidestep-mesh/sidestep/internal/mesh"
)

//go:generate go test -run TestDocs . -update

// WriteDocs writes the page about all rules (docs/rules.md) as Markdown.
func WriteDocs(out io.Writer) error {
	var b strings.Builder
	b.WriteString(docsHead)
	rules := All()
	for _, g := range Groups() {
		fmt.Fprintf(&b, "\n## %s\n\n| code | severity | requires | finding |\n|---|---|---|---|\n", g.Name)
		for _, r := range rules {
			if strings.HasPrefix(r.Code, g.Prefix) {
				fmt.Fprintf(&b, "| [%s](#%s) | %s | %s | %s |\n", r.Code, strings.ToLower(r.Code), r.Severity, requires(&r), r.Title)
			}
		}
		for i := range rules {
			if strings.HasPrefix(rules[i].Code, g.Prefix) {
				writeRule(&b, &rules[i])
			}
		}
	}
	b.WriteString("\n## Features that need nothing\n\nNo rule asks for these: they work the same in ambient mode.\n\n| feature | why |\n|---|---|\n")
	for _, p := range AllPreserved() {
		fmt.Fprintf(&b, "| %s | %s |\n", p.Feature, p.Because)
	}
	_, err := io.WriteString(out, b.String())
	return err
}

const docsHead = `<!-- Generated from the rules in internal/audit by go generate; do not edit. -->
# Rules

An audit asks every rule about every workload. Each finding says what mode it requires: the cheapest one in
which what it is about still holds. The verdict of a workload is the costliest of these, in the order
none < ambient < waypoint < sidecar; the order of rules plays no part. Workloads outside the mesh have verdict
none, whatever is found, unless what tells that they are outside could not be read.

What could not be read counts as the worst: a kind that RBAC hides, or a field that is not known here, keeps
the sidecar (SS901, SS913).

The severity of a finding is at most the one given here: *error* for something that is not enforced, would
stop being enforced or is broken, *warning* for behaviour that is lost or differs until the remedy is applied,
*info* for what is good to know.

Annotation ` + "`" + mesh.AnnotationMode + "`" + ` on a workload, its pod template or its namespace (the first that is set counts) with value
ambient, waypoint or sidecar sets the least mode that the owner accepts. It can raise a verdict and never
lower it (SS909, SS910, SS911).

References without a URL name files and release notes of the repository they start with.
`

// requires says what a rule requires at most; a rule about the mesh requires nothing of a workload.
func requires(r *Rule) string {
	if r.Whole != nil {
		return "-"
	}
	return string(r.Requires)
}

func writeRule(b *strings.Builder, r *Rule) {
	fmt.Fprintf(b, "\n### %s\n\n**%s.** %s\n\n", r.Code, r.Title, r.Why)
	fmt.Fprintf(b, "*Way out:* %s\n\n", r.Remedy)
	if versions := r.Versions(); versions != "" {
		fmt.Fprintf(b, "*Applies to:* %s\n\n", versions)
	}
	fmt.Fprintf(b, "*Looks at:* %s\n\n", strings.Join(r.Inputs.Words(), ", "))
	fmt.Fprintf(b, "*Read in:* %s\n", strings.Join(r.References, ", "))
}

// Versions says which Istio releases a rule applies to; empty for all.
func (r Rule) Versions() string {
	switch {
	case r.Since != 0 && r.Until != 0:
		return fmt.Sprintf("Istio 1.%d to 1.%d", r.Since, r.Until)
	case r.Since != 0:
		return fmt.Sprintf("Istio 1.%d and later", r.Since)
	case r.Until != 0:
		return fmt.Sprintf("Istio up to 1.%d", r.Until)
	}
	return ""
}

// Words names the inputs for people.
func (in Inputs) Words() []string {
	var out []string
	for _, f := range in.Features {
		out = append(out, strings.ReplaceAll(string(f), "-", " "))
	}
	for _, f := range in.Facts {
		out = append(out, string(f))
	}
	for _, k := range in.Kinds {
		out = append(out, k.Kind)
	}
	slices.Sort(out)
	return slices.Compact(out)
}
