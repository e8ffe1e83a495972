package report

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"html/template"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/diff"
)

var update = flag.Bool("update", false, "write the golden files anew")

// sample is a report that has one of everything a renderer can meet.
func sample() *AuditReport {
	policy := Object{Kind: "AuthorizationPolicy", Namespace: "payments", Name: "http-only"}
	filter := Object{Kind: "EnvoyFilter", Namespace: "payments", Name: "lua|x"}
	l7 := Finding{
		Code: "SS201", Severity: "warning", IfMoved: "error", Requires: "waypoint", Subject: policy,
		Message:  "AuthorizationPolicy payments/http-only matches on HTTP methods, which only a waypoint enforces.",
		Remedy:   "Deploy a waypoint and attach the policy with targetRefs before the sidecar goes.",
		Evidence: []Evidence{{Object: policy, Field: "spec.rules[0].to[0].operation.methods", Value: "[GET]"}},
		Place:    Place{File: "payments/policies.yaml", Line: 12},
	}
	open := Finding{
		Code: "SS204", Severity: "error", Requires: "waypoint", Subject: policy,
		Message: "This DENY has no effect at ztunnel: it matches on <paths> alone.",
		Remedy:  "Bind a waypoint first.",
		Place:   Place{File: "payments/policies.yaml", Line: 12},
	}
	lua := Finding{
		Code: "SS501", Severity: "warning", Requires: "sidecar", Subject: filter,
		Message: "An EnvoyFilter changes this sidecar.", Remedy: "Use TrafficExtension.",
		Evidence: []Evidence{{Object: filter, Field: "spec.configPatches[0].applyTo", Value: "HTTP_FILTER"}},
	}
	r := &AuditReport{
		APIVersion: APIVersion, Kind: "AuditReport",
		Workloads: []Workload{
			{Namespace: "batch", Kind: "CronJob", Name: "report", Mode: "sidecar", Verdict: "ambient", Replicas: 1, Findings: []Finding{}},
			{Namespace: "batch", Kind: "DaemonSet", Name: "node-agent", Mode: "none", Verdict: "none", Replicas: 3, Findings: []Finding{}},
			{Namespace: "payments", Kind: "Deployment", Name: "api", Mode: "sidecar", Verdict: "waypoint", Replicas: 12, Findings: []Finding{l7, open},
				Place: Place{File: "payments/api.yaml", Line: 1}},
			{Namespace: "payments", Kind: "Deployment", Name: "ledger", Mode: "sidecar", Verdict: "sidecar", Override: "ambient", Replicas: 40,
				HighScale: true, KeptBy: []string{"SS501"}, Findings: []Finding{lua, l7, open}},
			{Namespace: "payments", Kind: "Rollout", Name: "router", Mode: "ambient", Verdict: "sidecar", Replicas: 10,
				HighScale: true, KeptBy: []string{"SS301", "SS501"}, Findings: []Finding{lua}},
		},
		Findings: []Finding{{
			Code: "SS801", Severity: "error", Requires: "none", Subject: Object{Kind: "Service", Namespace: "shop", Name: "cart"},
			Message: "The waypoint that Service shop/cart names does not exist.", Remedy: "Deploy it.",
		}, {
			Code: "SS903", Severity: "info", Requires: "none", Subject: Object{Kind: "Namespace", Name: "istio-system"},
			Message: "Istio's version is not in the input.", Remedy: "Add istiod's Deployment.",
		}},
		Summary: Summary{
			Workloads: 5, ByVerdict: map[string]int{"ambient": 1, "waypoint": 1, "sidecar": 2, "none": 1},
			BySeverity: map[string]int{"error": 3, "warning": 4, "info": 1},
			Sidecars:   1053, SidecarsRemovable: 13, RemovableCPUMilli: 1300, RemovableMemoryBytes: 13 * 128 << 20,
			HeldCPUMilli: 5300, HeldMemoryBytes: 53 * 128 << 20, RequestsUnknown: 2, HighScaleReplicas: 10,
		},
		Input: Input{
			Objects:  31,
			Problems: []Problem{{Message: "a tab where YAML wants spaces", Place: Place{File: "broken.yaml", Line: 3}}},
			Unknown: []UnknownKind{
				{Kind: "Sidecar", Group: "networking.istio.io", State: "hidden", Reason: "forbidden: list sidecars.networking.istio.io"},
				{Kind: "Rollout", Group: "argoproj.io", State: "not-served"},
			},
			Ignored: []Ignored{{APIVersion: "v1", Kind: "Secret", Namespace: "payments", Name: "tls", Reason: "never read"}},
		},
		Rules: []Rule{
			{Code: "SS201", Title: "Policy uses HTTP attributes", Severity: "warning", Requires: "waypoint", Why: "Because.", References: []string{"https://istio.io/latest/docs/ambient/usage/l7-features/"}},
			{Code: "SS204", Title: "DENY does nothing at ztunnel", Severity: "error", Requires: "waypoint", Why: "Because.", Remedy: "Bind a waypoint."},
			{Code: "SS301", Title: "Route by source labels", Severity: "warning", Requires: "sidecar"},
			{Code: "SS501", Title: "EnvoyFilter on the workload", Severity: "warning", Requires: "sidecar"},
			{Code: "SS801", Title: "Waypoint does not exist", Severity: "error", Requires: "none"},
			{Code: "SS903", Title: "Istio's version is unknown", Severity: "info", Requires: "none"},
		},
	}
	return r
}

func TestRenderingsOfOneAudit(t *testing.T) {
	r := sample()
	for name, render := range map[string]func(io.Writer) error{
		"audit.txt":          func(w io.Writer) error { return r.Text(w, TextOptions{}) },
		"audit-wide.txt":     func(w io.Writer) error { return r.Text(w, TextOptions{Wide: true}) },
		"audit-colour.txt":   func(w io.Writer) error { return r.Text(w, TextOptions{Colour: true}) },
		"audit.json":         r.JSON,
		"audit.sarif":        func(w io.Writer) error { return r.SARIF(w, "v1.2.3") },
		"audit.md":           r.Markdown,
		"audit.html":         r.HTML,
		"explain-rule.txt":   func(w io.Writer) error { return r.ExplainCode(w, "SS204", TextOptions{}) },
		"explain-unseen.txt": func(w io.Writer) error { return r.ExplainCode(w, "SS301", TextOptions{}) },
		"explain.txt":        func(w io.Writer) error { return r.ExplainWorkload(w, &r.Workloads[3], TextOptions{}) },
		"explain.json":       func(w io.Writer) error { return ExplainJSON(w, &r.Workloads[3]) },
	} {
		t.Run(name, func(t *testing.T) { rendered(t, name, render) })
	}
}

// rendered compares what a renderer writes with its golden file.
func rendered(t *testing.T, name string, write func(io.Writer) error) {
	t.Helper()
	var b bytes.Buffer
	if err := write(&b); err != nil {
		t.Fatal(err)
	}
	golden(t, name, b.Bytes())
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	file := filepath.Join("testdata", name+".golden")
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("go test ./internal/report -update writes it anew:\n%s", diff.Diff(file, want, "rendered", got))
	}
}

// The names that other programs rely on, as the documentation promises them.
func TestJSONKeepsItsNames(t *testing.T) {
	var b bytes.Buffer
	if err := sample().JSON(&b); err != nil {
		t.Fatal(err)
	}
	var doc struct {
		APIVersion, Kind string
		Workloads        []map[string]any
		Findings         []map[string]any
	}
	if err := json.Unmarshal(b.Bytes(), &doc); err != nil {
		t.Fatal(err)
	}
	if doc.APIVersion != "sidestep.dev/v1alpha1" || doc.Kind != "AuditReport" {
		t.Errorf("document is %s %s", doc.APIVersion, doc.Kind)
	}
	needs := func(what string, m map[string]any, keys ...string) {
		for _, k := range keys {
			if _, ok := m[k]; !ok {
				t.Errorf("%s has no %q: %v", what, k, m)
			}
		}
	}
	for _, w := range doc.Workloads {
		needs("workload", w, "namespace", "kind", "name", "mode", "verdict", "findings")
		for _, f := range w["findings"].([]any) {
			needs("finding", f.(map[string]any), "code", "severity", "requires", "message", "subject", "remedy")
			needs("subject", f.(map[string]any)["subject"].(map[string]any), "kind", "namespace", "name")
		}
	}
	for _, f := range doc.Findings {
		needs("finding", f, "code", "severity", "requires", "message", "subject", "remedy")
	}
}

// Lists are never null: a program that iterates must not have to ask first.
func TestEmptyReportHasEmptyLists(t *testing.T) {
	var b bytes.Buffer
	if err := (&AuditReport{APIVersion: APIVersion, Workloads: []Workload{}, Findings: []Finding{}}).SARIF(&b, ""); err != nil {
		t.Fatal(err)
	}
	for _, list := range []string{`"results": []`, `"rules": []`} {
		if !strings.Contains(b.String(), list) {
			t.Errorf("no %s in\n%s", list, b.String())
		}
	}
}

func TestWorst(t *testing.T) {
	for name, c := range map[string]struct {
		report  AuditReport
		atLeast string
		want    bool
	}{
		"an error is an error":                  {AuditReport{Summary: Summary{BySeverity: map[string]int{"error": 1}}}, "error", true},
		"a warning is no error":                 {AuditReport{Summary: Summary{BySeverity: map[string]int{"warning": 1}}}, "error", false},
		"an error is worse than a warning":      {AuditReport{Summary: Summary{BySeverity: map[string]int{"error": 1}}}, "warning", true},
		"a note is only a note":                 {AuditReport{Summary: Summary{BySeverity: map[string]int{"info": 1}}}, "info", true},
		"a count of zero is nothing":            {AuditReport{Summary: Summary{BySeverity: map[string]int{"error": 0}}}, "info", false},
		"what could not be read is an error":    {AuditReport{Input: Input{Problems: []Problem{{Message: "x"}}}}, "error", true},
		"nothing found and everything read: no": {AuditReport{}, "info", false},
	} {
		if got := c.report.Worst(c.atLeast); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestFindAWorkloadByAnyOfItsNames(t *testing.T) {
	r := sample()
	for what, want := range map[string]int{
		"ledger": 1, "payments/ledger": 1, "deploy/ledger": 1, "Deployment/ledger": 1, "payments/deployment/ledger": 1,
		"shop/ledger": 0, "sts/ledger": 0, "payments/sts/ledger": 0, "nothing": 0, "a/b/c/d": 0, "": 0,
	} {
		if got := len(r.Find(what)); got != want {
			t.Errorf("Find(%q) found %d, want %d", what, got, want)
		}
	}
}

// A message is data: whatever it holds must stay text in a page and one cell in a table.
func TestMessagesCannotBreakOut(t *testing.T) {
	r := sample()
	hostile := `</script><img src=x onerror=alert(1)> | a` + "\n" + `# b`
	r.Workloads[2].Findings[1].Message = hostile
	var page, md bytes.Buffer
	if err := r.HTML(&page); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(page.String(), "<img") || !strings.Contains(page.String(), template.HTMLEscapeString("<img src=x")) {
		t.Error("the page does not escape a message")
	}
	if err := r.Markdown(&md); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(md.String(), "<img") || strings.Contains(md.String(), "\n# b") {
		t.Error("the table does not escape a message")
	}
}

func TestMarkdownFitsAComment(t *testing.T) {
	r := sample()
	for i := range 5000 {
		w := r.Workloads[2]
		w.Namespace = strings.Repeat("n", 1+i%60)
		f := w.Findings[1]
		f.Message += strings.Repeat("x", i%200)
		w.Findings = []Finding{f}
		r.Workloads = append(r.Workloads, w)
	}
	var b bytes.Buffer
	if err := r.Markdown(&b); err != nil {
		t.Fatal(err)
	}
	if b.Len() > 65_536 {
		t.Errorf("%d bytes; a comment takes 65,536", b.Len())
	}
}

// Every pod that has a sidecar is in one group of the first screen, and a set that frees pods holds nothing twice.
func TestOverviewSumsUp(t *testing.T) {
	hold := func(code, name string) Finding {
		return Finding{Code: code, Severity: "warning", Requires: "sidecar", Subject: Object{Kind: "EnvoyFilter", Namespace: "n", Name: name}}
	}
	kept := func(name string, pods int, findings ...Finding) Workload {
		return Workload{Namespace: "n", Kind: "Deployment", Name: name, Mode: "sidecar", Verdict: "sidecar", Replicas: pods, Sidecars: pods, Findings: findings}
	}
	r := &AuditReport{Workloads: []Workload{
		kept("a", 10, hold("SS501", "x")), kept("b", 4, hold("SS501", "x"), hold("SS502", "y")), kept("c", 3, hold("SS501", "z"), hold("SS502", "z")), kept("owner", 2),
		{Namespace: "n", Kind: "Deployment", Name: "free", Mode: "sidecar", Verdict: "ambient", Replicas: 7, Sidecars: 7, Findings: []Finding{}},
		{Namespace: "n", Kind: "Deployment", Name: "gone", Mode: "ambient", Verdict: "ambient", Replicas: 7, Findings: []Finding{}},
	}}
	r.Recount()
	sum := 0
	for _, g := range r.Overview.Groups {
		sum += g.Pods
	}
	if sum != 26 {
		t.Errorf("the groups sum to %d pods, 26 have a sidecar: %+v", sum, r.Overview.Groups)
	}
	freed := 0
	for _, f := range r.Overview.Frees {
		freed += f.Pods
		if f.Pods == 0 || len(f.Holds) == 0 {
			t.Errorf("a set wins nothing: %+v", f)
		}
	}
	want := []FreeSet{
		{Holds: []Hold{{"SS501", Object{"EnvoyFilter", "n", "x"}}}, Workloads: 1, Pods: 10},
		{Holds: []Hold{{"SS502", Object{"EnvoyFilter", "n", "y"}}}, After: true, Workloads: 1, Pods: 4},
		{Holds: []Hold{{"SS501", Object{"EnvoyFilter", "n", "z"}}, {"SS502", Object{"EnvoyFilter", "n", "z"}}}, Workloads: 1, Pods: 3},
	}
	if got := fmt.Sprint(r.Overview.Frees); freed != 17 || got != fmt.Sprint(want) {
		t.Errorf("frees %d pods by\n%s, want\n%v", freed, got, want)
	}
}

// A first step counts, whether a finding asks for it or only the state that the workload goes to, and the page shows it.
func TestFirstStepsAreCountedAndShown(t *testing.T) {
	r := sample()
	for i := range r.Workloads {
		r.Workloads[i].Sidecars = 2
	}
	if o := r.overview(); o.Groups[1].Workloads != 0 || len(o.First) != 0 {
		t.Errorf("without steps: %+v, %+v", o.Groups, o.First)
	}
	r.Workloads[0].First = []Step{{Code: "SS112", Message: "Calls would arrive in plaintext.", Remedy: "Move their callers before."}}
	r.Workloads[2].First = []Step{{Code: "SS201", Message: "It has no effect.", Remedy: "Bind a waypoint."}, {Code: "SS810", Message: "Some go round.", Remedy: "Close the way."}}
	o := r.overview()
	if o.Groups[0].Workloads != 0 || o.Groups[1].Workloads != 1 {
		t.Errorf("groups %+v: batch/report has a step before it", o.Groups)
	}
	if want := []CodeCount{{"SS112", 1}, {"SS810", 1}}; !slices.Equal(o.First, want) {
		t.Errorf("first %+v, want %+v: what the waypoint is for is no step before it", o.First, want)
	}
	var page bytes.Buffer
	if err := r.HTML(&page); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"first: SS112 Move their callers before.", "first: SS810 Close the way."} {
		if !strings.Contains(page.String(), want) {
			t.Errorf("the page does not show %q", want)
		}
	}
}
