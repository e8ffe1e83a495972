package routecases

import "fmt"

var (
	paths    = []string{"/", "/a", "/a/", "/a/b", "/ab", "/api", "/api/v1", "/api.v1", "/A"}
	patterns = map[string][]string{ // with values that match
		"/a.*": {"/a", "/abc", "/a/b"}, "/[ab]/.+": {"/a/x", "/b/y"}, ".*": {"/a", "/other"}, "/api/v[0-9]+": {"/api/v1", "/api/v22"}, "/(a|api)": {"/a", "/api"},
	}
	headerNames = []string{"x-team", "x-user"}
	values      = []string{"red", "blue", "redder", "1"}
	valuePats   = map[string][]string{"re.*": {"red", "redder"}, "[0-9]+": {"1", "42"}, ".*": {"any", "red"}, "*": {"any"}, ".+": {"red"}}
	methods     = []string{"GET", "POST", "PUT"}
)

func keys(m map[string][]string) []string {
	var out []string
	for _, k := range []string{"/a.*", "/[ab]/.+", ".*", "/api/v[0-9]+", "/(a|api)", "re.*", "[0-9]+", "*", ".+"} {
		if _, ok := m[k]; ok {
			out = append(out, k)
		}
	}
	return out
}

// hosts that a VirtualService for the subject may name.
func (m *maker) hosts(namespace string) []any {
	s := m.subject
	if s.outside {
		return []any{pick(m, s.host, s.host, "*.example.com")}
	}
	names := []string{s.host, s.host, s.host, "*." + s.namespace + ".svc.cluster.local", s.name + "." + s.namespace, "*"}
	if namespace == s.namespace {
		names = append(names, s.name, s.name)
	}
	out := []any{pick(m, names...)}
	if m.chance(15) {
		out = append(out, pick(m, "nobody.example.com", "lone.c.svc.cluster.local", "api.b.svc.cluster.local", "outside.example.com"))
	}
	return out
}

func (m *maker) virtualService() {
	ns := m.namespace()
	spec := object{"hosts": m.hosts(ns)}
	m.exportTo(spec)
	if m.chance(12) {
		spec["gateways"] = some(m, 2, "mesh", "a/edge", "mesh")
	}
	var http []any
	for range 1 + m.weighted(3, 4, 3) {
		http = append(http, m.httpRoute(ns))
	}
	switch m.weighted(8, 1, 1) {
	case 0:
		spec["http"] = http
	case 1:
		m.connections(spec)
	case 2:
		spec["http"] = http
		m.connections(spec)
	}
	if m.chance(15) {
		m.delegate(spec, ns)
	}
	m.add("networking.istio.io/v1", "VirtualService", ns, spec)
}

// delegate hands a route to another VirtualService.
func (m *maker) delegate(spec object, ns string) {
	own := pick(m, ns, "a", "b")
	sub := object{}
	var http []any
	for range 1 + m.IntN(2) {
		http = append(http, m.httpRoute(own))
	}
	sub["http"] = http
	if m.chance(25) {
		sub["exportTo"] = some(m, 1, ".", "*", "a", "b")
	}
	m.add("networking.istio.io/v1", "VirtualService", own, sub)
	name := m.objects[len(m.objects)-1]["metadata"].(object)["name"]
	root := object{"delegate": object{"name": name, "namespace": own}}
	if m.chance(60) {
		match := object{"uri": object{"prefix": pick(m, "/a", "/api", "/")}}
		root["match"] = []any{match}
	}
	if m.chance(30) {
		m.settings(root)
	}
	old, _ := spec["http"].([]any)
	spec["http"] = append([]any{root}, old...)
}

// httpMatch draws what a route asks of a request.
func (m *maker) httpMatch() object {
	out := object{}
	if m.chance(70) {
		out["uri"] = m.uri()
		if m.chance(10) {
			out["ignoreUriCase"] = true
		}
	}
	if m.chance(25) {
		out["method"] = object{pick(m, "exact", "exact", "prefix"): pick(m, methods...)}
	}
	if m.chance(30) {
		out["headers"] = object{pick(m, headerNames...): m.stringMatch()}
	}
	if m.chance(10) {
		out["withoutHeaders"] = object{pick(m, headerNames...): m.stringMatch()}
	}
	if m.chance(12) {
		out["queryParams"] = object{pick(m, "q", "page"): m.stringMatch()}
	}
	if m.chance(6) {
		out["authority"] = object{pick(m, "exact", "prefix"): pick(m, m.subject.host, m.subject.name)}
	}
	if m.chance(4) {
		out["scheme"] = object{"exact": pick(m, "http", "https")}
	}
	m.source(out)
	return out
}

// source draws what a route asks of the caller and the listener.
func (m *maker) source(out object) {
	if m.chance(10) {
		out["port"] = pick(m, 80, 80, 81, 9000, 3306, 443)
	}
	if m.chance(8) {
		out["sourceLabels"] = object{"team": pick(m, "red", "blue")}
	}
	if m.chance(6) {
		out["sourceNamespace"] = pick(m, "a", "b")
	}
	if m.chance(6) {
		out["gateways"] = some(m, 2, "mesh", "a/edge")
	}
}

func (m *maker) uri() object {
	switch m.weighted(3, 5, 2) {
	case 0:
		return object{"exact": pick(m, paths...)}
	case 1:
		return object{"prefix": pick(m, paths...)}
	}
	return object{"regex": pick(m, keys(patterns)...)}
}

func (m *maker) stringMatch() object {
	switch m.weighted(5, 2, 2, 1) {
	case 0:
		return object{"exact": pick(m, values...)}
	case 1:
		return object{"prefix": pick(m, "re", "b", "1")}
	case 2:
		return object{"regex": pick(m, keys(valuePats)...)}
	}
	return object{}
}

func (m *maker) httpRoute(ns string) object {
	out := object{}
	if m.chance(85) {
		var list []any
		for range 1 + m.weighted(7, 3) {
			match := m.httpMatch()
			m.hints = append(m.hints, hint{match: match})
			list = append(list, match)
		}
		out["match"] = list
	}
	switch m.weighted(80, 10, 6) {
	case 1:
		out["redirect"] = m.redirect()
		return out
	case 2:
		out["directResponse"] = object{"status": pick(m, 200, 404, 503), "body": object{"string": fmt.Sprintf("body-%d", m.mark())}}
		return out
	}
	var list []any
	n := 1 + m.weighted(6, 3, 1)
	for range n {
		d := object{"destination": m.destination(ns)}
		if n > 1 {
			d["weight"] = pick(m, 1, 1, 3, 10, 90, 0)
		}
		if m.chance(10) {
			d["headers"] = m.headers()
		}
		list = append(list, d)
	}
	if n > 1 {
		list[0].(object)["weight"] = 5
	}
	out["route"] = list
	m.settings(out)
	return out
}

// destination draws where calls go: to the subject, one of its versions, another host, or one that is not there.
func (m *maker) destination(ns string) object {
	s := m.subject
	host, subset := s.host, ""
	switch m.weighted(50, 25, 10, 5, 4) {
	case 0:
		if m.chance(60) {
			subset = pick(m, "v1", "v2", "v2", "v3", "none")
		}
	case 1:
		if len(s.versions) > 0 {
			host = pick(m, s.versions...) + "." + s.namespace + ".svc.cluster.local"
		}
	case 2:
		host = pick(m, "lone.c.svc.cluster.local", "api.b.svc.cluster.local", "web.a.svc.cluster.local")
	case 3:
		host = pick(m, "outside.example.com", "outside.example.com", "missing.a.svc.cluster.local")
	case 4:
		host = pick(m, "web", "api", "lone")
	}
	out := object{"host": host}
	if subset != "" {
		out["subset"] = subset
	}
	if m.chance(30) {
		out["port"] = object{"number": pick(m, 80, 80, 80, 81, 8000, 3306, 12)}
	}
	return out
}

func (m *maker) headers() object {
	ops := func() object {
		out := object{}
		if m.chance(50) {
			out["set"] = object{"x-set": fmt.Sprintf("s%d", m.mark())}
		}
		if m.chance(50) {
			out["add"] = object{"x-add": fmt.Sprintf("a%d", m.mark())}
		}
		if m.chance(30) {
			out["remove"] = some(m, 2, "x-user", "x-secret", "x-team")
		}
		if m.chance(8) {
			out["set"] = object{pick(m, ":authority", "host", "Host"): "other.example.com"}
		}
		return out
	}
	out := object{}
	if m.chance(70) {
		out["request"] = ops()
	}
	if m.chance(40) {
		out["response"] = ops()
	}
	return out
}

func (m *maker) redirect() object {
	out := object{}
	if m.chance(60) {
		out["uri"] = pick(m, "/new", "/new/", "/")
	}
	if m.chance(60) || len(out) == 0 {
		out["authority"] = pick(m, "other.example.com", "web.a")
	}
	if m.chance(30) {
		out["scheme"] = pick(m, "http", "https")
	}
	if m.chance(30) {
		out["redirectCode"] = pick(m, 302, 303, 307, 308)
	}
	switch m.weighted(6, 2, 1, 1) {
	case 1:
		out["port"] = pick(m, 80, 443, 8443)
	case 2:
		out["derivePort"] = "FROM_REQUEST_PORT"
	case 3:
		out["derivePort"] = "FROM_PROTOCOL_DEFAULT"
	}
	return out
}

// settings draws what is done to calls beside sending them on.
func (m *maker) settings(out object) {
	if m.chance(25) {
		out["rewrite"] = m.rewrite()
	}
	if m.chance(25) {
		out["timeout"] = pick(m, "0.2s", "5s", "15s", "0s")
	}
	if m.chance(25) {
		r := object{"attempts": pick(m, 0, 1, 2, 3)}
		if m.chance(70) {
			r["retryOn"] = pick(m, "5xx", "gateway-error,reset", "503", "connect-failure,retriable-status-codes", "reset", "unavailable,502")
		}
		if m.chance(30) {
			r["perTryTimeout"] = pick(m, "0.1s", "2s")
		}
		if m.chance(20) {
			r["backoff"] = "0.01s"
		}
		out["retries"] = r
	}
	if m.chance(20) {
		out["headers"] = m.headers()
	}
	if m.chance(8) {
		out["fault"] = m.fault()
	}
	if m.chance(10) {
		mirror := object{"destination": m.destination("")}
		if m.chance(50) {
			mirror["percentage"] = object{"value": pick(m, 0.0, 12.5, 50, 100)}
		}
		out["mirrors"] = []any{mirror}
	} else if m.chance(5) {
		out["mirror"] = m.destination("")
		if m.chance(50) {
			out["mirrorPercentage"] = object{"value": pick(m, 0.0, 25, 100)}
		}
	}
	if m.chance(8) {
		out["corsPolicy"] = object{"allowOrigins": []any{object{pick(m, "exact", "prefix", "regex"): pick(m, "https://x.example", "https://y.example")}},
			"allowMethods": some(m, 2, methods...), "maxAge": pick(m, "60s", "3600s")}
	}
}

func (m *maker) rewrite() object {
	out := object{}
	switch m.weighted(6, 3, 2) {
	case 0:
		out["uri"] = pick(m, "/", "/new", "/new/", "/a")
	case 1:
		out["uriRegexRewrite"] = object{"match": pick(m, "^/([ab])(.*)$", "/api/(.*)"), "rewrite": pick(m, `/x/\1`, "/y")}
	case 2:
		out["authority"] = pick(m, "other.example.com", "web.a")
	}
	if m.chance(20) {
		out["authority"] = "both.example.com"
	}
	return out
}

func (m *maker) fault() object {
	out := object{}
	if m.chance(60) {
		out["abort"] = object{"httpStatus": pick(m, 418, 503), "percentage": object{"value": pick(m, 100.0, 0)}}
	}
	if m.chance(50) || len(out) == 0 {
		out["delay"] = object{"fixedDelay": "0.01s", "percentage": object{"value": pick(m, 100.0, 0)}}
	}
	return out
}

// connections draws routes of connections.
func (m *maker) connections(spec object) {
	routes := func() []any {
		n := 1 + m.weighted(7, 3)
		var list []any
		for range n {
			d := object{"destination": m.destination("")}
			if n > 1 {
				d["weight"] = pick(m, 1, 3, 9, 90)
			}
			list = append(list, d)
		}
		return list
	}
	if m.chance(60) {
		var list []any
		for range 1 + m.weighted(7, 3) {
			r := object{"route": routes()}
			if m.chance(60) {
				match := object{}
				m.source(match)
				if len(match) == 0 {
					match["port"] = 3306
				}
				r["match"] = []any{match}
			}
			list = append(list, r)
		}
		spec["tcp"] = list
	}
	if m.chance(60) {
		host := fmt.Sprint(spec["hosts"].([]any)[0])
		var list []any
		for range 1 + m.weighted(6, 4) {
			sni := pick(m, m.subject.host, m.subject.host, host)
			match := object{"sniHosts": []any{sni}}
			m.source(match)
			m.hints = append(m.hints, hint{sni: sni})
			list = append(list, object{"match": []any{match}, "route": routes()})
		}
		spec["tls"] = list
	}
}
