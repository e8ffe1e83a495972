package demo

import (
	"time"

	"github.com/sidestep-mesh/sidestep/internal/snapshot"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/structpb"
	extensions "istio.io/api/extensions/v1alpha1"
	networking "istio.io/api/networking/v1alpha3"
	extensionsv1alpha1 "istio.io/client-go/pkg/apis/extensions/v1alpha1"
	networkingv1 "istio.io/client-go/pkg/apis/networking/v1"
	networkingv1alpha3 "istio.io/client-go/pkg/apis/networking/v1alpha3"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// virtualService makes a VirtualService for the service's host.
func (s *service) virtualService(routes ...*networking.HTTPRoute) *networkingv1.VirtualService {
	vs := &networkingv1.VirtualService{ObjectMeta: s.meta(s.name)}
	vs.Spec.Hosts = []string{s.host()}
	vs.Spec.Http = routes
	return vs
}

func (s *service) destination(subset string, weight int32) *networking.HTTPRouteDestination {
	return &networking.HTTPRouteDestination{
		Destination: &networking.Destination{Host: s.host(), Subset: subset}, Weight: weight,
	}
}

// canary sends a tenth of the calls to version v2, which is a second Deployment.
func canary(s *service) []snapshot.Object {
	dr := &networkingv1.DestinationRule{ObjectMeta: s.meta(s.name)}
	dr.Spec.Host = s.host()
	for _, version := range []string{"v1", "v2"} {
		dr.Spec.Subsets = append(dr.Spec.Subsets, &networking.Subset{Name: version, Labels: map[string]string{"version": version}})
	}
	next := *s
	next.version, next.pods = "v2", max(1, s.pods/5)
	next.workload()
	return []snapshot.Object{dr, s.virtualService(&networking.HTTPRoute{
		Route: []*networking.HTTPRouteDestination{s.destination("v1", 90), s.destination("v2", 10)},
	})}
}

func retries(s *service) []snapshot.Object {
	return []snapshot.Object{s.virtualService(&networking.HTTPRoute{
		Route:   []*networking.HTTPRouteDestination{s.destination("", 0)},
		Timeout: durationpb.New(2 * time.Second),
		Retries: &networking.HTTPRetry{Attempts: 3, PerTryTimeout: durationpb.New(500 * time.Millisecond), RetryOn: "5xx,reset"},
	})}
}

func faultInjection(s *service) []snapshot.Object {
	return []snapshot.Object{s.virtualService(&networking.HTTPRoute{
		Fault: &networking.HTTPFaultInjection{Abort: &networking.HTTPFaultInjection_Abort{
			ErrorType:  &networking.HTTPFaultInjection_Abort_HttpStatus{HttpStatus: 503},
			Percentage: &networking.Percent{Value: 1},
		}},
		Route: []*networking.HTTPRouteDestination{s.destination("", 0)},
	})}
}

// sourceLabels routes by who calls, which only the caller's own sidecar can do.
func sourceLabels(s *service) []snapshot.Object {
	return []snapshot.Object{s.virtualService(
		&networking.HTTPRoute{
			Match:   []*networking.HTTPMatchRequest{{SourceLabels: map[string]string{"app": "tracking"}}},
			Route:   []*networking.HTTPRouteDestination{s.destination("", 0)},
			Timeout: durationpb.New(10 * time.Second),
		},
		&networking.HTTPRoute{Route: []*networking.HTTPRouteDestination{s.destination("", 0)}},
	)}
}

func sessionAffinity(s *service) []snapshot.Object {
	dr := &networkingv1.DestinationRule{ObjectMeta: s.meta(s.name)}
	dr.Spec.Host = s.host()
	dr.Spec.TrafficPolicy = &networking.TrafficPolicy{LoadBalancer: &networking.LoadBalancerSettings{
		LbPolicy: &networking.LoadBalancerSettings_ConsistentHash{ConsistentHash: &networking.LoadBalancerSettings_ConsistentHashLB{
			HashKey: &networking.LoadBalancerSettings_ConsistentHashLB_HttpHeaderName{HttpHeaderName: "x-session"},
		}},
	}}
	return []snapshot.Object{dr}
}

func httpRoute(s *service) []snapshot.Object {
	port := gatewayv1.PortNumber(80)
	group, kind := gatewayv1.Group(""), gatewayv1.Kind("Service")
	backend := gatewayv1.HTTPBackendRef{BackendRef: gatewayv1.BackendRef{BackendObjectReference: gatewayv1.BackendObjectReference{
		Name: gatewayv1.ObjectName(s.name), Port: &port}}}
	timeout := gatewayv1.Duration("3s")
	return []snapshot.Object{&gatewayv1.HTTPRoute{ObjectMeta: s.meta(s.name), Spec: gatewayv1.HTTPRouteSpec{
		CommonRouteSpec: gatewayv1.CommonRouteSpec{ParentRefs: []gatewayv1.ParentReference{{
			Group: &group, Kind: &kind, Name: gatewayv1.ObjectName(s.name), Port: &port}}},
		Rules: []gatewayv1.HTTPRouteRule{{
			Timeouts:    &gatewayv1.HTTPRouteTimeouts{Request: &timeout},
			BackendRefs: []gatewayv1.HTTPBackendRef{backend},
		}},
	}}}
}

// envoyFilter inserts a filter into the service's sidecars.
func (s *service) envoyFilter(name, filter string, config map[string]any) *networkingv1alpha3.EnvoyFilter {
	patch, err := structpb.NewStruct(map[string]any{"name": filter, "typed_config": config})
	if err != nil {
		panic("demo: " + err.Error()) // a constant of this file
	}
	ef := &networkingv1alpha3.EnvoyFilter{ObjectMeta: s.meta(name)}
	ef.Spec.WorkloadSelector = &networking.WorkloadSelector{Labels: map[string]string{"app": s.name}}
	ef.Spec.ConfigPatches = []*networking.EnvoyFilter_EnvoyConfigObjectPatch{{
		ApplyTo: networking.EnvoyFilter_HTTP_FILTER,
		Match: &networking.EnvoyFilter_EnvoyConfigObjectMatch{
			Context: networking.EnvoyFilter_SIDECAR_INBOUND,
		},
		Patch: &networking.EnvoyFilter_Patch{Operation: networking.EnvoyFilter_Patch_INSERT_BEFORE, Value: patch},
	}}
	return ef
}

func luaFilter(s *service) []snapshot.Object {
	return []snapshot.Object{s.envoyFilter(s.name+"-lua", "envoy.filters.http.lua", map[string]any{
		"@type":      "type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua",
		"inlineCode": "function envoy_on_request(handle) handle:headers():add('x-team', '" + s.team.name + "') end",
	})}
}

func rateLimitFilter(s *service) []snapshot.Object {
	return []snapshot.Object{s.envoyFilter(s.name+"-rate-limit", "envoy.filters.http.local_ratelimit", map[string]any{
		"@type":       "type.googleapis.com/envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit",
		"stat_prefix": "http_local_rate_limiter",
	})}
}

func wasmPlugin(s *service) []snapshot.Object {
	p := &extensionsv1alpha1.WasmPlugin{ObjectMeta: s.meta(s.name + "-wasm")}
	p.Spec.Selector = s.selector()
	p.Spec.Url = "oci://registry.example.com/filters/score:1.4"
	p.Spec.Phase = extensions.PluginPhase_AUTHN
	return []snapshot.Object{p}
}

func externalService(s *service) []snapshot.Object {
	se := &networkingv1.ServiceEntry{ObjectMeta: s.meta(s.name + "-upstream")}
	se.Spec.Hosts = []string{s.name + "." + s.team.name + ".example.com"}
	se.Spec.Location = networking.ServiceEntry_MESH_EXTERNAL
	se.Spec.Resolution = networking.ServiceEntry_DNS
	se.Spec.Ports = []*networking.ServicePort{{Number: 443, Name: "tls", Protocol: "TLS"}}
	return []snapshot.Object{se}
}

// virtualMachine is an agent outside the cluster that stands behind the service's name.
func virtualMachine(s *service) []snapshot.Object {
	labels := map[string]string{"app": s.name + "-vm"}
	group := &networkingv1.WorkloadGroup{ObjectMeta: s.meta(s.name + "-vm")}
	group.Spec.Metadata = &networking.WorkloadGroup_ObjectMeta{Labels: labels}
	group.Spec.Template = &networking.WorkloadEntry{ServiceAccount: s.name, Network: "datacentre"}
	entry := &networkingv1.WorkloadEntry{ObjectMeta: s.meta(s.name + "-vm-1")}
	entry.Spec.Address = "10.200.0.7"
	entry.Spec.Labels = labels
	entry.Spec.ServiceAccount = s.name
	se := &networkingv1.ServiceEntry{ObjectMeta: s.meta(s.name + "-vm")}
	se.Spec.Hosts = []string{s.name + "-vm." + s.team.name + ".svc.cluster.local"}
	se.Spec.Location = networking.ServiceEntry_MESH_INTERNAL
	se.Spec.Resolution = networking.ServiceEntry_STATIC
	se.Spec.Ports = []*networking.ServicePort{{Number: 8443, Name: "tcp-erp", Protocol: "TCP"}}
	se.Spec.WorkloadSelector = &networking.WorkloadSelector{Labels: labels}
	return []snapshot.Object{group, entry, se}
}

// registryOnly restricts what a namespace may call to what the mesh knows.
func registryOnly(namespace string) *networkingv1.Sidecar {
	sc := &networkingv1.Sidecar{ObjectMeta: metaIn(namespace, "default")}
	sc.Spec.OutboundTrafficPolicy = &networking.OutboundTrafficPolicy{Mode: networking.OutboundTrafficPolicy_REGISTRY_ONLY}
	sc.Spec.Egress = []*networking.IstioEgressListener{{Hosts: []string{"./*", "istio-system/*", "payments/*", "cart/*"}}}
	return sc
}
