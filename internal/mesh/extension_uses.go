package mesh

import (
	"fmt"
	"strings"

	apinetworking "istio.io/api/networking/v1alpha3"
	networkingv1alpha3 "istio.io/client-go/pkg/apis/networking/v1alpha3"
	telemetryv1 "istio.io/client-go/pkg/apis/telemetry/v1"

	"google.golang.org/protobuf/types/known/structpb"
)

// telemetryFeatures reads what a Telemetry turns on or changes.
func telemetryFeatures(p *Policy, o *telemetryv1.Telemetry) []found {
	g := gather{object: p.Ref}
	for i := range o.Spec.GetTracing() {
		g.see(Tracing, Both, fmt.Sprintf("spec.tracing[%d]", i), "")
	}
	for i, m := range o.Spec.GetMetrics() {
		if len(m.GetOverrides()) > 0 {
			g.see(HTTPMetrics, Both, fmt.Sprintf("spec.metrics[%d].overrides", i), "")
		} else {
			g.see(HTTPMetrics, Both, fmt.Sprintf("spec.metrics[%d]", i), "")
		}
	}
	for i, l := range o.Spec.GetAccessLogging() {
		field := fmt.Sprintf("spec.accessLogging[%d]", i)
		if l.GetFilter() != nil {
			field += ".filter.expression"
		}
		g.see(AccessLogging, Both, field, l.GetFilter().GetExpression())
	}
	return g.list
}

// authzFilters are parts of the names of Envoy's filters that decide who may do what.
var authzFilters = []string{"rbac", "ext_authz", "jwt_authn"}

// envoyFilterFeatures reads which sidecars' configuration an EnvoyFilter patches. Patches for gateways
// only do not concern a workload.
func envoyFilterFeatures(p *Policy, o *networkingv1alpha3.EnvoyFilter) []found {
	g := gather{object: p.Ref}
	for i, c := range o.Spec.GetConfigPatches() {
		side := Both
		switch c.GetMatch().GetContext() {
		case apinetworking.EnvoyFilter_GATEWAY, apinetworking.EnvoyFilter_WAYPOINT:
			continue
		case apinetworking.EnvoyFilter_SIDECAR_INBOUND:
			side = Inbound
		case apinetworking.EnvoyFilter_SIDECAR_OUTBOUND:
			side = Outbound
		}
		path := fmt.Sprintf("spec.configPatches[%d]", i)
		g.see(EnvoyFilter, side, path+".applyTo", c.GetApplyTo().String())
		words := structWords(c.GetPatch().GetValue())
		if strings.Contains(words, "ratelimit") || strings.Contains(words, "rate_limit") {
			g.see(RateLimit, side, path+".patch.value", "")
		}
		for _, filter := range authzFilters {
			p.PatchesAuthz = p.PatchesAuthz || strings.Contains(words, filter)
		}
		if strings.Contains(words, xfccHeader) || strings.Contains(words, "forward_client_cert") {
			g.see(ForwardedClientCert, side, path+".patch.value", "")
		}
	}
	return g.list
}

// structWords joins the keys and strings of a patch in lower case, to look for names in it.
func structWords(s *structpb.Struct) string {
	var b strings.Builder
	var walk func(v *structpb.Value)
	walkStruct := func(s *structpb.Struct) {
		for k, v := range s.GetFields() {
			b.WriteString(strings.ToLower(k))
			b.WriteByte('\n')
			walk(v)
		}
	}
	walk = func(v *structpb.Value) {
		switch k := v.GetKind().(type) {
		case *structpb.Value_StringValue:
			b.WriteString(strings.ToLower(k.StringValue))
			b.WriteByte('\n')
		case *structpb.Value_StructValue:
			walkStruct(k.StructValue)
		case *structpb.Value_ListValue:
			for _, e := range k.ListValue.GetValues() {
				walk(e)
			}
		}
	}
	walkStruct(s)
	return b.String()
}
