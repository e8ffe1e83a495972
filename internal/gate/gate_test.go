package gate

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/sidestep-mesh/sidestep/internal/report"
)

func sample(severity string) *report.AuditReport {
	return &report.AuditReport{Workloads: []report.Workload{{Namespace: "shop", Kind: "Deployment", Name: "web", Findings: []report.Finding{
		{Code: "SS501", Severity: severity, Subject: report.Object{Kind: "EnvoyFilter", Namespace: "shop", Name: "lua"}, Message: "one"},
		{Code: "SS301", Severity: "info", Subject: report.Object{Kind: "VirtualService", Namespace: "shop", Name: "web"}},
	}}}, Findings: []report.Finding{{Code: "SS903", Severity: "warning", Subject: report.Object{Kind: "Namespace", Name: "istio-system"}}}}
}

func TestABaselineKnowsWhatItWasMadeOf(t *testing.T) {
	var file bytes.Buffer
	if err := NewBaseline(sample("warning")).Write(&file); err != nil {
		t.Fatal(err)
	}
	text := file.String()
	b, err := ReadBaseline(&file)
	if err != nil || len(b.Findings) != 3 {
		t.Fatalf("%v, %d findings in\n%s", err, len(b.Findings), text)
	}
	known := func(r *report.AuditReport) (n int) {
		each(r, func(_ *report.Workload, f *report.Finding) {
			if f.Known != "" {
				n++
			}
		})
		return n
	}
	same := sample("warning")
	same.Workloads[0].Findings[0].Message = "in other words, from another line"
	if gone := b.Apply(same); gone != 0 || known(same) != 3 {
		t.Errorf("of the same findings %d are known, %d gone", known(same), gone)
	}
	worse := sample("error")
	if b.Apply(worse); worse.Workloads[0].Findings[0].Known != "" || known(worse) != 2 {
		t.Error("a finding that got worse is known")
	}
	moved := sample("warning")
	moved.Workloads[0].Name = "api"
	if gone := b.Apply(moved); gone != 2 || known(moved) != 1 {
		t.Errorf("on another workload %d are known, %d gone", known(moved), gone)
	}
}

func TestAnIgnoreNeedsAReasonAndADay(t *testing.T) {
	o := report.Object{Kind: "EnvoyFilter", Namespace: "shop", Name: "lua"}
	for text, wants := range map[string]string{
		"SS501 because=x":                      `until is ""`,
		"SS501 until=soon because=x":           `until is "soon"`,
		"SS501 until=2027-01-31":               "because is missing",
		"SS501 for=ever because=x":             `"for=ever" is not understood`,
		"SS501 until=2027-01-31 because=a b c": "",
		"SS501 until=2027-01-31 because=a; SS301 until=2027-01-31 because=b": "",
	} {
		_, err := FromAnnotation(o, text)
		if (err == nil) != (wants == "") || err != nil && !strings.Contains(err.Error(), wants) {
			t.Errorf("%q: %v, want %q", text, err, wants)
		}
	}
	i := Ignore{Code: "SS501", Kind: "EnvoyFilter", Name: "lu*", Because: "x", Until: "2026-11-30"}
	lastMoment := time.Date(2026, 11, 30, 23, 59, 59, 0, time.UTC)
	for now, hides := range map[time.Time]bool{lastMoment: true, lastMoment.Add(time.Second): false} {
		r := sample("error")
		ended, idle := ApplyIgnores(r, []Ignore{i, {Code: "SS999", Namespace: "shop", Because: "x", Until: "2027-01-01"}}, now)
		if got := r.Workloads[0].Findings[0].Known != ""; got != hides || (len(ended) == 0) != hides || len(idle) != 1 {
			t.Errorf("on %s it hides: %t; ended %v, idle %v", now, got, ended, idle)
		}
	}
}

func TestConfigIsStrict(t *testing.T) {
	for text, wants := range map[string]string{
		"failOn: today":              "",
		"failsOn: today":             "failsOn",
		"severities: {SS501: fatal}": "not a severity",
		"severities: {ss501: info}":  "write SS501",
		"ignore: [{code: SS501}]":    "name at least one",
		"ignore: [{code: SS501, name: '[', because: x, until: '2027-01-31'}]": "no pattern",
	} {
		_, err := ParseConfig("f", []byte(text))
		if (err == nil) != (wants == "") || err != nil && !strings.Contains(err.Error(), wants) {
			t.Errorf("%q: %v, want %q", text, err, wants)
		}
	}
	r := sample("error")
	ApplySeverities(r, Config{Severities: map[string]string{"SS501": "info"}})
	if got := r.Workloads[0].Findings[0].Severity; got != "info" {
		t.Errorf("severity %q", got)
	}
}
