package snapshot

import (
	"google.golang.org/protobuf/types/known/structpb"
	networkingapi "istio.io/api/networking/v1"
	extensionsv1alpha1 "istio.io/client-go/pkg/apis/extensions/v1alpha1"
	networkingv1 "istio.io/client-go/pkg/apis/networking/v1"
	networkingv1alpha3 "istio.io/client-go/pkg/apis/networking/v1alpha3"
	networkingv1beta1 "istio.io/client-go/pkg/apis/networking/v1beta1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// stripExtensions takes out the secrets that routes and extensions carry: the values of headers that a proxy sets, and the
// settings of plugins and filters, where the name of the header or the setting is that of a secret.
func stripExtensions(o Object) {
	switch o := o.(type) {
	case *networkingv1.VirtualService:
		for _, r := range o.Spec.GetHttp() {
			stripHeaders(r.GetHeaders())
			for _, d := range r.GetRoute() {
				stripHeaders(d.GetHeaders())
			}
		}
	case *gatewayv1.HTTPRoute:
		for i := range o.Spec.Rules {
			stripFilters(o.Spec.Rules[i].Filters)
			for j := range o.Spec.Rules[i].BackendRefs {
				stripFilters(o.Spec.Rules[i].BackendRefs[j].Filters)
			}
		}
	case *gatewayv1.GRPCRoute:
		for i := range o.Spec.Rules {
			for _, f := range o.Spec.Rules[i].Filters {
				stripModifiers(f.RequestHeaderModifier, f.ResponseHeaderModifier)
			}
			for _, ref := range o.Spec.Rules[i].BackendRefs {
				for _, f := range ref.Filters {
					stripModifiers(f.RequestHeaderModifier, f.ResponseHeaderModifier)
				}
			}
		}
	case *extensionsv1alpha1.WasmPlugin:
		stripStruct(o.Spec.GetPluginConfig(), false)
		for _, e := range o.Spec.GetVmConfig().GetEnv() {
			e.Value = variable(e.Name, e.Value)
		}
	case *extensionsv1alpha1.TrafficExtension:
		stripStruct(o.Spec.GetWasm().GetPluginConfig(), false)
		for _, e := range o.Spec.GetWasm().GetVmConfig().GetEnv() {
			e.Value = variable(e.Name, e.Value)
		}
	case *networkingv1alpha3.EnvoyFilter:
		for _, p := range o.Spec.GetConfigPatches() {
			stripStruct(p.GetPatch().GetValue(), false)
		}
	case *networkingv1beta1.ProxyConfig:
		for k, v := range o.Spec.GetEnvironmentVariables() {
			o.Spec.EnvironmentVariables[k] = variable(k, v)
		}
	}
}

func stripHeaders(h *networkingapi.Headers) {
	for _, ops := range []*networkingapi.Headers_HeaderOperations{h.GetRequest(), h.GetResponse()} {
		for _, values := range []map[string]string{ops.GetSet(), ops.GetAdd()} {
			for name, v := range values {
				values[name] = header(name, v)
			}
		}
	}
}

// header is the value of a header that a proxy sets.
func header(name, value string) string {
	if IsSensitive(name) && !plainValue.MatchString(value) {
		return HiddenValue
	}
	return Scrub(value)
}

func stripFilters(filters []gatewayv1.HTTPRouteFilter) {
	for _, f := range filters {
		stripModifiers(f.RequestHeaderModifier, f.ResponseHeaderModifier)
	}
}

func stripModifiers(modifiers ...*gatewayv1.HTTPHeaderFilter) {
	for _, m := range modifiers {
		if m == nil {
			continue
		}
		for _, list := range [][]gatewayv1.HTTPHeader{m.Set, m.Add} {
			for i := range list {
				list[i].Value = header(string(list[i].Name), list[i].Value)
			}
		}
	}
}

// stripStruct is stripSettings of a protobuf Struct. hidden tells that it belongs to a setting with the name of a secret.
func stripStruct(s *structpb.Struct, hidden bool) {
	named := s.GetFields()["name"].GetStringValue()
	if key := s.GetFields()["key"].GetStringValue(); named == "" {
		named = key // an Envoy header: {key: authorization, value: ...}
	}
	for k, v := range s.GetFields() {
		stripValue(v, hidden || IsSensitive(k) || k == "value" && IsSensitive(named))
	}
}

func stripValue(v *structpb.Value, hidden bool) {
	switch kind := v.GetKind().(type) {
	case *structpb.Value_StringValue:
		if hidden && !plainValue.MatchString(kind.StringValue) {
			kind.StringValue = HiddenValue
		} else {
			kind.StringValue = Scrub(kind.StringValue)
		}
	case *structpb.Value_StructValue:
		stripStruct(kind.StructValue, hidden)
	case *structpb.Value_ListValue:
		for _, item := range kind.ListValue.GetValues() {
			stripValue(item, hidden)
		}
	}
}
