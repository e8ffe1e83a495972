package generate

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// Dashboard is a Grafana dashboard, apart from how Grafana writes it.
type Dashboard struct {
	// UID is stable: a newer version replaces an older one. It is also the file's name.
	UID, Title, Doc string
	Panels          []Panel
	// Events are drawn over all panels.
	Events []Event
}

// Panel is one picture. Its queries may use $namespace and $__rate_interval.
type Panel struct {
	Title, Doc string
	// Kind is Grafana's name: timeseries, stat, bargauge or table.
	Kind string
	// Unit is Grafana's name of the unit.
	Unit    string
	Width   int
	Stacked bool
	Queries []Query
}

// Query is one PromQL expression of a panel.
type Query struct {
	Legend, Expr string
	// Instant asks for the newest value alone.
	Instant bool
}

// Event is a point in time that an expression finds: it happens where the expression has a value.
type Event struct{ Name, Title, Expr string }

// Grafana's names of what is used here. The schema is that of Grafana 10.4; later ones read it.
const (
	schemaVersion = 39
	gridWidth     = 24
	panelHeight   = 8

	timeseries = "timeseries"
	stat       = "stat"
	bargauge   = "bargauge"

	unitCount   = "short"
	unitShare   = "percentunit"
	unitMillis  = "ms"
	unitSeconds = "s"
	unitBytes   = "bytes"
	unitBytesPS = "Bps"
	unitRate    = "reqps"
	unitCores   = "cores" // no unit of Grafana's: it prints the word
	unitCost    = "cost/h"
)

// object is a JSON object; encoding/json writes its keys in order, so equal dashboards are equal files.
type object map[string]any

var datasource = object{"type": "prometheus", "uid": "${datasource}"}

// JSON writes the dashboard as Grafana reads it.
func (d *Dashboard) JSON() ([]byte, error) {
	panels := []object{}
	x, y := 0, 0
	for i, p := range d.Panels {
		if x+p.Width > gridWidth {
			x, y = 0, y+panelHeight
		}
		panels = append(panels, p.object(i+1, x, y))
		x += p.Width
	}
	events := []object{}
	for _, e := range d.Events {
		events = append(events, object{"datasource": datasource, "enable": true, "hide": false, "iconColor": "orange", "name": e.Name, "expr": e.Expr, "titleFormat": e.Title,
			"step": "60s", "useValueForTime": false})
	}
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	err := enc.Encode(object{
		"uid": d.UID, "title": d.Title, "description": d.Doc, "tags": []string{"istio", "sidestep"}, "schemaVersion": schemaVersion, "version": 1, "id": nil,
		"editable": true, "graphTooltip": 1, "refresh": "1m", "time": object{"from": "now-6h", "to": "now"}, "timezone": "", "fiscalYearStartMonth": 0, "liveNow": false,
		"links":       []object{{"type": "dashboards", "asDropdown": true, "includeVars": true, "keepTime": true, "tags": []string{"sidestep"}, "title": "Sidestep", "targetBlank": false, "icon": "external link", "tooltip": "", "url": ""}},
		"annotations": object{"list": events}, "panels": panels, "templating": object{"list": variables()},
	})
	return out.Bytes(), err
}

func variables() []object {
	namespaces := "label_values(kube_pod_container_info, namespace)"
	return []object{
		{"name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus", "regex": "", "hide": 0, "refresh": 1, "multi": false, "includeAll": false, "options": []object{}, "current": object{}},
		{"name": "namespace", "label": "Namespace", "type": "query", "datasource": datasource, "definition": namespaces, "query": object{"query": namespaces, "refId": "namespaces"}, "regex": "", "sort": 1,
			"hide": 0, "refresh": 2, "multi": true, "includeAll": true, "allValue": ".*", "options": []object{}, "current": object{"text": []string{"All"}, "value": []string{"$__all"}}},
	}
}

func (p *Panel) object(id, x, y int) object {
	defaults := object{"unit": p.Unit, "min": 0, "mappings": []object{}, "thresholds": object{"mode": "absolute", "steps": []object{{"color": "green", "value": nil}}}}
	options := object{"tooltip": object{"mode": "multi", "sort": "desc"}, "legend": object{"displayMode": "list", "placement": "bottom", "showLegend": true, "calcs": []string{}}}
	switch p.Kind {
	case timeseries:
		mode := "none"
		if p.Stacked {
			mode = "normal"
		}
		defaults["custom"] = object{"drawStyle": "line", "lineWidth": 1, "fillOpacity": map[bool]int{true: 30, false: 5}[p.Stacked], "showPoints": "never", "stacking": object{"mode": mode, "group": "A"}, "spanNulls": false}
	default:
		options = object{"reduceOptions": object{"calcs": []string{"lastNotNull"}, "fields": "", "values": false}, "orientation": "auto", "textMode": "auto", "colorMode": "value", "displayMode": "basic"}
	}
	targets := []object{}
	for i, q := range p.Queries {
		targets = append(targets, object{"refId": string(rune('A' + i)), "datasource": datasource, "expr": q.Expr, "legendFormat": q.Legend, "editorMode": "code", "range": !q.Instant, "instant": q.Instant})
	}
	return object{"id": id, "type": p.Kind, "title": p.Title, "description": p.Doc, "datasource": datasource, "targets": targets, "options": options,
		"fieldConfig": object{"defaults": defaults, "overrides": []object{}}, "gridPos": object{"x": x, "y": y, "w": p.Width, "h": panelHeight}}
}

// ConfigMaps writes dashboards as objects that the Grafana chart's sidecar loads: those with the label grafana_dashboard.
func ConfigMaps(list []Dashboard, namespace string) (string, error) {
	var b strings.Builder
	b.WriteString("# Grafana dashboards; written by sidestep generate dashboards.\n")
	for _, d := range list {
		text, err := d.JSON()
		if err != nil {
			return "", err
		}
		fmt.Fprintf(&b, "---\napiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: %s\n", d.UID)
		if namespace != "" {
			fmt.Fprintf(&b, "  namespace: %s\n", namespace)
		}
		fmt.Fprintf(&b, "  labels:\n    grafana_dashboard: \"1\"\ndata:\n  %s.json: |\n", d.UID)
		for line := range bytes.Lines(text) {
			b.WriteString("    " + string(line))
		}
	}
	return b.String(), nil
}

// squeeze writes an expression on one line.
func squeeze(expr string, args ...any) string {
	return strings.Join(strings.Fields(fmt.Sprintf(expr, args...)), " ")
}

// Dashboards are all dashboards. Goal may be nil: nothing is then drawn as where the move should end.
func Dashboards(goal *Goal) []Dashboard {
	out := []Dashboard{migrationDashboard(goal), waypointDashboard(), securityDashboard(), ztunnelDashboard()}
	for i := range out {
		for j := range out[i].Panels {
			for k := range out[i].Panels[j].Queries {
				q := &out[i].Panels[j].Queries[k]
				q.Expr = squeeze("%s", q.Expr)
			}
		}
	}
	return slices.Clip(out)
}
