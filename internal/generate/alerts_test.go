package generate

import (
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/sidestep-mesh/sidestep/internal/doctor"
)

func TestEveryCheckWithAnAlertHasOneThatReadsWhatIsRecorded(t *testing.T) {
	for name, text := range map[string]string{"plain": Plain(Alerts()), "object": PrometheusRule(Alerts(), "monitoring", [][2]string{{"release", "x"}})} {
		type group struct {
			Rules []struct {
				Record, Alert, Expr string
				Labels, Annotations map[string]string
			} `json:"rules"`
		}
		var file struct {
			Kind   string  `json:"kind"`
			Groups []group `json:"groups"`
			Spec   struct {
				Groups []group `json:"groups"`
			} `json:"spec"`
		}
		if err := yaml.Unmarshal([]byte(text), &file); err != nil {
			t.Fatalf("%s: %v\n%s", name, err, text)
		}
		recorded, alerts := map[string]bool{}, map[string]string{}
		for _, g := range append(file.Groups, file.Spec.Groups...) {
			for _, r := range g.Rules {
				if r.Record != "" {
					recorded[r.Record] = true
					continue
				}
				if series, _, _ := strings.Cut(r.Expr, " "); !recorded[series] {
					t.Errorf("%s: %s reads %s, which nothing records", name, r.Alert, series)
				}
				if !strings.HasSuffix(r.Annotations["runbook_url"], "#"+r.Labels["check"]) || r.Labels["severity"] == "" || r.Annotations["summary"] == "" {
					t.Errorf("%s: %s lacks its runbook, severity or summary", name, r.Alert)
				}
				alerts[r.Labels["check"]] = r.Alert
			}
		}
		for _, c := range doctor.All() {
			if c.Alert != nil && alerts[c.ID] != c.Alert.Name {
				t.Errorf("%s: check %s has no alert", name, c.ID)
			}
		}
	}
}
