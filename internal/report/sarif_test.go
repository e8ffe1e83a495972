package report

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
)

// What readers of the output rely on; test/sarif holds all of it against the published schema.
func TestSARIFSaysWhatReadersRelyOn(t *testing.T) {
	var b bytes.Buffer
	if err := sample().SARIF(&b, "v1.2.3"); err != nil {
		t.Fatal(err)
	}
	var log struct {
		Schema  string `json:"$schema"`
		Version string
		Runs    []struct {
			Tool struct {
				Driver struct {
					Name, SemanticVersion, InformationURI string
					Rules                                 []struct {
						ID, HelpURI          string
						ShortDescription     struct{ Text string }
						DefaultConfiguration struct{ Level string }
					}
				}
			}
			Invocations []struct{ ExecutionSuccessful *bool }
			Results     []struct {
				RuleID              string
				RuleIndex           int
				Level               string
				Message             struct{ Text string }
				PartialFingerprints map[string]string
				Locations           []struct {
					PhysicalLocation *struct {
						ArtifactLocation struct{ URI string }
						Region           *struct{ StartLine int }
					}
					LogicalLocations []struct{ Name, FullyQualifiedName, Kind string }
				}
			}
		}
	}
	decoder := json.NewDecoder(&b)
	if err := decoder.Decode(&log); err != nil {
		t.Fatal(err)
	}
	if log.Version != "2.1.0" || len(log.Runs) != 1 {
		t.Fatalf("version %q, %d runs", log.Version, len(log.Runs))
	}
	run := log.Runs[0]
	if run.Tool.Driver.Name == "" || run.Tool.Driver.SemanticVersion != "1.2.3" || len(run.Tool.Driver.Rules) == 0 {
		t.Errorf("driver: %+v", run.Tool.Driver)
	}
	levels := []string{"none", "note", "warning", "error"}
	for _, rule := range run.Tool.Driver.Rules {
		if rule.ID == "" || rule.ShortDescription.Text == "" || !slices.Contains(levels, rule.DefaultConfiguration.Level) {
			t.Errorf("rule: %+v", rule)
		}
		if u, err := url.Parse(rule.HelpURI); err != nil || !u.IsAbs() {
			t.Errorf("rule %s: helpUri %q is not an absolute URI", rule.ID, rule.HelpURI)
		}
	}
	for _, inv := range run.Invocations {
		if inv.ExecutionSuccessful == nil {
			t.Error("an invocation must say whether it was successful")
		} else if *inv.ExecutionSuccessful {
			t.Error("an audit that could not read a document was not successful")
		}
	}
	seen := map[string]bool{}
	for _, result := range run.Results {
		if result.Message.Text == "" || !slices.Contains(levels, result.Level) {
			t.Errorf("result: %+v", result)
		}
		if result.RuleIndex < -1 || result.RuleIndex >= len(run.Tool.Driver.Rules) || run.Tool.Driver.Rules[result.RuleIndex].ID != result.RuleID {
			t.Errorf("result of %s points at rule %d", result.RuleID, result.RuleIndex)
		}
		fingerprint := result.PartialFingerprints["sidestepFinding/v1"]
		if fingerprint == "" || seen[fingerprint] {
			t.Errorf("result of %s has no fingerprint of its own: %q", result.RuleID, fingerprint)
		}
		seen[fingerprint] = true
		for _, l := range result.Locations {
			if l.PhysicalLocation == nil && len(l.LogicalLocations) == 0 {
				t.Errorf("result of %s is nowhere", result.RuleID)
			}
			if p := l.PhysicalLocation; p != nil && (p.ArtifactLocation.URI == "" || p.Region != nil && p.Region.StartLine < 1) {
				t.Errorf("result of %s is at %+v", result.RuleID, p)
			}
		}
	}
}

// A finding keeps its identity when its file is edited above it.
func TestFingerprintsSurviveALineShift(t *testing.T) {
	fingerprints := func(line int) []string {
		r := sample()
		for i := range r.Workloads {
			for j := range r.Workloads[i].Findings {
				r.Workloads[i].Findings[j].Line += line
			}
		}
		var out []string
		for _, top := range r.topics() {
			out = append(out, sarifResultOf(top, 0).PartialFingerprints["sidestepFinding/v1"])
		}
		return out
	}
	if a, b := fingerprints(0), fingerprints(7); !slices.Equal(a, b) {
		t.Errorf("%v\n%v", a, b)
	}
}

func TestFileURI(t *testing.T) {
	for file, want := range map[string]string{
		"k8s/payments api.yaml": "k8s/payments%20api.yaml",
		"/srv/a.yaml":           "file:///srv/a.yaml",
		"a:b.yaml":              "./a:b.yaml",
	} {
		if got := fileURI(file); got != want {
			t.Errorf("fileURI(%q) = %q, want %q", file, got, want)
		}
	}
}

func TestSARIFHoldsNoMoreThanIsShownTheSeverestFirst(t *testing.T) {
	r := sample()
	for i := range mostResults {
		r.Findings = append(r.Findings, Finding{Code: "SS902", Severity: "info", Message: fmt.Sprint("note ", i)})
	}
	all := r.topics()
	var b bytes.Buffer
	if err := r.SARIF(&b, "v1.2.3"); err != nil {
		t.Fatal(err)
	}
	var log sarifLog
	if err := json.Unmarshal(b.Bytes(), &log); err != nil {
		t.Fatal(err)
	}
	run := log.Runs[0]
	if len(run.Results) != mostResults {
		t.Errorf("%d results, want %d", len(run.Results), mostResults)
	}
	notes := run.Invocations[0].ToolExecutionNotifications
	want := fmt.Sprintf("%d findings are not in this file", len(all)-mostResults)
	if len(notes) == 0 || !strings.Contains(notes[len(notes)-1].Message.Text, want) || !strings.Contains(notes[len(notes)-1].Message.Text, "0 errors, 0 warnings") {
		t.Errorf("notifications %+v, want one that says: %s", notes, want)
	}
}
