package metric

import (
	"fmt"
	"regexp"
	"strings"
)

// selector finds names that may be series in PromQL outside of strings, with the brace that opens their matchers, if they have any.
var selector = regexp.MustCompile(`[a-zA-Z_:][a-zA-Z0-9_:]*(\s*\{)?`)

// Text renders the query, with the cluster's matcher in every selector where one is given.
func (m Metric) Text(p Params) string {
	text := m.Query(p)
	if p.Cluster == "" {
		return text
	}
	series := map[string]bool{p.LatencyMetric + "_bucket": true, p.LatencyMetric + "_count": true, p.LatencyMetric + "_sum": true, p.RequestsMetric: true}
	for _, s := range m.Series {
		series[s] = true
	}
	delete(series, "")
	var out strings.Builder
	for i, part := range strings.Split(text, `"`) { // odd parts are inside of quotes; no query of the catalogue escapes one
		if i > 0 {
			out.WriteByte('"')
		}
		if i%2 == 1 {
			out.WriteString(part)
			continue
		}
		out.WriteString(selector.ReplaceAllStringFunc(part, func(found string) string {
			name, braces := strings.CutSuffix(found, "{")
			name = strings.TrimSpace(name)
			switch {
			case !series[name]:
				return found
			case braces:
				return name + "{" + p.Cluster + ", "
			}
			return name + "{" + p.Cluster + "}"
		}))
	}
	return out.String()
}

// matcher is LABEL=VALUE.
var matcher = regexp.MustCompile(`^([a-zA-Z_][a-zA-Z0-9_]*)=(.+)$`)

// ClusterMatcher reads LABEL=VALUE.
func ClusterMatcher(text string) (string, error) {
	m := matcher.FindStringSubmatch(text)
	if m == nil || strings.ContainsAny(m[2], "\"\\\n") {
		return "", fmt.Errorf("%q: want LABEL=VALUE, such as cluster=prod", text)
	}
	return m[1] + `="` + m[2] + `"`, nil
}

// deduplicated takes one of the copies that a pair of Prometheus replicas writes, where the server does not do so itself (VictoriaMetrics, Mimir without its HA tracker, Thanos
// asked without deduplication): a sum would count them twice. Where no series has such a label it changes nothing.
func deduplicated(expr string) string {
	return "max without (prometheus_replica, __replica__, replica, receive_replica, rule_replica) (" + expr + ")"
}
