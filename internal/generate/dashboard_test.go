package generate

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

// grafana is what the lint rules read of a dashboard file.
type grafana struct {
	ID            *int
	UID, Title    string
	SchemaVersion int
	Tags          []string
	Panels        []struct {
		ID                       int
		Type, Title, Description string
		Datasource               struct{ Type, UID string }
		GridPos                  struct{ X, Y, W, H int }
		FieldConfig              struct{ Defaults struct{ Unit string } }
		Targets                  []struct {
			RefID, Expr, LegendFormat string
			Datasource                struct{ UID string }
			Instant, Range            bool
		}
	}
	Templating struct {
		List []struct{ Name, Type, Query any }
	}
	Annotations struct {
		List []struct {
			Expr, Name string
			Datasource struct{ UID string }
		}
	}
}

var fixedRange = regexp.MustCompile(`\[\d+[smhdw]\]`)

// The rules of Grafana's own linter that apply to dashboards without a job, and a few more: nothing overlaps, everything is explained.
func TestDashboardsPassTheLintRules(t *testing.T) {
	uids := map[string]bool{}
	for _, d := range Dashboards(&Goal{Sidecars: 12, Removable: 88}) {
		text, err := d.JSON()
		if err != nil {
			t.Fatal(err)
		}
		var g grafana
		if err := json.Unmarshal(text, &g); err != nil {
			t.Fatalf("%s: %v", d.UID, err)
		}
		if uids[g.UID] || g.UID == "" || len(g.UID) > 40 || g.Title == "" || g.ID != nil || g.SchemaVersion < 39 || len(g.Tags) == 0 {
			t.Errorf("%s: uid, title, id, schema version or tags", d.UID)
		}
		uids[g.UID] = true
		if !slices.ContainsFunc(g.Templating.List, func(v struct{ Name, Type, Query any }) bool {
			return v.Name == "datasource" && v.Type == "datasource" && v.Query == "prometheus"
		}) {
			t.Errorf("%s: no data source variable", d.UID)
		}
		used := strings.Contains(string(text), `\"$namespace\"`)
		if !used {
			t.Errorf("%s: nothing reads the namespace variable", d.UID)
		}
		ids, titles := map[int]bool{}, map[string]bool{}
		for i, p := range g.Panels {
			if ids[p.ID] || titles[p.Title] || p.Title == "" || p.Description == "" || p.FieldConfig.Defaults.Unit == "" || p.Datasource.UID != "${datasource}" {
				t.Errorf("%s: panel %q: id, title, description, unit or data source", d.UID, p.Title)
			}
			ids[p.ID], titles[p.Title] = true, true
			if p.GridPos.X+p.GridPos.W > 24 || p.GridPos.W < 4 {
				t.Errorf("%s: panel %q leaves the grid", d.UID, p.Title)
			}
			for _, q := range g.Panels[:i] {
				a, b := p.GridPos, q.GridPos
				if a.X < b.X+b.W && b.X < a.X+a.W && a.Y < b.Y+b.H && b.Y < a.Y+a.H {
					t.Errorf("%s: panels %q and %q overlap", d.UID, p.Title, q.Title)
				}
			}
			refs := map[string]bool{}
			for _, q := range p.Targets {
				if refs[q.RefID] || q.RefID == "" || q.Expr == "" || q.LegendFormat == "" || q.Datasource.UID != "${datasource}" || q.Instant == q.Range {
					t.Errorf("%s: panel %q: target %s", d.UID, p.Title, q.RefID)
				}
				refs[q.RefID] = true
				if (p.Type == "timeseries") == q.Instant {
					t.Errorf("%s: panel %q: a %s asks for an instant: %v", d.UID, p.Title, p.Type, q.Instant)
				}
				// A range that is fixed is as long as what the panel says it measures, never a guess at the scrape interval.
				for _, r := range fixedRange.FindAllString(q.Expr, -1) {
					if r == "[1m]" || r == "[2m]" {
						t.Errorf("%s: panel %q: %s is shorter than scrape intervals may be; use $__rate_interval", d.UID, p.Title, r)
					}
				}
			}
			if len(p.Targets) == 0 {
				t.Errorf("%s: panel %q asks nothing", d.UID, p.Title)
			}
		}
		for _, a := range g.Annotations.List {
			if a.Datasource.UID != "${datasource}" || a.Name == "" {
				t.Errorf("%s: annotation %q: data source or name", d.UID, a.Name)
			}
		}
	}
}

func TestTheGoalIsDrawnWhereThereIsOne(t *testing.T) {
	with, _ := Dashboards(&Goal{Sidecars: 12, Removable: 88})[0].JSON()
	without, _ := Dashboards(nil)[0].JSON()
	if !strings.Contains(string(with), "vector(12)") || strings.Contains(string(without), "goal") {
		t.Error("the goal is not drawn, or one that nobody gave")
	}
}

func TestConfigMapsHoldTheSameDashboards(t *testing.T) {
	text, err := ConfigMaps(Dashboards(nil), "monitoring")
	if err != nil {
		t.Fatal(err)
	}
	documents := strings.Split(text, "---\n")[1:]
	for i, d := range Dashboards(nil) {
		var cm struct {
			Kind     string
			Metadata struct {
				Namespace string
				Labels    map[string]string
			}
			Data map[string]string
		}
		if err := yaml.Unmarshal([]byte(documents[i]), &cm); err != nil {
			t.Fatal(err)
		}
		want, _ := d.JSON()
		if cm.Kind != "ConfigMap" || cm.Metadata.Namespace != "monitoring" || cm.Metadata.Labels["grafana_dashboard"] != "1" || cm.Data[d.UID+".json"] != string(want) {
			t.Errorf("%s: %+v", d.UID, cm.Metadata)
		}
	}
}
