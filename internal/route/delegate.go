package route

import (
	"fmt"
	"maps"
	"strings"

	apinetworking "istio.io/api/networking/v1alpha3"
	networkingv1 "istio.io/client-go/pkg/apis/networking/v1"
)

// A root VirtualService hands one path to a delegate, whose routes take its place: each with both matches, and with
// the root's settings where it has none (pilot/pkg/model/virtualservice.go MergeHTTPRoutes). A delegate that is not
// there, or not visible to the root's namespace, leaves nothing.

func (c *compiler) delegate(v *virtual, root *networkingv1.VirtualService, h *apinetworking.HTTPRoute, at Origin) {
	ns := h.GetDelegate().GetNamespace()
	if ns == "" {
		ns = root.Namespace
	}
	d := c.delegates[ns+"/"+h.GetDelegate().GetName()]
	field := Origin{at.Object, at.Field + ".delegate"}
	if d == nil {
		c.problem(field, "the delegate %s/%s does not exist or has hosts of its own: calls that match fall to the next route", ns, h.GetDelegate().GetName())
		return
	}
	list := d.Spec.GetExportTo()
	if len(list) == 0 {
		list = c.cfg.VirtualServiceExportTo
	}
	if !exported(list, d.Namespace, root.Namespace) {
		c.problem(field, "the delegate %s/%s is not exported to namespace %s: calls that match fall to the next route", ns, d.Name, root.Namespace)
		return
	}
	ref := virtualServiceRef(d)
	for j, sub := range d.Spec.GetHttp() {
		if sub.GetDelegate() != nil {
			continue // a delegate cannot delegate further
		}
		inner := Origin{ref, fmt.Sprintf("spec.http[%d]", j)}
		merged, ok := c.mergeRoutes(h, sub, root.Namespace, d.Namespace)
		if !ok {
			c.problem(inner, "its match lies outside of the root's, %s: istiod leaves the route out", at)
			continue
		}
		fields := map[Part]Origin{}
		for part, set := range settings(sub) {
			if !set {
				fields[part] = at
			}
		}
		c.addHTTP(v, merged, inner, fields)
	}
}

// settings says which parts a route sets.
func settings(h *apinetworking.HTTPRoute) map[Part]bool {
	return map[Part]bool{
		PartRewrite: h.GetRewrite() != nil, PartAnswer: h.GetDirectResponse() != nil || h.GetRedirect() != nil,
		PartTimeout: h.GetTimeout() != nil, PartRetries: h.GetRetries() != nil, PartFault: h.GetFault() != nil,
		PartMirror: h.GetMirror() != nil || h.GetMirrors() != nil, PartCORS: h.GetCorsPolicy() != nil, PartHeaders: h.GetHeaders() != nil,
	}
}

// mergeRoutes puts a delegate's route under its root's.
func (c *compiler) mergeRoutes(root, sub *apinetworking.HTTPRoute, rootNS, subNS string) (*apinetworking.HTTPRoute, bool) {
	r, out := c.completed(root, rootNS), c.completed(sub, subNS)
	var ok bool
	if out.Match, ok = mergeMatches(r.GetMatch(), out.GetMatch()); !ok {
		return nil, false
	}
	if out.Rewrite == nil {
		out.Rewrite = r.Rewrite
	}
	if out.DirectResponse == nil {
		out.DirectResponse = r.DirectResponse
	}
	if out.Timeout == nil {
		out.Timeout = r.Timeout
	}
	if out.Retries == nil {
		out.Retries = r.Retries
	}
	if out.Fault == nil {
		out.Fault = r.Fault
	}
	if out.Mirror == nil {
		out.Mirror = r.Mirror
	}
	if out.MirrorPercent == nil { //nolint:staticcheck // deprecated and still read
		out.MirrorPercent = r.MirrorPercent //nolint:staticcheck // as above
	}
	if out.MirrorPercentage == nil {
		out.MirrorPercentage = r.MirrorPercentage
	}
	if out.CorsPolicy == nil {
		out.CorsPolicy = r.CorsPolicy
	}
	if out.Mirrors == nil {
		out.Mirrors = r.Mirrors
	}
	if out.Headers == nil {
		out.Headers = r.Headers
	}
	return out, true
}

// mergeMatches joins every match of the delegate with the root's that cover it; false where one has none.
func mergeMatches(root, sub []*apinetworking.HTTPMatchRequest) ([]*apinetworking.HTTPMatchRequest, bool) {
	switch {
	case len(root) == 0:
		return sub, true
	case len(sub) == 0:
		return root, true
	}
	var out []*apinetworking.HTTPMatchRequest
	for _, s := range sub {
		found := false
		for _, r := range root {
			if !matchesConflict(r, s) {
				out, found = append(out, mergeMatch(r, s)), true
			}
		}
		if !found {
			return nil, false
		}
	}
	return out, true
}

func mergeMatch(r, s *apinetworking.HTTPMatchRequest) *apinetworking.HTTPMatchRequest {
	out := s.DeepCopy()
	if out.Uri == nil {
		out.Uri = r.Uri
	}
	if out.Scheme == nil {
		out.Scheme = r.Scheme
	}
	if out.Method == nil {
		out.Method = r.Method
	}
	if out.Authority == nil {
		out.Authority = r.Authority
	}
	out.Headers = under(r.Headers, out.Headers)
	out.WithoutHeaders = under(r.WithoutHeaders, out.WithoutHeaders)
	out.QueryParams = under(r.QueryParams, out.QueryParams)
	out.SourceLabels = under(r.SourceLabels, out.SourceLabels)
	if out.Port == 0 {
		out.Port = r.Port
	}
	if out.SourceNamespace == "" {
		out.SourceNamespace = r.SourceNamespace
	}
	if len(out.Gateways) == 0 {
		out.Gateways = r.Gateways
	}
	return out
}

// under lays one map over another.
func under[V any](base, over map[string]V) map[string]V {
	if len(base) == 0 {
		return over
	}
	out := maps.Clone(base)
	maps.Copy(out, over)
	return out
}

func matchesConflict(r, s *apinetworking.HTTPMatchRequest) bool {
	for _, pair := range [][2]*apinetworking.StringMatch{{r.Uri, s.Uri}, {r.Scheme, s.Scheme}, {r.Method, s.Method}, {r.Authority, s.Authority}} {
		if stringsConflict(pair[0], pair[1]) {
			return true
		}
	}
	for _, pair := range [][2]map[string]*apinetworking.StringMatch{{r.Headers, s.Headers}, {r.WithoutHeaders, s.WithoutHeaders}, {r.QueryParams, s.QueryParams}} {
		for name, m := range pair[1] {
			if stringsConflict(pair[0][name], m) {
				return true
			}
		}
	}
	if r.IgnoreUriCase != s.IgnoreUriCase || r.Port > 0 && s.Port > 0 && r.Port != s.Port || r.SourceNamespace != "" && s.SourceNamespace != r.SourceNamespace {
		return true
	}
	for name, value := range s.SourceLabels {
		if own, ok := r.SourceLabels[name]; ok && own != value {
			return true
		}
	}
	if len(r.Gateways) == 0 || len(s.Gateways) == 0 {
		return false
	}
	if len(r.Gateways) < len(s.Gateways) {
		return true
	}
	own := map[string]bool{}
	for _, g := range r.Gateways {
		own[g] = true
	}
	for _, g := range s.Gateways {
		if !own[g] {
			return true
		}
	}
	return false
}

// stringsConflict reports whether the delegate's value is not one that the root covers, as istiod judges it.
func stringsConflict(root, sub *apinetworking.StringMatch) bool {
	if root == nil || sub == nil {
		return false
	}
	set := func(m *apinetworking.StringMatch) bool {
		return m.GetExact() != "" || m.GetPrefix() != "" || m.GetRegex() != ""
	}
	switch {
	case root.GetRegex() != "" && set(sub), sub.GetRegex() != "" && set(root):
		return true
	case root.GetExact() != "":
		return sub.GetPrefix() != "" || sub.GetExact() != root.GetExact()
	case root.GetPrefix() != "" && sub.GetPrefix() != "":
		return !strings.HasPrefix(sub.GetPrefix(), root.GetPrefix())
	case root.GetPrefix() != "" && sub.GetExact() != "":
		return !strings.HasPrefix(sub.GetExact(), root.GetPrefix())
	}
	return true
}
