package routecases

import (
	"fmt"
	"strings"
)

const gatewayVersion = "gateway.networking.k8s.io/v1"

func (m *maker) gatewayRoute() {
	switch s := m.subject; m.weighted(75, 10, 10, 5) {
	case 0:
		m.httpRouteObject()
	case 1:
		m.grpcRouteObject()
	case 2:
		if s.tcp != 0 {
			m.connectionRouteObject("TCPRoute")
		} else {
			m.httpRouteObject()
		}
	case 3:
		m.connectionRouteObject("TLSRoute")
	}
}

// parents draws the Service or ServiceEntry that a route is for.
func (m *maker) parents(ns string, port int) []any {
	s := m.subject
	ref := object{"group": "", "kind": "Service", "name": s.name}
	if s.outside {
		ref["group"], ref["kind"] = "networking.istio.io", "ServiceEntry"
	}
	if ns != s.namespace {
		ref["namespace"] = s.namespace
	}
	if m.chance(40) {
		ref["port"] = port
	}
	return []any{ref}
}

func (m *maker) httpRouteObject() {
	ns := m.namespace()
	if ns == "istio-system" {
		ns = "c"
	}
	var rules []any
	for range 1 + m.weighted(4, 4, 2) {
		rules = append(rules, m.httpRule(ns))
	}
	m.add(gatewayVersion, "HTTPRoute", ns, object{"parentRefs": m.parents(ns, pick(m, 80, 80, 81)), "rules": rules})
}

func (m *maker) httpRule(ns string) object {
	out := object{}
	var last object
	if m.chance(80) {
		var list []any
		for range 1 + m.weighted(7, 3) {
			match := m.routeMatch()
			list = append(list, match)
			last = match
		}
		out["matches"] = list
	}
	var filters []any
	if m.chance(30) {
		filters = append(filters, object{"type": "RequestHeaderModifier", "requestHeaderModifier": m.modifier()})
	}
	if m.chance(15) {
		filters = append(filters, object{"type": "ResponseHeaderModifier", "responseHeaderModifier": m.modifier()})
	}
	prefixed := len(out) > 0 && len(out["matches"].([]any)) == 1 && fmt.Sprint(last["path"]) != "<nil>" && strings.Contains(fmt.Sprint(last["path"]), "PathPrefix")
	redirected := false
	switch m.weighted(60, 12, 20) {
	case 1:
		redirected = true
		filters = append(filters, object{"type": "RequestRedirect", "requestRedirect": m.routeRedirect(prefixed)})
	case 2:
		filters = append(filters, object{"type": "URLRewrite", "urlRewrite": m.routeRewrite(prefixed)})
	}
	if m.chance(10) && !redirected {
		f := object{"backendRef": m.backend(ns)}
		if m.chance(50) {
			f["percent"] = pick(m, 0, 30, 100)
		}
		filters = append(filters, object{"type": "RequestMirror", "requestMirror": f})
	}
	if len(filters) > 0 {
		out["filters"] = filters
	}
	if redirected {
		return out
	}
	if m.chance(25) {
		t := object{}
		if m.chance(70) {
			t["request"] = pick(m, "200ms", "5s", "0s")
		}
		if m.chance(50) || len(t) == 0 {
			t["backendRequest"] = pick(m, "100ms", "2s")
		}
		out["timeouts"] = t
	}
	if m.chance(20) {
		r := object{"codes": []any{pick(m, 503, 500)}}
		if m.chance(60) {
			r["attempts"] = pick(m, 0, 1, 3)
		}
		if m.chance(30) {
			r["backoff"] = "10ms"
		}
		out["retry"] = r
	}
	var refs []any
	for range 1 + m.weighted(60, 30, 5) {
		b := m.backend(ns)
		if m.chance(40) {
			b["weight"] = pick(m, 0, 1, 9, 90)
		}
		if m.chance(10) {
			b["filters"] = []any{object{"type": "RequestHeaderModifier", "requestHeaderModifier": m.modifier()}}
		}
		refs = append(refs, b)
	}
	if m.chance(95) {
		out["backendRefs"] = refs
	}
	return out
}

func (m *maker) routeMatch() object {
	out, asVirtual := object{}, object{}
	if m.chance(75) {
		value := pick(m, paths...)
		switch m.weighted(3, 5, 2) {
		case 0:
			out["path"] = object{"type": "Exact", "value": value}
			asVirtual["uri"] = object{"exact": value}
		case 1:
			out["path"] = object{"type": "PathPrefix", "value": value}
			asVirtual["uri"] = object{"prefix": value}
		case 2:
			value = pick(m, keys(patterns)...)
			out["path"] = object{"type": "RegularExpression", "value": value}
			asVirtual["uri"] = object{"regex": value}
		}
	}
	if m.chance(30) {
		name, value := pick(m, headerNames...), pick(m, values...)
		kind, key := "Exact", "exact"
		if m.chance(25) {
			kind, key, value = "RegularExpression", "regex", pick(m, "re.*", "[0-9]+", ".+")
		}
		out["headers"] = []any{object{"type": kind, "name": name, "value": value}}
		asVirtual["headers"] = object{name: object{key: value}}
	}
	if m.chance(15) {
		name, value := pick(m, "q", "page"), pick(m, values...)
		out["queryParams"] = []any{object{"name": name, "value": value}}
		asVirtual["queryParams"] = object{name: object{"exact": value}}
	}
	if m.chance(25) {
		value := pick(m, methods...)
		out["method"] = value
		asVirtual["method"] = object{"exact": value}
	}
	m.hints = append(m.hints, hint{match: asVirtual})
	return out
}

func (m *maker) modifier() object {
	out := object{}
	if m.chance(60) {
		out["set"] = []any{object{"name": "X-Set", "value": fmt.Sprintf("s%d", m.mark())}}
	}
	if m.chance(40) || len(out) == 0 {
		out["add"] = []any{object{"name": "x-add", "value": fmt.Sprintf("a%d", m.mark())}}
	}
	if m.chance(30) {
		out["remove"] = some(m, 2, "x-user", "x-secret", "x-team")
	}
	return out
}

func (m *maker) routeRedirect(prefixed bool) object {
	out := object{}
	if m.chance(50) {
		out["hostname"] = "other.example.com"
	}
	if m.chance(40) {
		out["scheme"] = pick(m, "http", "https")
	}
	if m.chance(30) {
		out["port"] = pick(m, 80, 443, 8443)
	}
	if m.chance(40) {
		out["statusCode"] = pick(m, 301, 302)
	}
	if m.chance(50) {
		out["path"] = m.pathModifier(prefixed)
	}
	if len(out) == 0 {
		out["hostname"] = "else.example.com"
	}
	return out
}

func (m *maker) pathModifier(prefixed bool) object {
	if prefixed && m.chance(60) {
		return object{"type": "ReplacePrefixMatch", "replacePrefixMatch": pick(m, "/", "/new", "/new/", "/a")}
	}
	return object{"type": "ReplaceFullPath", "replaceFullPath": pick(m, "/full", "/", "/full/")}
}

func (m *maker) routeRewrite(prefixed bool) object {
	out := object{}
	if m.chance(70) {
		out["path"] = m.pathModifier(prefixed)
	}
	if m.chance(40) || len(out) == 0 {
		out["hostname"] = "other.example.com"
	}
	return out
}

// backend draws a backendRef.
func (m *maker) backend(ns string) object {
	s := m.subject
	if s.outside {
		if m.chance(70) {
			return object{"group": "networking.istio.io", "kind": "Hostname", "name": s.host, "port": pick(m, 80, 443)}
		}
		return object{"name": "web", "namespace": "a", "port": 80}
	}
	name, home := s.name, s.namespace
	switch m.weighted(30, 55, 10, 5) {
	case 1:
		name = pick(m, s.versions...)
	case 2:
		name, home = "lone", "c"
	case 3:
		name = "missing"
	}
	out := object{"name": name, "port": pick(m, 80, 80, 80, 80, 81)}
	if home != ns {
		out["namespace"] = home
		if m.chance(50) {
			m.grant(ns, home)
		}
	}
	return out
}

// grant lets routes of one namespace name Services of another.
func (m *maker) grant(from, to string) {
	var list []any
	for _, kind := range []string{"HTTPRoute", "GRPCRoute", "TCPRoute", "TLSRoute"} {
		list = append(list, object{"group": "gateway.networking.k8s.io", "kind": kind, "namespace": from})
	}
	m.add("gateway.networking.k8s.io/v1beta1", "ReferenceGrant", to, object{"from": list, "to": []any{object{"group": "", "kind": "Service"}}})
}

func (m *maker) grpcRouteObject() {
	ns := pick(m, m.subject.namespace, m.subject.namespace, "c")
	var rules []any
	for range 1 + m.weighted(5, 3) {
		r := object{}
		if m.chance(80) {
			method, path := object{}, object{}
			switch service, name := "shop.Cart", pick(m, "Get", "Add"); m.weighted(4, 3, 2, 1) {
			case 0:
				method = object{"service": service, "method": name}
				path = object{"exact": "/" + service + "/" + name}
			case 1:
				method = object{"service": service}
				path = object{"prefix": "/" + service + "/"}
			case 2:
				method = object{"method": name}
				path = object{"exact": "/any.Service/" + name}
			case 3:
				method = object{"type": "RegularExpression", "service": "shop.*", "method": "G.+"}
				path = object{"exact": "/shop.Cart/Get"}
			}
			match := object{"method": method}
			asVirtual := object{"uri": path}
			if m.chance(30) {
				value := pick(m, values...)
				match["headers"] = []any{object{"name": "x-team", "value": value}}
				asVirtual["headers"] = object{"x-team": object{"exact": value}}
			}
			m.hints = append(m.hints, hint{match: asVirtual})
			r["matches"] = []any{match}
		}
		if m.chance(30) {
			r["filters"] = []any{object{"type": "RequestHeaderModifier", "requestHeaderModifier": m.modifier()}}
		}
		var refs []any
		for range 1 + m.weighted(6, 3) {
			b := m.backend(ns)
			if m.chance(30) {
				b["weight"] = pick(m, 0, 1, 9)
			}
			refs = append(refs, b)
		}
		r["backendRefs"] = refs
		rules = append(rules, r)
	}
	m.add(gatewayVersion, "GRPCRoute", ns, object{"parentRefs": m.parents(ns, pick(m, 80, 9000)), "rules": rules})
}

func (m *maker) connectionRouteObject(kind string) {
	s := m.subject
	ns := pick(m, s.namespace, s.namespace, "c")
	port := s.tcp
	spec := object{}
	if kind == "TLSRoute" {
		port = s.tls
		names := some(m, 2, s.host, s.host, "*."+s.namespace+".svc.cluster.local", "else.example.com")
		spec["hostnames"] = names
		m.hints = append(m.hints, hint{sni: fmt.Sprint(names[0])})
	}
	var refs []any
	for range 1 + m.weighted(6, 3) {
		b := m.backend(ns)
		b["port"] = port
		if m.chance(40) {
			b["weight"] = pick(m, 0, 1, 9)
		}
		refs = append(refs, b)
	}
	spec["parentRefs"], spec["rules"] = m.parents(ns, port), []any{object{"backendRefs": refs}}
	m.add(gatewayVersion, kind, ns, spec)
}
