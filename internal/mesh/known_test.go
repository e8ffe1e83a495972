package mesh

import "testing"

func TestUnknownToIstio(t *testing.T) {
	for name, want := range map[string]bool{
		"sidecar.istio.io/userVolume":                                 false,
		"sidecar.istio.io/user-volume":                                true,
		"istio.io/rev":                                                false,
		"istio.io/revision":                                           true,
		"readiness.status.sidecar.istio.io/applicationPorts":          false,
		"example.test/anything":                                       false,
		"notistio.io/anything":                                        false,
		"plain":                                                       false,
		"networking.istio.io/tunnel":                                  false,
		"traffic.sidecar.istio.io/excludeOutboundPort":                true,
		"traffic.sidecar.istio.io/excludeOutboundPorts":               false,
		"ambient.istio.io/redirection":                                false,
		"gateway.istio.io/defaults-for-class":                         false,
		"ambient.istio.io/xfcc-include-client-identity":               false,
		"proxy.istio.io/config":                                       false,
		"sidecar.istio.io/status":                                     false,
		"internal.istio.io/anything-that-is-not-in-the-published-api": false,
	} {
		if got := UnknownToIstio(name); got != want {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
}
