package mesh

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/sidestep-mesh/sidestep/internal/snapshot"
	"github.com/sidestep-mesh/sidestep/internal/snapshot/partial"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"
)

// ownSeries are the series that Istio's proxies write of requests, as Prometheus stores them. ztunnel writes
// istio_tcp_ series, so these go on (https://istio.io/latest/docs/reference/config/metrics/).
var ownSeries = []string{
	"istio_requests_total", "istio_request_messages_total", "istio_response_messages_total",
	"istio_request_duration_milliseconds_bucket", "istio_request_duration_milliseconds_sum", "istio_request_duration_milliseconds_count",
	"istio_request_bytes_bucket", "istio_request_bytes_sum", "istio_request_bytes_count",
	"istio_response_bytes_bucket", "istio_response_bytes_sum", "istio_response_bytes_count",
}

var (
	// proxyName finds a series of Istio's or Envoy's, by its own name or as a part of a name that was given to it; the
	// form with dots is Datadog's.
	proxyName = regexp.MustCompile(`(^|[^a-zA-Z])(istio_(request|response)[a-z_]*|envoy_[a-z_]+|istio\.mesh\.(request|response))`)
	// identifier is a name of a series, function or label in PromQL.
	identifier = regexp.MustCompile(`[a-zA-Z_:][a-zA-Z0-9_:]*`)
	// byPattern is a selector of series by a regular expression over their names.
	byPattern = regexp.MustCompile(`__name__\s*=~\s*"([^"]*)"`)
)

// proxySeries knows which names stand for series of a sidecar.
type proxySeries struct {
	// recorded are series that a PrometheusRule makes of a proxy's.
	recorded map[string]bool
	// adapted are names that a metrics adapter gives a proxy's series; patterns where the series is any of Envoy's.
	adapted  map[string]bool
	patterns []*regexp.Regexp
}

// proxySeries reads PrometheusRules and the configuration of metrics adapters.
func (m *Mesh) proxySeries() *proxySeries {
	s := &proxySeries{recorded: map[string]bool{}, adapted: map[string]bool{}}
	var rules []partial.PrometheusRuleItem
	eachRule(m, func(_ *partial.PrometheusRule, _ string, r partial.PrometheusRuleItem) { rules = append(rules, r) })
	for again := true; again; { // one recorded series may be made of another
		again = false
		for _, r := range rules {
			if r.Record != "" && !s.recorded[r.Record] && s.read(r.Expr.String()) {
				s.recorded[r.Record], again = true, true
			}
		}
	}
	for _, cm := range snapshot.All[*corev1.ConfigMap](m.Snapshot) {
		for _, text := range cm.Data {
			s.adapter(text)
		}
	}
	return s
}

func eachRule(m *Mesh, do func(o *partial.PrometheusRule, field string, r partial.PrometheusRuleItem)) {
	for _, o := range snapshot.All[*partial.PrometheusRule](m.Snapshot) {
		for i, g := range o.Spec.Groups {
			for k, r := range g.Rules {
				do(o, fmt.Sprintf("spec.groups[%d].rules[%d]", i, k), r)
			}
		}
	}
}

// SidecarAlerts returns the alerts of PrometheusRules that read series of sidecars.
func (m *Mesh) SidecarAlerts() []Evidence {
	s := m.proxySeries()
	var out []Evidence
	eachRule(m, func(o *partial.PrometheusRule, field string, r partial.PrometheusRuleItem) {
		if r.Alert != "" && s.read(r.Expr.String()) {
			out = append(out, evidence(refOf(kindPrometheusRule, o), field, r.Alert))
		}
	})
	return out
}

// read reports whether a query reads a proxy's series.
func (s *proxySeries) read(query string) bool {
	if proxyName.MatchString(query) {
		return true
	}
	for _, m := range byPattern.FindAllStringSubmatch(query, -1) {
		if p := anchored(m[1]); p != nil && slices.ContainsFunc(ownSeries, p.MatchString) {
			return true
		}
	}
	return slices.ContainsFunc(identifier.FindAllString(query, -1), func(name string) bool { return s.recorded[name] })
}

// named reports whether a metric of an autoscaler stands for a proxy's series. Beside what an adapter's configuration
// says, istio_ at the start is enough: names are chosen by people.
func (s *proxySeries) named(name string) bool {
	return strings.HasPrefix(name, "istio_") && !strings.HasPrefix(name, "istio_tcp_") ||
		s.read(name) || s.adapted[name] ||
		slices.ContainsFunc(s.patterns, func(p *regexp.Regexp) bool { return p.MatchString(name) })
}

// adapterRule is a rule of prometheus-adapter that gives series another name.
// https://github.com/kubernetes-sigs/prometheus-adapter/blob/master/docs/config.md
type adapterRule struct {
	SeriesQuery  string `json:"seriesQuery"`
	MetricsQuery string `json:"metricsQuery"`
	Name         struct {
		Matches string `json:"matches"`
		As      string `json:"as"`
	} `json:"name"`
}

func (s *proxySeries) adapter(text string) {
	if !strings.Contains(text, "seriesQuery") { // in an archive it may be JSON
		return
	}
	var doc struct{ Rules, ExternalRules []adapterRule }
	if yaml.Unmarshal([]byte(text), &doc) != nil {
		return // then its adapter does not start either
	}
	for _, r := range slices.Concat(doc.Rules, doc.ExternalRules) {
		s.rename(r)
	}
}

// rename adds the names that a rule gives to series of a proxy.
func (s *proxySeries) rename(r adapterRule) {
	matches, err := regexp.Compile(cmp.Or(r.Name.Matches, ".*")) // not anchored, and every match is replaced
	if err != nil {
		return // then its adapter does not start either
	}
	as := r.Name.As
	if as == "" { // one group stands for itself, otherwise the whole
		as = "$0"
		if matches.NumSubexp() == 1 {
			as = "$1"
		}
	}
	all := s.read(r.MetricsQuery)
	for _, series := range r.series() {
		if all || s.read(series) {
			s.adapted[matches.ReplaceAllString(series, as)] = true
		}
	}
	if m := byPattern.FindStringSubmatch(r.SeriesQuery); m != nil && strings.Contains(m[1], "envoy") && strings.Trim(groupName.ReplaceAllString(as, ""), "_") != "" {
		parts := groupName.Split(as, -1)
		for i := range parts {
			parts[i] = regexp.QuoteMeta(parts[i])
		}
		s.patterns = append(s.patterns, regexp.MustCompile("^"+strings.Join(parts, ".+")+"$"))
	}
}

// groupName is a group of a regular expression in a replacement.
var groupName = regexp.MustCompile(`\$\{?[0-9a-zA-Z]+\}?`)

// series returns the names that a rule's seriesQuery can find, as far as they matter here.
func (r *adapterRule) series() []string {
	if m := byPattern.FindStringSubmatch(r.SeriesQuery); m != nil {
		p := anchored(m[1])
		if p == nil {
			return nil
		}
		return slices.DeleteFunc(slices.Clone(ownSeries), func(name string) bool { return !p.MatchString(name) })
	}
	name, _, _ := strings.Cut(r.SeriesQuery, "{")
	if name = strings.TrimSpace(name); name != "" {
		return []string{name}
	}
	if m := byName.FindStringSubmatch(r.SeriesQuery); m != nil {
		return []string{m[1]}
	}
	return ownSeries
}

var byName = regexp.MustCompile(`__name__\s*=\s*"([^"]*)"`)

// anchored compiles a pattern as Prometheus does, nil if it is none.
func anchored(pattern string) *regexp.Regexp {
	p, err := regexp.Compile("^(?:" + pattern + ")$")
	if err != nil {
		return nil
	}
	return p
}
