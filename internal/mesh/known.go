package mesh

import (
	"strings"

	"istio.io/api/annotation"
	"istio.io/api/label"
)

// istioNames are the labels and annotations that Istio's API knows, and a few that its code or charts
// read besides.
var istioNames = func() map[string]bool {
	names := map[string]bool{
		LabelTunnel: true, LabelGatewayNameOld: true, LabelDefaultsForClass: true, AnnotationForwardClientIdentity: true,
	}
	for _, a := range annotation.AllResourceAnnotations() {
		names[a.Name] = true
	}
	for _, l := range label.AllResourceLabels() {
		names[l.Name] = true
	}
	return names
}()

// UnknownToIstio tells that a label or annotation is named in a domain of Istio's own, such as
// sidecar.istio.io, and that Istio knows no such name. Names below internal.istio.io are Istio's own
// affair, and those below readiness.status.sidecar.istio.io are many; neither counts as unknown.
func UnknownToIstio(name string) bool {
	domain, _, ok := strings.Cut(name, "/")
	if !ok || domain != "istio.io" && !strings.HasSuffix(domain, ".istio.io") || istioNames[name] {
		return false
	}
	return !strings.HasPrefix(domain, "readiness.status.") && domain != "internal.istio.io"
}
