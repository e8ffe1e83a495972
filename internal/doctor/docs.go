package doctor

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/sidestep-mesh/sidestep/internal/metric"
)

//go:generate env UPDATE=1 go test -run TestDocsAreGenerated .

const docsHead = `<!-- Generated from the checks in internal/doctor by go generate; do not edit. -->
# Checks

What ` + "`sidestep doctor`" + ` looks at. Each check is a sentence that is true of a healthy mesh, and another of one that has the fault. Doctor says what it saw,
the cause, how sure it is of it, and the fix; where it cannot tell, it says what is missing. ` + "`--symptom`" + ` makes only the checks that
explain what you notice. The alerts of ` + "`sidestep generate alerts`" + ` name the check that looks at the same thing: its section is the runbook.

| symptom | checks |
|---|---|
`

// WriteDocs writes the page about all checks (docs/checks.md) as Markdown.
func WriteDocs(out io.Writer) error {
	var b strings.Builder
	b.WriteString(docsHead)
	for _, s := range Symptoms() {
		var links []string
		for _, c := range All() {
			if slices.Contains(c.Symptoms, s) {
				links = append(links, fmt.Sprintf("[%s](#%s)", c.ID, c.ID))
			}
		}
		fmt.Fprintf(&b, "| %s | %s |\n", s, strings.Join(links, ", "))
	}
	for _, c := range All() {
		writeCheck(&b, &c)
	}
	_, err := io.WriteString(out, b.String())
	return err
}

func writeCheck(b *strings.Builder, c *Check) {
	fmt.Fprintf(b, "\n## %s\n\n**%s.** Otherwise: %s. Severity at most %s; the cause is %s.\n\n*Cause:* %s\n\n*Fix:* %s\n\n", c.ID, c.Sentence, c.Otherwise, c.Severity, c.Confidence, c.Cause, c.Fix)
	if len(c.Rules) > 0 {
		var links []string
		for _, code := range c.Rules {
			links = append(links, fmt.Sprintf("[%s](rules.md#%s)", code, strings.ToLower(code)))
		}
		of := ""
		if c.AmbientOnly {
			of = " on workloads that are ambient now"
		}
		fmt.Fprintf(b, "*Found by rules:* %s%s\n\n", strings.Join(links, ", "), of)
	}
	for _, name := range c.Metrics {
		m, _ := metric.LookupHealth(name)
		fmt.Fprintf(b, "*Metric* `%s` (%s): %s. No data means: %s.\n\n```promql\n%s\n```\n\n", m.Name, m.Unit, m.Doc, m.NoData, m.Query(metric.Params{}.Defaults()))
	}
	if c.Alert != nil {
		fmt.Fprintf(b, "*Alert* `%s`: `sidestep:%s %s`", c.Alert.Name, c.Alert.Metric, c.Alert.Bound)
		if c.Alert.For != "0m" {
			fmt.Fprintf(b, " for %s", c.Alert.For)
		}
		b.WriteString("\n\n")
	}
	fmt.Fprintf(b, "*Look again:* `sidestep doctor --check %s`", c.ID)
	if len(c.Metrics) > 0 {
		b.WriteString(" with `--prometheus URL`")
	}
	b.WriteString("; the objects behind each finding are shown with `--wide`.\n\n")
	if c.NeedsPods {
		b.WriteString("*Needs* live pods: manifests alone cannot tell.\n\n")
	}
	fmt.Fprintf(b, "*Read in:* %s\n", strings.Join(c.References, ", "))
}
