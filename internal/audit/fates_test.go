package audit

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// The codes of a scenario do not tell a policy that has to be copied from one whose copy is there: the severity does.
func TestCopiesCountAtEveryServiceOnly(t *testing.T) {
	for name, want := range map[string]struct {
		code     string
		severity Severity
	}{
		"second-service-unbound":           {"SS201", Error},
		"second-service-without-copy":      {"SS201", Error},
		"second-service-copied-at-gateway": {"SS201", Info},
		"tokens-copied":                    {"SS208", Info},
		"tokens-copied-otherwise":          {"SS208", Error},
	} {
		t.Run(name, func(t *testing.T) {
			data, err := os.ReadFile(filepath.Join("testdata", "cases", name+".txtar"))
			if err != nil {
				t.Fatal(err)
			}
			s, err := parseScenario(name, data)
			if err != nil {
				t.Fatal(err)
			}
			var got []Severity
			for _, w := range Run(s.mesh(t), Options{}).Workloads {
				for _, f := range w.Findings {
					if f.Code == want.code {
						got = append(got, f.Severity)
					}
				}
			}
			if !slices.Equal(got, []Severity{want.severity}) {
				t.Errorf("%s has severities %v, want one %s", want.code, got, want.severity)
			}
		})
	}
}
