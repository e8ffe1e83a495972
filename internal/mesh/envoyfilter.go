package mesh

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	apinetworking "istio.io/api/networking/v1alpha3"
	networkingv1alpha3 "istio.io/client-go/pkg/apis/networking/v1alpha3"

	"google.golang.org/protobuf/types/known/structpb"
)

// envoyFilterFeatures reads which sidecars' configuration an EnvoyFilter patches. Patches for gateways
// only do not concern a workload, and neither do those for proxies of a version that no sidecar here has.
func (b *builder) envoyFilterFeatures(p *Policy, o *networkingv1alpha3.EnvoyFilter) []found {
	g := gather{object: p.Ref}
	for i, c := range o.Spec.GetConfigPatches() {
		if c == nil || !b.runs(c.GetMatch().GetProxy().GetProxyVersion()) {
			continue
		}
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
		p.PatchesAuthz = p.PatchesAuthz || side != Outbound && patchesAuthz(c, words)
		if strings.Contains(words, xfccHeader) || strings.Contains(words, "forward_client_cert") {
			g.see(ForwardedClientCert, side, path+".patch.value", "")
		}
	}
	return g.list
}

// authzFilters are parts of the names of Envoy's filters and fields that decide who may do what.
var authzFilters = []string{"rbac", "ext_authz", "jwt_authn", "require_client_certificate"}

// patchesAuthz reports whether a patch touches what decides who may call. It may bring such a filter, change
// or remove one that its match names, or take away something that holds them all: a listener, a filter
// chain, the HTTP connection manager (pilot/pkg/networking/core/envoyfilter/listener_patch.go).
func patchesAuthz(c *apinetworking.EnvoyFilter_EnvoyConfigObjectPatch, words string) bool {
	namesOne := func(text string) bool {
		return slices.ContainsFunc(authzFilters, func(f string) bool { return strings.Contains(text, f) })
	}
	if namesOne(words) {
		return true
	}
	op := c.GetPatch().GetOperation()
	removes := op == apinetworking.EnvoyFilter_Patch_REMOVE || op == apinetworking.EnvoyFilter_Patch_REPLACE
	if !removes && op != apinetworking.EnvoyFilter_Patch_MERGE {
		return false
	}
	filter := c.GetMatch().GetListener().GetFilterChain().GetFilter()
	name, sub := strings.ToLower(filter.GetName()), strings.ToLower(filter.GetSubFilter().GetName())
	switch c.GetApplyTo() {
	case apinetworking.EnvoyFilter_HTTP_FILTER:
		return namesOne(sub) || removes && sub == "" // without a name it is about every HTTP filter
	case apinetworking.EnvoyFilter_NETWORK_FILTER:
		return namesOne(name) || removes && (name == "" || strings.Contains(name, "http_connection_manager"))
	case apinetworking.EnvoyFilter_LISTENER, apinetworking.EnvoyFilter_FILTER_CHAIN:
		return removes
	}
	return false
}

// maxProxyVersion is the length from which istiod takes a proxyVersion for one that matches no proxy
// (pilot/pkg/model/envoyfilter.go, maxProxyVersionLen).
const maxProxyVersion = 1024

// runs reports whether a sidecar of this mesh may have a version that a patch's proxyVersion matches:
// now, or when its pods are made anew. What cannot be told counts as yes.
func (b *builder) runs(pattern string) bool {
	if pattern == "" {
		return true
	}
	if len(pattern) > maxProxyVersion {
		return false
	}
	re, err := regexp.Compile(pattern)
	if err != nil {
		return true // istiod lets such a patch match every version
	}
	versions, all := b.proxyVersions()
	return !all || slices.ContainsFunc(versions, re.MatchString)
}

// patches bounds the patch releases that an Istio minor is taken to have had.
const patches = 40

// proxyVersions lists the versions that sidecars of this mesh have or would get, as istiod compares them:
// the whole version of those whose image tells, each patch release of a minor otherwise. It reports
// false where some version cannot be told at all.
func (b *builder) proxyVersions() ([]string, bool) {
	if b.versions != nil {
		return b.versions, b.versionsKnown
	}
	seen := map[string]bool{}
	b.versions, b.versionsKnown = []string{}, len(b.planes) > 0
	add := func(version string, minor int) {
		key := fmt.Sprint(version, "/", minor)
		switch {
		case seen[key]:
			return
		case version != "":
			b.versions = append(b.versions, version)
		case minor > 0:
			for i := range patches {
				b.versions = append(b.versions, fmt.Sprintf("1.%d.%d", minor, i))
			}
		default:
			b.versionsKnown = false
		}
		seen[key] = true
	}
	for _, c := range b.planes {
		add("", c.minor)
	}
	for _, w := range b.mesh.Workloads {
		if tag := w.Proxy.Version; w.Role == Application && w.Mode == Sidecar && tag != "" {
			add(wholeVersion.FindString(tag), minorOf(tag))
		}
	}
	return b.versions, b.versionsKnown
}

// wholeVersion finds the version at the start of an image tag.
var wholeVersion = regexp.MustCompile(`^\d+\.\d+\.\d+`)

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
