package mesh

import (
	"fmt"

	apitelemetry "istio.io/api/telemetry/v1alpha1"
	apitype "istio.io/api/type/v1beta1"
	telemetryv1 "istio.io/client-go/pkg/apis/telemetry/v1"
)

// telemetryFeatures reads what a Telemetry asks for. What only switches something off asks for nothing:
// neither ztunnel nor a missing waypoint brings it back (pilot/pkg/model/telemetry.go).
func telemetryFeatures(p *Policy, o *telemetryv1.Telemetry) []found {
	g := gather{object: p.Ref}
	for i, t := range o.Spec.GetTracing() {
		if t != nil && !t.GetDisableSpanReporting().GetValue() {
			g.see(Tracing, Both, fmt.Sprintf("spec.tracing[%d]", i), "")
		}
	}
	for i, m := range o.Spec.GetMetrics() {
		field := fmt.Sprintf("spec.metrics[%d]", i)
		if len(m.GetOverrides()) > 0 {
			field += ".overrides"
		}
		if m != nil && !onlyLess(m) {
			g.see(HTTPMetrics, Both, field, "")
		}
	}
	for i, l := range o.Spec.GetAccessLogging() {
		field := fmt.Sprintf("spec.accessLogging[%d]", i)
		if l == nil || l.GetDisabled().GetValue() {
			continue
		}
		if l.GetFilter() != nil {
			field += ".filter.expression"
		}
		g.see(AccessLogging, Both, field, l.GetFilter().GetExpression())
	}
	return g.list
}

// onlyLess reports whether an entry's overrides do no more than switch metrics off or take tags away.
func onlyLess(m *apitelemetry.Metrics) bool {
	for _, o := range m.GetOverrides() {
		if o.GetDisabled().GetValue() {
			continue
		}
		if len(o.GetTagOverrides()) == 0 {
			return false // it switches something on, or on again
		}
		for _, t := range o.GetTagOverrides() {
			if t.GetOperation() != apitelemetry.MetricsOverrides_TagOverride_REMOVE {
				return false
			}
		}
	}
	return len(m.GetOverrides()) > 0
}

// selectsMode is the match of a WasmPlugin or TrafficExtension.
type selectsMode interface {
	GetMode() apitype.WorkloadMode
}

// extensionFeatures reads on which calls an extension acts. A match that names the client's side, alone or
// with the server's, acts on calls that the workload makes: only a sidecar's outbound listeners count as CLIENT,
// and those of a waypoint as SERVER (pilot/pkg/model/extensions.go matchMode; networking/core/listener_waypoint.go).
// Without a match, or with one that gives no mode, an extension acts on both sides by default; what it is
// there for is then taken to be the calls that the workload receives, as the migration guide does.
func extensionFeatures[M selectsMode](f Feature, p *Policy, field, value string, match []M) []found {
	g := gather{object: p.Ref}
	server := len(match) == 0
	for i, m := range match {
		at := fmt.Sprintf("spec.match[%d].mode", i)
		switch mode := m.GetMode(); mode {
		case apitype.WorkloadMode_CLIENT:
			g.see(ClientExtension, Outbound, at, mode.String())
		case apitype.WorkloadMode_CLIENT_AND_SERVER:
			g.see(ClientExtension, Outbound, at, mode.String())
			server = true
		default:
			server = true
		}
	}
	if server {
		g.see(f, Both, field, value)
	}
	return g.list
}
