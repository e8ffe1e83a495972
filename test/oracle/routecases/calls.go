package routecases

import (
	"fmt"
	"sort"
	"strings"

	"github.com/sidestep-mesh/sidestep/test/oracle/routecorpus"
)

// calls makes the calls of a case, by two clients and through the waypoint.
func (m *maker) calls() []routecorpus.Call {
	var out []routecorpus.Call
	clients := []string{"a/client", "b/client", "c/client"}
	m.Shuffle(len(clients), func(i, j int) { clients[i], clients[j] = clients[j], clients[i] })
	for i := range 26 {
		c := m.call()
		c.Point, c.By = routecorpus.Sidecar, clients[i%2]
		out = append(out, c)
	}
	for range 25 {
		c := m.call()
		c.Point, c.By = routecorpus.Waypoint, m.subject.waypoint
		if c.To != m.subject.host {
			continue
		}
		out = append(out, c)
	}
	return out
}

// call makes one call to the subject, mostly one that a match is for.
func (m *maker) call() routecorpus.Call {
	s := m.subject
	c := routecorpus.Call{To: s.host, Protocol: "http", Port: pick(m, s.http...), Method: pick(m, "GET", "GET", "POST"), Path: pick(m, paths...), Headers: map[string]string{}}
	h := hint{}
	if len(m.hints) > 0 && m.chance(85) {
		h = pick(m, m.hints...)
	}
	switch kind := m.weighted(85, 7, 8); {
	case kind == 1 && s.tcp != 0:
		return routecorpus.Call{To: s.host, Protocol: "tcp", Port: pick(m, s.tcp, s.tcp, s.tcp, s.sniffed)}
	case kind == 2 || h.sni != "":
		sni := pick(m, s.host, h.sni, "else.example.com")
		return routecorpus.Call{To: s.host, Protocol: "tls", Port: s.tls, SNI: strings.Replace(strings.TrimSuffix(sni, "*"), "*", "x", 1)}
	}
	query := ""
	if h.match != nil {
		query = m.satisfy(&c, h.match)
	}
	if m.chance(35) {
		m.disturb(&c, &query)
	}
	c.Authority = m.authority(c.Port)
	if !strings.HasPrefix(c.Path, "/") {
		c.Path = "/" + c.Path
	}
	if query != "" {
		c.Path += "?" + query
	}
	c.Headers["x-from"] = "caller"
	switch m.weighted(85, 8, 2, 5) {
	case 1:
		c.Probe = routecorpus.Fails
	case 2:
		c.Probe = routecorpus.Hangs
	case 3:
		c.Probe = routecorpus.Reset
	}
	return c
}

func (m *maker) authority(port int) string {
	s := m.subject
	name := s.host
	if !s.outside {
		name = pick(m, s.host, s.host, s.host, s.name+"."+s.namespace, s.name+"."+s.namespace+".svc")
	}
	if m.chance(10) {
		name += fmt.Sprintf(":%d", port)
	}
	return name
}

// satisfy makes a call that a match holds for, and returns its query.
func (m *maker) satisfy(c *routecorpus.Call, match object) string {
	if u, ok := match["uri"].(object); ok {
		c.Path = m.value(u, patterns)
		if match["ignoreUriCase"] == true && m.chance(50) {
			c.Path = strings.ToUpper(c.Path)
		}
	}
	if x, ok := match["method"].(object); ok {
		c.Method = m.value(x, nil)
	}
	if p, ok := match["port"].(int); ok && c.To == m.subject.host {
		for _, n := range m.subject.http {
			if n == p {
				c.Port = p
			}
		}
	}
	if x, ok := match["headers"].(object); ok {
		for _, name := range sorted(x) {
			c.Headers[name] = m.value(x[name].(object), valuePats)
		}
	}
	if x, ok := match["queryParams"].(object); ok {
		for _, name := range sorted(x) {
			return name + "=" + m.value(x[name].(object), valuePats)
		}
	}
	return ""
}

func sorted(o object) []string {
	var out []string
	for k := range o {
		out = append(out, k)
	}
	sort.Strings(out)
	return out
}

// value draws one that a string match holds for.
func (m *maker) value(match object, examples map[string][]string) string {
	if v, ok := match["exact"].(string); ok {
		return v
	}
	if v, ok := match["prefix"].(string); ok {
		if examples == nil {
			return v
		}
		return v + pick(m, "", "", "x", "/x", "b")
	}
	if v, ok := match["regex"].(string); ok {
		return pick(m, examples[v]...)
	}
	return pick(m, values...)
}

// disturb moves a call just beside what it was made for.
func (m *maker) disturb(c *routecorpus.Call, query *string) {
	switch m.IntN(5) {
	case 0:
		c.Path = pick(m, paths...)
	case 1:
		c.Path += pick(m, "x", "/x", "/")
	case 2:
		c.Method = pick(m, methods...)
	case 3:
		c.Headers[pick(m, headerNames...)] = pick(m, values...)
	case 4:
		*query = pick(m, "", "q=red", "page=1", "q=")
	}
}
