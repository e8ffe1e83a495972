package mesh

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/sidestep-mesh/sidestep/internal/snapshot"
	networkingv1 "istio.io/client-go/pkg/apis/networking/v1"
	securityv1 "istio.io/client-go/pkg/apis/security/v1"
	"sigs.k8s.io/yaml"
)

// outsideSettings are the fields of meshConfig that change which calls are let through and that package authz does not
// model. Names with a dot are of an object within.
var outsideSettings = []string{
	"pathNormalization", "discoverySelectors", "defaultServiceExportTo", "defaultVirtualServiceExportTo", "serviceSettings",
	"serviceScopeConfigs", "outboundTrafficPolicy", "inboundTrafficPolicy", "caCertificates", "tlsDefaults", "meshMTLS",
	"extensionProviders", "protocolDetectionTimeout",
	"defaultConfig.gatewayTopology", "defaultConfig.proxyHeaders", "defaultConfig.interceptionMode", "defaultConfig.caCertificatesPem",
}

// readOutside keeps what a mesh configuration says outside the model. Which log or tracing backends there are among the
// extension providers is left out: they decide nothing.
func (b *builder) readOutside(revision, text string) {
	var config map[string]json.RawMessage
	if yaml.Unmarshal([]byte(text), &config) != nil {
		return // said where the configuration is read
	}
	where := "meshConfig"
	if revision != DefaultRevision {
		where += " of revision " + revision
	}
	for _, name := range outsideSettings {
		fields := config
		outer, inner, nested := strings.Cut(name, ".")
		if nested {
			fields = nil
			if json.Unmarshal(config[outer], &fields) != nil {
				continue
			}
		} else {
			inner = outer
		}
		value := string(fields[inner])
		if name == "extensionProviders" {
			value = authorizers(fields[inner])
		}
		if value != "" && value != "null" {
			b.outside(where+"."+name, value)
		}
	}
}

// authorizers are the extension providers that CUSTOM policies may name.
func authorizers(list json.RawMessage) string {
	var all, kept []map[string]any
	if json.Unmarshal(list, &all) != nil {
		return string(list)
	}
	for _, p := range all {
		if p["envoyExtAuthzHttp"] != nil || p["envoyExtAuthzGrpc"] != nil {
			kept = append(kept, p)
		}
	}
	text, err := json.Marshal(kept)
	if err != nil || len(kept) == 0 {
		return ""
	}
	return string(text)
}

// canonical is the text of settings in one order and without comments; what cannot be read is left as it is.
func canonical(settings string) string {
	out, err := yaml.YAMLToJSON([]byte(settings))
	if err != nil {
		return settings
	}
	return string(out)
}

func (b *builder) outside(what, value string) {
	if b.mesh.outside == nil {
		b.mesh.outside = map[string]string{}
	}
	b.mesh.outside[what] = value
}

// gatherOutside keeps what objects say outside the model: whom Services are exported to, which hosts a Sidecar knows, and
// how a gateway finds the client's address.
func (b *builder) gatherOutside() {
	for _, s := range b.mesh.Services {
		if s.ExportTo != nil {
			list := slices.Clone(s.ExportTo)
			slices.Sort(list)
			b.outside("exportTo of "+s.Ref.String(), "["+strings.Join(list, " ")+"]")
		}
	}
	for _, o := range snapshot.All[*networkingv1.Sidecar](b.snap) {
		var hosts []string
		for _, e := range o.Spec.GetEgress() {
			hosts = append(hosts, e.GetHosts()...)
		}
		slices.Sort(hosts)
		b.outside("the egress hosts of "+refOf(kindSidecar, o).String(), "["+strings.Join(hosts, " ")+"]")
		if len(o.Spec.GetIngress()) > 0 {
			// An ingress listener takes the place of those that istiod makes of Services, their protocol included
			// (pilot/pkg/networking/core/listener_inbound.go buildInboundChainConfigs).
			var listeners []string
			for _, l := range o.Spec.GetIngress() {
				listeners = append(listeners, l.String())
			}
			b.outside("the ingress listeners of "+refOf(kindSidecar, o).String(), strings.Join(listeners, " "))
		}
	}
	for _, o := range snapshot.All[*securityv1.RequestAuthentication](b.snap) {
		for i, rule := range o.Spec.GetJwtRules() {
			if claims := rule.GetSpaceDelimitedClaims(); len(claims) > 0 {
				// Which claims are split is one for both states of a comparison.
				b.outside(fmt.Sprintf("jwtRules[%d].spaceDelimitedClaims of %s", i, refOf(kindRequestAuthentication, o)), strings.Join(claims, " "))
			}
		}
	}
	planesDiffer := slices.ContainsFunc(b.planes, func(cp *controlPlane) bool { return canonical(cp.settings) != canonical(b.planes[0].settings) })
	for _, w := range b.mesh.Workloads {
		if planesDiffer && w.Mode == Sidecar && w.Role == Application {
			// One configuration stands for all: that of the primary control plane.
			b.outside("the control plane of "+w.Ref.String()+" (revisions have mesh configurations of their own)", w.Proxy.Revision)
		}
		if text := w.Annotations[AnnotationProxyConfig]; text != "" && w.Role == Gateway {
			b.outside("annotation "+AnnotationProxyConfig+" of "+w.Ref.String(), text)
		}
	}
}
