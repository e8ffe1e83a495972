package route

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	apinetworking "istio.io/api/networking/v1alpha3"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// istiod makes VirtualServices of Gateway API routes whose parent is a Service or ServiceEntry: one for each
// namespace of a route, port of the parentRef and host. Routes that meet there are merged, the oldest first, and sorted
// by how specific their matches are (pilot/pkg/config/kube/gateway/route_collections.go and conversion.go).

const gatewayGroup = "gateway.networking.k8s.io"

// meshParent is a parentRef that names a Service or ServiceEntry.
type meshParent struct {
	service *Service
	port    uint32
	ref     Ref
	field   string
}

// parents resolves the parentRefs of a route that are Services or ServiceEntries; the others act at gateways.
func (c *compiler) parents(route Ref, list []gatewayv1.ParentReference) []meshParent {
	var out []meshParent
	for i, p := range list {
		ref := Ref{Group: gatewayGroup, Kind: "Gateway", Namespace: route.Namespace, Name: string(p.Name)}
		if p.Group != nil {
			ref.Group = string(*p.Group)
		}
		if p.Kind != nil {
			ref.Kind = string(*p.Kind)
		}
		if p.Namespace != nil {
			ref.Namespace = string(*p.Namespace)
		}
		switch {
		case ref.Kind == "Service" && (ref.Group == "" || ref.Group == "core"):
			ref.Group = ""
		case ref.Kind == "ServiceEntry" && ref.Group == istioGroup:
		default:
			continue
		}
		m := meshParent{service: c.services[ref], ref: ref, field: fmt.Sprintf("spec.parentRefs[%d]", i)}
		if p.Port != nil {
			m.port = uint32(*p.Port)
		}
		if m.service == nil {
			c.problem(Origin{route, m.field}, "there is no %s: the route has no effect there", ref)
			continue
		}
		out = append(out, m)
	}
	return out
}

// meshKey tells the VirtualServices apart that routes are merged into.
type meshKey struct {
	namespace string
	port      uint32
	host      string
}

// converted is one rule of one route with its one match.
type converted struct {
	route  *apinetworking.HTTPRoute
	origin Origin
	fields map[Part]Origin
}

type routeMeta struct {
	ref     Ref
	created time.Time
}

func (c *compiler) gatewayRoutes(in Input) {
	merged := map[meshKey][]converted{}
	first := map[meshKey]routeMeta{}
	var order []meshKey
	add := func(o metav1.Object, kind string, parents []gatewayv1.ParentReference, rules []converted) {
		meta := routeMeta{refTo(gatewayGroup, kind, o), o.GetCreationTimestamp().Time}
		sortConverted(rules)
		for _, p := range c.parents(meta.ref, parents) {
			for _, host := range p.service.Hosts {
				k := meshKey{o.GetNamespace(), p.port, host}
				if _, ok := first[k]; !ok {
					first[k] = meta
					order = append(order, k)
				}
				merged[k] = append(merged[k], rules...)
			}
		}
	}
	// HTTPRoutes and GRPCRoutes of one host are merged together.
	type source struct {
		object  metav1.Object
		kind    string
		parents []gatewayv1.ParentReference
		rules   func() []converted
	}
	var all []source
	for _, o := range in.HTTPRoutes {
		all = append(all, source{o, "HTTPRoute", o.Spec.ParentRefs, func() []converted { return c.httpRoute(o) }})
	}
	for _, o := range in.GRPCRoutes {
		all = append(all, source{o, "GRPCRoute", o.Spec.ParentRefs, func() []converted { return c.grpcRoute(o) }})
	}
	slices.SortStableFunc(all, func(a, b source) int { return older(a.object, b.object) })
	for _, s := range all {
		add(s.object, s.kind, s.parents, s.rules())
	}
	for _, k := range order {
		rules := merged[k]
		sortConverted(rules)
		c.addMeshVirtual(k, first[k], rules)
	}
	c.connectionRoutes(in)
}

// older sorts by age, then by namespace and name.
func older(a, b metav1.Object) int {
	return cmp.Or(a.GetCreationTimestamp().Time.Compare(b.GetCreationTimestamp().Time),
		strings.Compare(a.GetNamespace(), b.GetNamespace()), strings.Compare(a.GetName(), b.GetName()))
}

func (c *compiler) addMeshVirtual(k meshKey, meta routeMeta, rules []converted) {
	if len(rules) == 0 {
		return
	}
	key := k.namespace
	if k.port != 0 {
		key += fmt.Sprintf("/%d", k.port)
	}
	v := &virtual{origin: meta.ref, namespace: k.namespace, name: strings.ReplaceAll(key+"/"+k.host, "/", "~"), created: meta.created,
		hosts: []string{k.host}, gateways: []string{meshGateway}, gatewayAPI: true, hasHTTP: true}
	for _, r := range rules {
		h := r.route
		if k.port != 0 {
			h = h.DeepCopy()
			for _, m := range h.Match {
				m.Port = k.port
			}
			if len(h.Match) == 0 {
				h.Match = []*apinetworking.HTTPMatchRequest{{Port: k.port}}
			}
		}
		n := len(v.http)
		c.addHTTP(v, h, r.origin, r.fields)
		for i := n; i < len(v.http); i++ {
			v.http[i].matchOrigin = Origin{r.origin.Object, r.origin.Field + ".matches"}
		}
	}
	c.out.virtuals = append(c.out.virtuals, v)
}

// sortConverted puts the more specific matches first (conversion.go sortHTTPRoutes).
func sortConverted(rules []converted) {
	rank := func(m *apinetworking.HTTPMatchRequest) (kind, length int) {
		switch u := m.GetUri().GetMatchType().(type) {
		case *apinetworking.StringMatch_Exact:
			return 3, len(u.Exact)
		case *apinetworking.StringMatch_Prefix:
			return 2, len(u.Prefix)
		case *apinetworking.StringMatch_Regex:
			return 1, len(u.Regex)
		}
		return -1, 0
	}
	has := func(m *apinetworking.StringMatch) int {
		if m != nil {
			return 1
		}
		return 0
	}
	slices.SortStableFunc(rules, func(a, b converted) int {
		if len(a.route.Match) == 0 || len(b.route.Match) == 0 {
			return len(b.route.Match) - len(a.route.Match)
		}
		x, y := a.route.Match[0], b.route.Match[0]
		xk, xl := rank(x)
		yk, yl := rank(y)
		return cmp.Or(yk-xk, yl-xl, has(y.Method)-has(x.Method), len(y.Headers)-len(x.Headers), len(y.QueryParams)-len(x.QueryParams))
	})
}

// httpRoute converts the rules of an HTTPRoute, one for each match. A rule that istiod cannot convert is left out
// with the rest of the object (computeRoute stops at the first such error).
func (c *compiler) httpRoute(o *gatewayv1.HTTPRoute) []converted {
	ref := refTo(gatewayGroup, "HTTPRoute", o)
	var out []converted
	for i := range o.Spec.Rules {
		rule := &o.Spec.Rules[i]
		at := Origin{ref, fmt.Sprintf("spec.rules[%d]", i)}
		h, fields, ok := c.httpRouteRule(rule, o.Namespace, at)
		if !ok {
			return nil
		}
		matches := rule.Matches
		if len(matches) == 0 { // the API server writes the default, the prefix /
			matches = []gatewayv1.HTTPRouteMatch{{}}
		}
		for _, m := range matches {
			one := h.DeepCopy()
			one.Match = []*apinetworking.HTTPMatchRequest{httpRouteMatch(m)}
			out = append(out, converted{one, at, fields})
		}
	}
	return out
}

func httpRouteMatch(m gatewayv1.HTTPRouteMatch) *apinetworking.HTTPMatchRequest {
	out := &apinetworking.HTTPMatchRequest{Uri: prefix("/")}
	if m.Path != nil {
		value := "/"
		if m.Path.Value != nil {
			value = *m.Path.Value
		}
		kind := gatewayv1.PathMatchPathPrefix
		if m.Path.Type != nil {
			kind = *m.Path.Type
		}
		switch kind {
		case gatewayv1.PathMatchExact:
			out.Uri = exact(value)
		case gatewayv1.PathMatchRegularExpression:
			out.Uri = regex(value)
		default:
			if value != "/" {
				value = strings.TrimSuffix(value, "/")
			}
			out.Uri = prefix(value)
		}
	}
	for _, h := range m.Headers {
		if out.Headers == nil {
			out.Headers = map[string]*apinetworking.StringMatch{}
		}
		out.Headers[string(h.Name)] = exactOr(h.Type != nil && *h.Type == gatewayv1.HeaderMatchRegularExpression, h.Value)
	}
	for _, q := range m.QueryParams {
		if out.QueryParams == nil {
			out.QueryParams = map[string]*apinetworking.StringMatch{}
		}
		out.QueryParams[string(q.Name)] = exactOr(q.Type != nil && *q.Type == gatewayv1.QueryParamMatchRegularExpression, q.Value)
	}
	if m.Method != nil {
		out.Method = exact(string(*m.Method))
	}
	return out
}

func exact(s string) *apinetworking.StringMatch {
	return &apinetworking.StringMatch{MatchType: &apinetworking.StringMatch_Exact{Exact: s}}
}
func prefix(s string) *apinetworking.StringMatch {
	return &apinetworking.StringMatch{MatchType: &apinetworking.StringMatch_Prefix{Prefix: s}}
}
func regex(s string) *apinetworking.StringMatch {
	return &apinetworking.StringMatch{MatchType: &apinetworking.StringMatch_Regex{Regex: s}}
}
func exactOr(isRegex bool, s string) *apinetworking.StringMatch {
	if isRegex {
		return regex(s)
	}
	return exact(s)
}

// httpRouteRule converts what a rule does.
func (c *compiler) httpRouteRule(rule *gatewayv1.HTTPRouteRule, namespace string, at Origin) (*apinetworking.HTTPRoute, map[Part]Origin, bool) {
	h := &apinetworking.HTTPRoute{}
	fields := map[Part]Origin{}
	note := func(p Part, field string) { fields[p] = Origin{at.Object, at.Field + "." + field} }
	for i, f := range rule.Filters {
		field := fmt.Sprintf("filters[%d]", i)
		switch f.Type {
		case gatewayv1.HTTPRouteFilterRequestHeaderModifier:
			headersOf(h).Request = headerOps(f.RequestHeaderModifier)
			note(PartHeaders, field)
		case gatewayv1.HTTPRouteFilterResponseHeaderModifier:
			headersOf(h).Response = headerOps(f.ResponseHeaderModifier)
			note(PartHeaders, field)
		case gatewayv1.HTTPRouteFilterRequestRedirect:
			h.Redirect = redirectFilter(f.RequestRedirect)
			note(PartAnswer, field)
		case gatewayv1.HTTPRouteFilterRequestMirror:
			c.mirrorFilter(h, f.RequestMirror, namespace, Origin{at.Object, at.Field + "." + field})
			note(PartMirror, field)
		case gatewayv1.HTTPRouteFilterURLRewrite:
			h.Rewrite = rewriteFilter(f.URLRewrite)
			note(PartRewrite, field)
		case gatewayv1.HTTPRouteFilterCORS:
			h.CorsPolicy = corsFilter(f.CORS)
			note(PartCORS, field)
		default:
			c.problem(Origin{at.Object, at.Field + "." + field}, "istiod knows no filter of type %s: the whole route is refused", f.Type)
			return nil, nil, false
		}
	}
	if rule.Retry != nil {
		h.Retries = retryOf(rule.Retry)
		note(PartRetries, "retry")
	}
	if t := rule.Timeouts; t != nil {
		timeoutsOf(h, t)
		note(PartTimeout, "timeouts")
	}
	if rule.SessionPersistence != nil {
		c.problem(Origin{at.Object, at.Field + ".sessionPersistence"}, "istiod does not read sessionPersistence: calls are not kept together")
	}
	var refs []backend
	for i, b := range rule.BackendRefs {
		r := backend{ref: b.BackendRef, field: fmt.Sprintf("%s.backendRefs[%d]", at.Field, i)}
		for _, f := range b.Filters {
			if f.Type == gatewayv1.HTTPRouteFilterRequestHeaderModifier || f.Type == gatewayv1.HTTPRouteFilterResponseHeaderModifier {
				r.filters = append(r.filters, f)
				continue
			}
			c.problem(Origin{at.Object, r.field + ".filters"}, "istiod knows no filter of type %s at a backendRef: the whole route is refused", f.Type)
			return nil, nil, false
		}
		refs = append(refs, r)
	}
	note(PartDestination, "backendRefs")
	note(PartSplit, "backendRefs")
	return h, fields, c.backends(h, refs, namespace, at, h.Redirect != nil)
}

// backend is one backendRef with its filters.
type backend struct {
	ref     gatewayv1.BackendRef
	field   string
	filters []gatewayv1.HTTPRouteFilter
}

// backends fills the destinations. Without any of positive weight every call is answered with 500, as the
// Gateway API asks; what names a Service that does not exist gets its share and fails.
func (c *compiler) backends(h *apinetworking.HTTPRoute, refs []backend, namespace string, at Origin, redirected bool) bool {
	var live []backend
	for _, r := range refs {
		if r.ref.Weight == nil || *r.ref.Weight > 0 {
			live = append(live, r)
		}
	}
	if len(live) == 0 {
		if !redirected {
			h.DirectResponse = &apinetworking.HTTPDirectResponse{Status: 500}
			c.problem(Origin{at.Object, at.Field + ".backendRefs"}, "the rule has no backend of positive weight: every call that it matches is answered with 500")
		}
		return true
	}
	for _, r := range live {
		d, ok := c.backendDestination(r.ref, namespace, Origin{at.Object, r.field})
		if !ok {
			return false
		}
		rd := &apinetworking.HTTPRouteDestination{Destination: d}
		if len(live) > 1 {
			rd.Weight = 1
			if r.ref.Weight != nil {
				rd.Weight = *r.ref.Weight
			}
		}
		for _, f := range r.filters {
			if rd.Headers == nil {
				rd.Headers = &apinetworking.Headers{}
			}
			if f.RequestHeaderModifier != nil {
				rd.Headers.Request = headerOps(f.RequestHeaderModifier)
			}
			if f.ResponseHeaderModifier != nil {
				rd.Headers.Response = headerOps(f.ResponseHeaderModifier)
			}
		}
		h.Route = append(h.Route, rd)
	}
	return true
}

// backendDestination resolves a backendRef; false where istiod refuses the whole route for it.
func (c *compiler) backendDestination(b gatewayv1.BackendRef, namespace string, at Origin) (*apinetworking.Destination, bool) {
	ref := Ref{Kind: "Service", Namespace: namespace, Name: string(b.Name)}
	if b.Kind != nil {
		ref.Kind = string(*b.Kind)
	}
	if b.Group != nil && *b.Group != "core" {
		ref.Group = string(*b.Group)
	}
	if b.Namespace != nil {
		ref.Namespace = string(*b.Namespace)
	}
	host := ""
	switch {
	case ref.Group == "" && ref.Kind == "Service", ref.Kind == "ServiceImport":
		if strings.Contains(ref.Name, ".") {
			c.problem(at, "a backendRef takes the name of a Service, not a host: the whole route is refused")
			return nil, false
		}
		host = ref.Name + "." + ref.Namespace + ".svc." + c.cfg.ClusterDomain
		if c.services[Ref{Kind: "Service", Namespace: ref.Namespace, Name: ref.Name}] == nil {
			c.problem(at, "there is no Service %s/%s: calls that go there are answered with 500", ref.Namespace, ref.Name)
		}
	case ref.Group == istioGroup && ref.Kind == "Hostname":
		host = strings.ToLower(ref.Name)
	default:
		c.problem(at, "istiod knows no backend of kind %s here: calls that go there are answered with 500", ref.Kind)
		return &apinetworking.Destination{}, true
	}
	if b.Port == nil {
		c.problem(at, "a backendRef to a Service needs a port: the whole route is refused")
		return nil, false
	}
	return &apinetworking.Destination{Host: host, Port: &apinetworking.PortSelector{Number: uint32(*b.Port)}}, true
}

func headersOf(h *apinetworking.HTTPRoute) *apinetworking.Headers {
	if h.Headers == nil {
		h.Headers = &apinetworking.Headers{}
	}
	return h.Headers
}

func headerOps(f *gatewayv1.HTTPHeaderFilter) *apinetworking.Headers_HeaderOperations {
	if f == nil {
		return nil
	}
	list := func(in []gatewayv1.HTTPHeader) map[string]string {
		if len(in) == 0 {
			return nil
		}
		out := map[string]string{}
		for _, h := range in {
			if name := strings.ToLower(string(h.Name)); out[name] == "" { // the first of equal names counts
				out[name] = h.Value
			}
		}
		return out
	}
	return &apinetworking.Headers_HeaderOperations{Set: list(f.Set), Add: list(f.Add), Remove: f.Remove}
}

func redirectFilter(f *gatewayv1.HTTPRequestRedirectFilter) *apinetworking.HTTPRedirect {
	if f == nil {
		return nil
	}
	out := &apinetworking.HTTPRedirect{}
	if f.StatusCode != nil {
		out.RedirectCode = uint32(*f.StatusCode)
	} else {
		out.RedirectCode = 302
	}
	if f.Hostname != nil {
		out.Authority = string(*f.Hostname)
	}
	if f.Scheme != nil {
		out.Scheme = *f.Scheme
	}
	switch {
	case f.Port != nil:
		out.RedirectPort = &apinetworking.HTTPRedirect_Port{Port: uint32(*f.Port)}
	case f.Scheme != nil:
		out.RedirectPort = &apinetworking.HTTPRedirect_DerivePort{DerivePort: apinetworking.HTTPRedirect_FROM_PROTOCOL_DEFAULT}
	default:
		out.RedirectPort = &apinetworking.HTTPRedirect_DerivePort{DerivePort: apinetworking.HTTPRedirect_FROM_REQUEST_PORT}
	}
	if f.Path != nil {
		if f.Path.ReplaceFullPath != nil {
			out.Uri = *f.Path.ReplaceFullPath
		}
		if f.Path.ReplacePrefixMatch != nil {
			out.PrefixRewrite = *f.Path.ReplacePrefixMatch
		}
	}
	return out
}

func rewriteFilter(f *gatewayv1.HTTPURLRewriteFilter) *apinetworking.HTTPRewrite {
	if f == nil {
		return nil
	}
	out := &apinetworking.HTTPRewrite{}
	if f.Path != nil {
		switch {
		case f.Path.Type == gatewayv1.PrefixMatchHTTPPathModifier && f.Path.ReplacePrefixMatch != nil:
			out.Uri = cmp.Or(strings.TrimSuffix(*f.Path.ReplacePrefixMatch, "/"), "/")
		case f.Path.ReplaceFullPath != nil:
			out.UriRegexRewrite = &apinetworking.RegexRewrite{Match: "/.*", Rewrite: *f.Path.ReplaceFullPath}
		}
	}
	if f.Hostname != nil {
		out.Authority = string(*f.Hostname)
	}
	if out.Uri == "" && out.UriRegexRewrite == nil && out.Authority == "" {
		return nil
	}
	return out
}

func corsFilter(f *gatewayv1.HTTPCORSFilter) *apinetworking.CorsPolicy {
	if f == nil {
		return nil
	}
	out := &apinetworking.CorsPolicy{}
	for _, o := range f.AllowOrigins {
		out.AllowOrigins = append(out.AllowOrigins, exact(string(o)))
	}
	for _, m := range f.AllowMethods {
		out.AllowMethods = append(out.AllowMethods, string(m))
	}
	for _, h := range f.AllowHeaders {
		out.AllowHeaders = append(out.AllowHeaders, string(h))
	}
	for _, h := range f.ExposeHeaders {
		out.ExposeHeaders = append(out.ExposeHeaders, string(h))
	}
	if f.MaxAge > 0 {
		out.MaxAge = durationpb.New(time.Duration(f.MaxAge) * time.Second)
	}
	return out
}

func (c *compiler) mirrorFilter(h *apinetworking.HTTPRoute, f *gatewayv1.HTTPRequestMirrorFilter, namespace string, at Origin) {
	if f == nil {
		return
	}
	d, ok := c.backendDestination(gatewayv1.BackendRef{BackendObjectReference: f.BackendRef}, namespace, at)
	if !ok || d.GetHost() == "" {
		return
	}
	m := &apinetworking.HTTPMirrorPolicy{Destination: d}
	switch {
	case f.Percent != nil:
		m.Percentage = &apinetworking.Percent{Value: float64(*f.Percent)}
	case f.Fraction != nil:
		of := int32(100)
		if f.Fraction.Denominator != nil {
			of = *f.Fraction.Denominator
		}
		m.Percentage = &apinetworking.Percent{Value: 100 * float64(f.Fraction.Numerator) / float64(of)}
	}
	h.Mirrors = append(h.Mirrors, m)
}

func retryOf(r *gatewayv1.HTTPRouteRetry) *apinetworking.HTTPRetry {
	on := []string{"connect-failure", "refused-stream", "unavailable", "cancelled"}
	for _, code := range r.Codes {
		on = append(on, fmt.Sprint(int(code)))
	}
	out := &apinetworking.HTTPRetry{Attempts: defaultAttempts, RetryOn: strings.Join(on, ",")}
	if r.Attempts != nil {
		out.Attempts = int32(*r.Attempts)
	}
	if out.Attempts == 0 {
		out.RetryOn = ""
	}
	if d, ok := duration(r.Backoff); ok {
		out.Backoff = durationpb.New(d)
	}
	return out
}

func duration(d *gatewayv1.Duration) (time.Duration, bool) {
	if d == nil {
		return 0, false
	}
	out, err := time.ParseDuration(string(*d))
	return out, err == nil
}

func timeoutsOf(h *apinetworking.HTTPRoute, t *gatewayv1.HTTPRouteTimeouts) {
	if d, ok := duration(t.Request); ok && d != 0 {
		h.Timeout = durationpb.New(d)
	}
	if d, ok := duration(t.BackendRequest); ok && d != 0 {
		if h.Retries != nil {
			h.Retries.PerTryTimeout = durationpb.New(d)
		} else {
			h.Timeout = durationpb.New(d)
		}
	}
}
