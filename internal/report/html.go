package report

import (
	_ "embed"
	"html/template"
	"io"
)

//go:embed audit.html.tmpl
var auditHTML string

var auditPage = template.Must(template.New("audit").Funcs(template.FuncMap{
	"cpu": cpu, "memory": memory, "number": number, "count": count, "share": share,
	"url":   func(code string) string { return Rule{Code: code}.URL() },
	"short": shortKind, "words": func(verdict string) string { return verdictWords[verdict] },
}).Parse(auditHTML))

// HTML writes the report as one page that needs nothing else: no network, no other file.
func (r *AuditReport) HTML(w io.Writer) error {
	type row struct {
		*Workload
		Reason string
	}
	type group struct {
		Name, Mix string
		Rows      []row
	}
	page := struct {
		*AuditReport
		Verdicts []string
		Groups   []group
		Broken   []topic
		IfMoved  []topic
		Count    string
		Title    string
		Whole    []topic
	}{AuditReport: r, Verdicts: verdicts, Count: r.Summary.findings(), Title: r.title()}
	for _, ns := range r.namespaces() {
		g := group{Name: ns.Name, Mix: mix(ns.byVerdict)}
		for _, wl := range ns.Workloads {
			g.Rows = append(g.Rows, row{Workload: wl, Reason: r.reason(wl)})
		}
		page.Groups = append(page.Groups, g)
	}
	for _, g := range r.broken() {
		page.Broken = append(page.Broken, g.topics...)
	}
	for _, g := range r.ifMoved() {
		page.IfMoved = append(page.IfMoved, g.topics...)
	}
	for _, g := range r.whole() {
		page.Whole = append(page.Whole, g.topics...)
	}
	return auditPage.Execute(w, page)
}
