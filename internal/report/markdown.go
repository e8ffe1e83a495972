package report

import (
	"bytes"
	"fmt"
	"io"
	"strings"
)

// markdownLimit keeps a report below the 65,536 characters that a comment on a pull request may have.
const markdownLimit = 60_000

// Markdown writes the report as a comment on a pull request: the numbers, what to look at, and the
// workloads folded away.
func (r *AuditReport) Markdown(w io.Writer) error {
	var b bytes.Buffer
	s := r.Summary
	fmt.Fprintf(&b, "## Sidestep audit\n\n%s\n\n", markdownText(r.title()))
	fmt.Fprintf(&b, "**%s of %s could go (%s)**, which hold %s and %s of requests.\n\n",
		number(s.SidecarsRemovable), count(s.Sidecars, "sidecar"), share(s.SidecarsRemovable, s.Sidecars),
		cpu(s.RemovableCPUMilli), memory(s.RemovableMemoryBytes))
	fmt.Fprintf(&b, "| verdict | meaning | workloads |\n|---|---|---:|\n")
	for _, v := range verdicts {
		fmt.Fprintf(&b, "| %s | %s | %s |\n", v, verdictWords[v], number(s.ByVerdict[v]))
	}
	fmt.Fprintf(&b, "\n%s.\n", s.findings())
	r.markdownInput(&b)
	r.markdownTopics(&b, "Broken today", r.broken())
	r.markdownTopics(&b, "Would break if the sidecar just went", r.ifMoved())
	r.markdownWorkloads(&b)
	_, err := w.Write(b.Bytes())
	return err
}

func (r *AuditReport) markdownInput(b *bytes.Buffer) {
	for _, k := range r.Input.Unknown {
		if k.State == "hidden" {
			fmt.Fprintf(b, "\n> **Unknown:** %s: %s. Whatever depends on it keeps its sidecar.\n", k.Kind, markdownText(k.Reason))
		}
	}
	for _, p := range r.Input.Problems {
		fmt.Fprintf(b, "\n> **Unread:** `%s`: %s\n", p.Place, markdownText(p.Message))
	}
}

func (r *AuditReport) markdownTopics(b *bytes.Buffer, title string, groups []codeGroup) {
	head := "\n### " + title + "\n\n| code | where | what | way out |\n|---|---|---|---|\n"
	for _, g := range groups {
		for _, t := range g.topics {
			if b.Len() > markdownLimit/2 {
				fmt.Fprintf(b, "\nThere are more: see `sidestep audit -o json`.\n")
				return
			}
			where := t.Subject.String()
			if t.Place != (Place{}) {
				where += "<br>`" + t.Place.String() + "`"
			}
			fmt.Fprintf(b, "%s| [%s](%s) %s | %s | %s | %s |\n", head, t.Code, r.rule(t.Code).URL(), t.Severity, where, markdownText(t.Message), markdownText(t.Remedy))
			head = ""
		}
	}
}

// markdownWorkloads lists the workloads that need more than ztunnel, each namespace folded.
func (r *AuditReport) markdownWorkloads(b *bytes.Buffer) {
	fmt.Fprintf(b, "\n### Workloads\n\n")
	for _, ns := range r.namespaces() {
		var rows strings.Builder
		for _, w := range ns.Workloads {
			fmt.Fprintf(&rows, "| %s | %d | %s | **%s** | %s |\n", shortKind(w.Kind)+"/"+w.Name, w.Replicas, w.Mode, w.Verdict, markdownText(r.reason(w)))
		}
		block := fmt.Sprintf("<details><summary><b>%s</b>: %s</summary>\n\n| workload | pods | now | needs | because |\n|---|---:|---|---|---|\n%s\n</details>\n\n",
			ns.Name, mix(ns.byVerdict), rows.String())
		if b.Len()+len(block) > markdownLimit {
			fmt.Fprintf(b, "Not all namespaces fit here: see `sidestep audit`.\n")
			return
		}
		b.WriteString(block)
	}
}

// markdownText makes text safe inside a table cell.
func markdownText(s string) string {
	return strings.NewReplacer("|", `\|`, "\n", " ", "<", "&lt;", "*", `\*`, "_", `\_`, "`", "\\`", "[", `\[`).Replace(s)
}
