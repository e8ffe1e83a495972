// Package generate writes files for other programs from what this one knows: recording rules and alerts of the checks.
package generate

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/sidestep-mesh/sidestep/internal/audit"
	"github.com/sidestep-mesh/sidestep/internal/doctor"
	"github.com/sidestep-mesh/sidestep/internal/metric"
)

// runbookURL is where the generated page of all checks is published.
const runbookURL = "https://github.com/sidestep-mesh/sidestep/blob/main/docs/checks.md#"

// Group is a group of Prometheus rules.
type Group struct {
	Name  string
	Rules []Rule
}

// Rule is a recording rule or an alert; the fields of the other are empty.
type Rule struct {
	Record, Alert, Expr, For string
	Labels, Annotations      [][2]string
}

// RecordName is the series that a metric of the catalogue is recorded under.
func RecordName(metricName string) string { return "sidestep:" + metricName }

// severities are alert labels by a check's severity.
var severities = map[audit.Severity]string{audit.Error: "critical", audit.Warning: "warning", audit.Info: "info"}

// Alerts makes one recording rule for each metric that an alert watches, and one alert for each check that has one.
func Alerts() []Group {
	record, alerts := Group{Name: "sidestep.recording"}, Group{Name: "sidestep.alerts"}
	recorded := map[string]bool{}
	for _, c := range doctor.All() {
		if c.Alert == nil {
			continue
		}
		m, ok := metric.LookupHealth(c.Alert.Metric)
		if !ok {
			continue // the registry's test forbids it
		}
		if !recorded[m.Name] {
			recorded[m.Name] = true
			record.Rules = append(record.Rules, Rule{Record: RecordName(m.Name), Expr: m.Query(metric.Params{}.Defaults())})
		}
		alerts.Rules = append(alerts.Rules, Rule{
			Alert: c.Alert.Name, Expr: RecordName(m.Name) + " " + c.Alert.Bound, For: c.Alert.For,
			Labels: [][2]string{{"severity", severities[c.Severity]}, {"check", c.ID}},
			Annotations: [][2]string{{"summary", c.Alert.Summary}, {"description", c.Cause + " " + c.Fix},
				{"runbook_url", runbookURL + c.ID}},
		})
	}
	return []Group{record, alerts}
}

// Plain writes groups as a Prometheus rule file.
func Plain(groups []Group) string {
	var b strings.Builder
	b.WriteString("# Recording rules and alerts of sidestep's checks; written by sidestep generate alerts.\n")
	write(&b, groups, "")
	return b.String()
}

// PrometheusRule writes groups as an object of the Prometheus operator.
func PrometheusRule(groups []Group, namespace string, labels [][2]string) string {
	var b strings.Builder
	b.WriteString("# Recording rules and alerts of sidestep's checks; written by sidestep generate alerts.\n")
	b.WriteString("apiVersion: monitoring.coreos.com/v1\nkind: PrometheusRule\nmetadata:\n  name: sidestep\n")
	if namespace != "" {
		fmt.Fprintf(&b, "  namespace: %s\n", namespace)
	}
	if len(labels) > 0 {
		b.WriteString("  labels:\n")
		pairs(&b, labels, "    ")
	}
	b.WriteString("spec:\n")
	write(&b, groups, "  ")
	return b.String()
}

func write(b *strings.Builder, groups []Group, indent string) {
	b.WriteString(indent + "groups:\n")
	for _, g := range groups {
		fmt.Fprintf(b, "%s- name: %s\n%s  rules:\n", indent, g.Name, indent)
		for _, r := range g.Rules {
			in := indent + "    "
			if r.Record != "" {
				fmt.Fprintf(b, "%s  - record: %s\n%sexpr: %s\n", indent, r.Record, in, strconv.Quote(r.Expr))
				continue
			}
			fmt.Fprintf(b, "%s  - alert: %s\n%sexpr: %s\n", indent, r.Alert, in, strconv.Quote(r.Expr))
			if r.For != "0m" {
				fmt.Fprintf(b, "%sfor: %s\n", in, r.For)
			}
			b.WriteString(in + "labels:\n")
			pairs(b, r.Labels, in+"  ")
			b.WriteString(in + "annotations:\n")
			pairs(b, r.Annotations, in+"  ")
		}
	}
}

func pairs(b *strings.Builder, list [][2]string, indent string) {
	for _, p := range list {
		fmt.Fprintf(b, "%s%s: %s\n", indent, p[0], strconv.Quote(p[1]))
	}
}
