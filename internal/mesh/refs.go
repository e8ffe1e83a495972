package mesh

import "github.com/sidestep-mesh/sidestep/internal/snapshot"

// Kinds as Ref and snapshot.Knowledge name them.
var (
	kindNamespace = snapshot.Kind{Kind: "Namespace"}
	kindPod       = snapshot.Kind{Kind: "Pod"}
	kindService   = snapshot.Kind{Kind: "Service"}
	kindConfigMap = snapshot.Kind{Kind: "ConfigMap"}

	kindEndpointSlice = snapshot.Kind{Group: "discovery.k8s.io", Kind: "EndpointSlice"}

	kindIngress = snapshot.Kind{Group: "networking.k8s.io", Kind: "Ingress"}
	kindWebhook = snapshot.Kind{Group: "admissionregistration.k8s.io", Kind: "MutatingWebhookConfiguration"}

	kindGatewayClass     = snapshot.Kind{Group: "gateway.networking.k8s.io", Kind: "GatewayClass"}
	kindGateway          = snapshot.Kind{Group: "gateway.networking.k8s.io", Kind: "Gateway"}
	kindHTTPRoute        = snapshot.Kind{Group: "gateway.networking.k8s.io", Kind: "HTTPRoute"}
	kindGRPCRoute        = snapshot.Kind{Group: "gateway.networking.k8s.io", Kind: "GRPCRoute"}
	kindTCPRoute         = snapshot.Kind{Group: "gateway.networking.k8s.io", Kind: "TCPRoute"}
	kindBackendTLSPolicy = snapshot.Kind{Group: "gateway.networking.k8s.io", Kind: "BackendTLSPolicy"}
	kindTLSRoute         = snapshot.Kind{Group: "gateway.networking.k8s.io", Kind: "TLSRoute"}

	kindVirtualService  = snapshot.Kind{Group: "networking.istio.io", Kind: "VirtualService"}
	kindDestinationRule = snapshot.Kind{Group: "networking.istio.io", Kind: "DestinationRule"}
	kindServiceEntry    = snapshot.Kind{Group: "networking.istio.io", Kind: "ServiceEntry"}
	kindSidecar         = snapshot.Kind{Group: "networking.istio.io", Kind: "Sidecar"}
	kindEnvoyFilter     = snapshot.Kind{Group: "networking.istio.io", Kind: "EnvoyFilter"}
	kindProxyConfig     = snapshot.Kind{Group: "networking.istio.io", Kind: "ProxyConfig"}

	kindAuthorizationPolicy   = snapshot.Kind{Group: "security.istio.io", Kind: "AuthorizationPolicy"}
	kindRequestAuthentication = snapshot.Kind{Group: "security.istio.io", Kind: "RequestAuthentication"}
	kindPeerAuthentication    = snapshot.Kind{Group: "security.istio.io", Kind: "PeerAuthentication"}
	kindTelemetry             = snapshot.Kind{Group: "telemetry.istio.io", Kind: "Telemetry"}
	kindWasmPlugin            = snapshot.Kind{Group: "extensions.istio.io", Kind: "WasmPlugin"}
	kindTrafficExtension      = snapshot.Kind{Group: "extensions.istio.io", Kind: "TrafficExtension"}
)

// refOf names an object of a kind. Workload kinds and core kinds go without group, as Ref says.
func refOf(kind snapshot.Kind, o snapshot.Object) Ref {
	group := kind.Group
	switch group {
	case "apps", "batch":
		group = ""
	}
	return Ref{Group: group, Kind: kind.Kind, Namespace: o.GetNamespace(), Name: o.GetName()}
}

// maxValue bounds Evidence.Value: it is for a person to recognise the field, not to hold it.
const maxValue = 80

// evidence names a field of an object.
func evidence(object Ref, field, value string) Evidence {
	if len(value) > maxValue {
		cut := maxValue
		for cut > 0 && value[cut]&0xC0 == 0x80 { // not inside a UTF-8 sequence
			cut--
		}
		value = value[:cut] + "..."
	}
	return Evidence{Object: object, Field: field, Value: value}
}

func labelField(name string) string      { return "metadata.labels[" + name + "]" }
func annotationField(name string) string { return "metadata.annotations[" + name + "]" }
