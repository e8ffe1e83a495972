package route

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	apinetworking "istio.io/api/networking/v1alpha3"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// maxRules is how many rules an HTTPRoute may have.
const maxRules = 16

// http makes HTTPRoutes: one for all ports where no route and no destination tells ports apart, else one for each.
func (t *translation) http() {
	v := t.virtual
	if !v.hasHTTP {
		return
	}
	var ports []uint32
	for _, p := range t.service.Ports {
		if p.carriesHTTP() {
			ports = append(ports, p.Number)
		}
	}
	apart := slices.ContainsFunc(v.http, func(r httpRule) bool {
		return r.port != 0 || slices.ContainsFunc(r.route.GetRoute(), func(d *apinetworking.HTTPRouteDestination) bool { return d.GetDestination().GetPort().GetNumber() == 0 })
	})
	switch {
	case len(ports) == 0:
	case !apart || len(ports) == 1:
		t.httpRoutes(ports[0], 0)
	default:
		for _, p := range ports {
			t.httpRoutes(p, p)
		}
	}
}

// httpRoutes makes the routes of one port; parent is 0 for all ports.
func (t *translation) httpRoutes(port, parent uint32) {
	var rules []gatewayv1.HTTPRouteRule
	var last *httpRule
	for i := range t.virtual.http {
		r := &t.virtual.http[i]
		if r.port != 0 && r.port != port || len(r.gateways) > 0 && !slices.Contains(r.gateways, meshGateway) {
			continue
		}
		match, ok := t.httpMatch(r)
		if !ok {
			continue
		}
		if n := len(rules) - 1; last != nil && last.origin == r.origin && r.route.GetRewrite() == nil && r.route.GetRedirect() == nil && len(rules[n].Matches) > 0 && match != nil {
			rules[n].Matches = append(rules[n].Matches, *match)
			continue
		}
		rule, ok := t.httpRule(r, match, port)
		if !ok {
			continue
		}
		rules, last = append(rules, rule), r
		if r.match.catchAll() {
			break
		}
	}
	for part := 0; len(rules) > 0; part++ {
		n := min(len(rules), maxRules)
		name := t.virtual.origin.Name
		if parent != 0 {
			name += fmt.Sprintf("-%d", parent)
		}
		if part > 0 {
			name += fmt.Sprintf("-part-%d", part+1)
		}
		o := &gatewayv1.HTTPRoute{TypeMeta: metav1.TypeMeta{APIVersion: gatewayGroup + "/v1", Kind: "HTTPRoute"}, ObjectMeta: t.meta(name),
			Spec: gatewayv1.HTTPRouteSpec{CommonRouteSpec: gatewayv1.CommonRouteSpec{ParentRefs: []gatewayv1.ParentReference{t.parent(parent)}}, Rules: rules[:n]}}
		t.https = append(t.https, o)
		t.out.Objects = append(t.out.Objects, o)
		rules = rules[n:]
	}
}

// httpMatch writes what a rule asks of a request; nil for nothing, and false where it cannot be written.
func (t *translation) httpMatch(r *httpRule) (*gatewayv1.HTTPRouteMatch, bool) {
	if len(r.sourceLabels) > 0 {
		t.lose(Origin{r.matchOrigin.Object, r.matchOrigin.Field + ".sourceLabels"}, "a route at a waypoint does not tell callers apart by labels",
			"a Service of its own for these callers, or an AuthorizationPolicy where the match keeps callers away")
		return nil, false
	}
	if r.sourceNamespace != "" {
		t.lose(Origin{r.matchOrigin.Object, r.matchOrigin.Field + ".sourceNamespace"}, "a route at a waypoint does not tell callers apart by namespace",
			"a Service of its own for these callers, or a sidecar for them")
		return nil, false
	}
	if len(r.match) == 0 {
		return nil, true
	}
	out := &gatewayv1.HTTPRouteMatch{}
	for _, test := range r.match {
		if why, instead := t.addTest(out, test); why != "" {
			kind, _, _ := strings.Cut(test.Attribute, ":")
			t.lose(Origin{r.matchOrigin.Object, r.matchOrigin.Field + "." + kind}, why, instead)
			return nil, false
		}
	}
	return out, true
}

// pattern is a test of a whole value as a regular expression.
func (x Test) pattern() string {
	out := ""
	switch x.Op {
	case Exact:
		out = quote(x.Value)
	case Prefix:
		out = quote(x.Value) + ".*"
	case Segment:
		out = quote(x.Value) + "(/.*)?"
	case Regex:
		out = x.Value
	case Present:
		out = ".*"
	}
	if x.Fold {
		out = "(?i)" + out
	}
	return out
}

// addTest adds one test to a match, or says why not.
func (t *translation) addTest(out *gatewayv1.HTTPRouteMatch, x Test) (why, instead string) {
	kind, name, _ := strings.Cut(x.Attribute, ":")
	if x.Not {
		return "a route has no negated match", "a rule before it for the requests that are meant to be left out"
	}
	value, pattern := x.Value, x.pattern()
	plain := x.Op == Exact && !x.Fold
	switch kind {
	case "path":
		typ := gatewayv1.PathMatchRegularExpression
		switch {
		case plain:
			typ, pattern = gatewayv1.PathMatchExact, value
		case x.Op == Prefix && !x.Fold && t.segments && strings.HasPrefix(value, "/"):
			typ, pattern = gatewayv1.PathMatchPathPrefix, value
		}
		out.Path = &gatewayv1.HTTPPathMatch{Type: &typ, Value: &pattern}
	case "method":
		if !plain {
			return "a route compares methods as a whole", "one match for each method"
		}
		m := gatewayv1.HTTPMethod(value)
		out.Method = &m
	case "header":
		typ := gatewayv1.HeaderMatchRegularExpression
		if plain {
			typ, pattern = gatewayv1.HeaderMatchExact, value
		}
		out.Headers = append(out.Headers, gatewayv1.HTTPHeaderMatch{Type: &typ, Name: gatewayv1.HTTPHeaderName(name), Value: pattern})
	case "query":
		typ := gatewayv1.QueryParamMatchRegularExpression
		if plain {
			typ, pattern = gatewayv1.QueryParamMatchExact, value
		}
		out.QueryParams = append(out.QueryParams, gatewayv1.HTTPQueryParamMatch{Type: &typ, Name: gatewayv1.HTTPHeaderName(name), Value: pattern})
	case "claim":
		return "claims are not matched at a waypoint", "an AuthorizationPolicy at the waypoint, or a gateway"
	default:
		return "a route on a Service does not compare the " + kind, "Services of their own for the names that are told apart"
	}
	return "", ""
}

// httpRule writes what a rule does; false where nothing can be written.
func (t *translation) httpRule(r *httpRule, match *gatewayv1.HTTPRouteMatch, port uint32) (gatewayv1.HTTPRouteRule, bool) {
	out := gatewayv1.HTTPRouteRule{}
	if match != nil {
		out.Matches = []gatewayv1.HTTPRouteMatch{*match}
	}
	h := r.route
	if h.GetFault() != nil {
		t.lose(r.field(PartFault, "fault"), "a route injects no faults", "a fault in the application, or a VirtualService that stays")
	}
	if h.GetDirectResponse() != nil {
		t.lose(r.field(PartAnswer, "directResponse"), "a route gives no answer of its own", "a redirect, or a Service that answers")
		return out, false
	}
	out.Filters = append(out.Filters, modifiers(h.GetHeaders())...)
	if h.GetRedirect() != nil {
		out.Filters = append(out.Filters, t.redirectFilter(r))
		return out, true
	}
	if f, ok := t.rewriteFilter(r); ok {
		out.Filters = append(out.Filters, f)
	}
	a := t.world.httpAction(t.virtual, r, port, client{namespace: t.virtual.namespace}, nil)
	t.mirrorFilters(&out, r, port)
	if h.GetCorsPolicy() != nil {
		out.Filters = append(out.Filters, t.corsFilter(r))
	}
	t.limits(&out, r)
	for i, d := range h.GetRoute() {
		if len(h.GetRoute()) > 1 && d.GetWeight() <= 0 {
			continue
		}
		at := Origin{r.origin.Object, fmt.Sprintf("%s.route[%d].destination", r.origin.Field, i)}
		dest := t.world.destination(d.GetDestination(), port, client{namespace: t.virtual.namespace}, nil, 1, at)
		ref, ok := t.backendRef(dest, port)
		if !ok {
			continue
		}
		if len(h.GetRoute()) > 1 {
			weight := d.GetWeight()
			ref.Weight = &weight
		}
		out.BackendRefs = append(out.BackendRefs, gatewayv1.HTTPBackendRef{BackendRef: ref, Filters: modifiers(d.GetHeaders())})
	}
	return out, len(out.BackendRefs) > 0 || a.Kind == Refuse
}

// modifiers are the changes of headers.
func modifiers(h *apinetworking.Headers) []gatewayv1.HTTPRouteFilter {
	list := func(m map[string]string) []gatewayv1.HTTPHeader {
		var out []gatewayv1.HTTPHeader
		for _, k := range sortedKeys(m) {
			out = append(out, gatewayv1.HTTPHeader{Name: gatewayv1.HTTPHeaderName(k), Value: m[k]})
		}
		return out
	}
	filter := func(o *apinetworking.Headers_HeaderOperations) *gatewayv1.HTTPHeaderFilter {
		if o == nil || len(o.GetSet())+len(o.GetAdd())+len(o.GetRemove()) == 0 {
			return nil
		}
		return &gatewayv1.HTTPHeaderFilter{Set: list(o.GetSet()), Add: list(o.GetAdd()), Remove: o.GetRemove()}
	}
	var out []gatewayv1.HTTPRouteFilter
	if f := filter(h.GetRequest()); f != nil {
		out = append(out, gatewayv1.HTTPRouteFilter{Type: gatewayv1.HTTPRouteFilterRequestHeaderModifier, RequestHeaderModifier: f})
	}
	if f := filter(h.GetResponse()); f != nil {
		out = append(out, gatewayv1.HTTPRouteFilter{Type: gatewayv1.HTTPRouteFilterResponseHeaderModifier, ResponseHeaderModifier: f})
	}
	return out
}

func (t *translation) redirectFilter(r *httpRule) gatewayv1.HTTPRouteFilter {
	d, f := r.route.GetRedirect(), &gatewayv1.HTTPRequestRedirectFilter{}
	code := 301
	if d.GetRedirectCode() != 0 {
		code = int(d.GetRedirectCode())
	}
	f.StatusCode = &code
	if d.GetScheme() != "" {
		scheme := d.GetScheme()
		f.Scheme = &scheme
	}
	if d.GetAuthority() != "" {
		name, port, _ := strings.Cut(d.GetAuthority(), ":")
		host := gatewayv1.PreciseHostname(name)
		f.Hostname = &host
		if port != "" {
			t.lose(r.field(PartAnswer, "redirect.authority"), "a redirect names the port on its own", "the port in the filter's field port")
		}
	}
	if p, ok := d.GetRedirectPort().(*apinetworking.HTTPRedirect_Port); ok {
		n := gatewayv1.PortNumber(p.Port)
		f.Port = &n
	}
	switch {
	case d.GetUri() != "":
		f.Path = fullPath(d.GetUri())
	case d.GetPrefixRewrite() != "":
		f.Path = prefixPath(d.GetPrefixRewrite())
	}
	return gatewayv1.HTTPRouteFilter{Type: gatewayv1.HTTPRouteFilterRequestRedirect, RequestRedirect: f}
}

func fullPath(to string) *gatewayv1.HTTPPathModifier {
	return &gatewayv1.HTTPPathModifier{Type: gatewayv1.FullPathHTTPPathModifier, ReplaceFullPath: &to}
}

func prefixPath(to string) *gatewayv1.HTTPPathModifier {
	return &gatewayv1.HTTPPathModifier{Type: gatewayv1.PrefixMatchHTTPPathModifier, ReplacePrefixMatch: &to}
}

// rewriteFilter writes a rewrite. What a prefix covers is replaced; an exact path and one that a regular expression covers as a whole.
func (t *translation) rewriteFilter(r *httpRule) (gatewayv1.HTTPRouteFilter, bool) {
	rw, f := r.route.GetRewrite(), &gatewayv1.HTTPURLRewriteFilter{}
	if rw.GetUriRegexRewrite() != nil {
		t.lose(r.field(PartRewrite, "rewrite.uriRegexRewrite"), "a route replaces prefixes and whole paths only", "the rewrite in the application")
	}
	if uri := rw.GetUri(); uri != "" {
		switch covered := r.pathTest(); {
		case covered.Op == Exact || covered.Op == Regex:
			f.Path = fullPath(uri)
		case t.segments && covered != (Test{}) && !covered.Fold:
			f.Path = prefixPath(uri)
		default:
			t.lose(r.field(PartRewrite, "rewrite.uri"), "what a prefix covers is replaced only where the prefix ends at a slash", "a PathPrefix, with the requests that it no longer covers")
		}
	}
	if rw.GetAuthority() != "" {
		host := gatewayv1.PreciseHostname(rw.GetAuthority())
		f.Hostname = &host
	}
	return gatewayv1.HTTPRouteFilter{Type: gatewayv1.HTTPRouteFilterURLRewrite, URLRewrite: f}, f.Path != nil || f.Hostname != nil
}

func (t *translation) mirrorFilters(out *gatewayv1.HTTPRouteRule, r *httpRule, port uint32) {
	list := slices.Clone(r.route.GetMirrors())
	if d := r.route.GetMirror(); d != nil {
		m := &apinetworking.HTTPMirrorPolicy{Destination: d, Percentage: r.route.GetMirrorPercentage()}
		if old := r.route.GetMirrorPercent(); m.Percentage == nil && old != nil { //nolint:staticcheck // deprecated and still read
			m.Percentage = &apinetworking.Percent{Value: float64(old.GetValue())}
		}
		list = append([]*apinetworking.HTTPMirrorPolicy{m}, list...)
	}
	for _, m := range list {
		if m.GetPercentage() != nil && m.GetPercentage().GetValue() <= 0 {
			continue
		}
		at := r.field(PartMirror, "mirrors")
		ref, ok := t.backendRef(t.world.destination(m.GetDestination(), port, client{namespace: t.virtual.namespace}, nil, 1, at), port)
		if !ok {
			continue
		}
		f := &gatewayv1.HTTPRequestMirrorFilter{BackendRef: ref.BackendObjectReference}
		if p := m.GetPercentage(); p != nil {
			if whole := math.Round(p.GetValue()); whole == p.GetValue() {
				n := int32(whole)
				f.Percent = &n
			} else {
				of := int32(10000)
				f.Fraction = &gatewayv1.Fraction{Numerator: int32(math.Round(p.GetValue() * 100)), Denominator: &of}
			}
		}
		out.Filters = append(out.Filters, gatewayv1.HTTPRouteFilter{Type: gatewayv1.HTTPRouteFilterRequestMirror, RequestMirror: f})
	}
}

func (t *translation) corsFilter(r *httpRule) gatewayv1.HTTPRouteFilter {
	c, f := r.route.GetCorsPolicy(), &gatewayv1.HTTPCORSFilter{}
	for _, o := range c.GetAllowOrigins() {
		if o.GetExact() == "" {
			t.lose(r.field(PartCORS, "corsPolicy.allowOrigins"), "a route lists origins as they are, or with a wildcard", "the origins one by one")
			continue
		}
		f.AllowOrigins = append(f.AllowOrigins, gatewayv1.CORSOrigin(o.GetExact()))
	}
	for _, m := range c.GetAllowMethods() {
		f.AllowMethods = append(f.AllowMethods, gatewayv1.HTTPMethodWithWildcard(m))
	}
	for _, h := range c.GetAllowHeaders() {
		f.AllowHeaders = append(f.AllowHeaders, gatewayv1.HTTPHeaderName(h))
	}
	for _, h := range c.GetExposeHeaders() {
		f.ExposeHeaders = append(f.ExposeHeaders, gatewayv1.HTTPHeaderName(h))
	}
	f.MaxAge = int32(c.GetMaxAge().GetSeconds())
	if c.GetAllowCredentials() != nil {
		yes := c.GetAllowCredentials().GetValue()
		f.AllowCredentials = &yes
	}
	return gatewayv1.HTTPRouteFilter{Type: gatewayv1.HTTPRouteFilterCORS, CORS: f}
}

// limits writes time limits and retries.
func (t *translation) limits(out *gatewayv1.HTTPRouteRule, r *httpRule) {
	if d := r.route.GetTimeout().AsDuration(); d != 0 {
		out.Timeouts = &gatewayv1.HTTPRouteTimeouts{Request: durationOf(d)}
	}
	h := r.route.GetRetries()
	if h == nil {
		return
	}
	attempts := int(h.GetAttempts())
	out.Retry = &gatewayv1.HTTPRouteRetry{Attempts: &attempts}
	if attempts <= 0 {
		return
	}
	for _, word := range strings.Split(h.GetRetryOn(), ",") {
		var code int
		if _, err := fmt.Sscanf(strings.TrimSpace(word), "%d", &code); err == nil && code >= 400 && code <= 599 {
			out.Retry.Codes = append(out.Retry.Codes, gatewayv1.HTTPRouteRetryStatusCode(code))
		}
	}
	if d := h.GetPerTryTimeout().AsDuration(); d != 0 {
		if out.Timeouts == nil {
			out.Timeouts = &gatewayv1.HTTPRouteTimeouts{}
		}
		out.Timeouts.BackendRequest = durationOf(d)
	}
	if d := h.GetBackoff().AsDuration(); d != 0 {
		out.Retry.Backoff = durationOf(d)
	}
}

// durationOf writes a duration as the Gateway API takes it: whole milliseconds, no fractions.
func durationOf(d time.Duration) *gatewayv1.Duration {
	text := fmt.Sprintf("%dms", d.Milliseconds())
	if d%time.Second == 0 {
		text = fmt.Sprintf("%ds", int64(d/time.Second))
	}
	out := gatewayv1.Duration(text)
	return &out
}
