// Package routecases generates cases of routes: objects from a small vocabulary, so that they meet, and calls made from the
// matches that the objects have, or just beside them.
package routecases

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"

	"github.com/sidestep-mesh/sidestep/test/oracle/routecorpus"
	"github.com/sidestep-mesh/sidestep/test/oracle/routeworld"
)

// object is an API object, or a part of one.
type object = map[string]any

// subject is a host that objects and calls of a case are about.
type subject struct {
	host, namespace, name string
	// services are what its routes may lead to, by short name.
	versions []string
	http     []int // ports that carry HTTP
	// sniffed is a port that declares no protocol, or one more that carries bytes.
	tcp, tls, sniffed int
	waypoint          string
	outside           bool
}

var subjects = []subject{
	{host: "web.a.svc.cluster.local", namespace: "a", name: "web", versions: []string{"web-v1", "web-v2"}, http: []int{80, 80, 80, 81, 8000}, tcp: 3306, tls: 443, sniffed: 8000, waypoint: "a/waypoint"},
	{host: "api.b.svc.cluster.local", namespace: "b", name: "api", versions: []string{"api-v1", "api-v2"}, http: []int{80, 80, 80, 9000}, tcp: 3306, tls: 443, sniffed: 3306, waypoint: "b/waypoint"},
	{host: "outside.example.com", namespace: "a", name: "outside", http: []int{80}, tls: 443, waypoint: "a/waypoint", outside: true},
}

// maker makes one case.
type maker struct {
	*rand.Rand
	subject subject
	objects []object
	hints   []hint
	marks   int
}

// hint is a match that calls may be made for.
type hint struct {
	match object
	sni   string
	host  string
}

// Case makes the n-th case of a seed; it depends on both alone. Objects that istiod's validation refuses are left out.
func Case(seed uint64, n int) (*routecorpus.Case, error) {
	m := &maker{Rand: rand.New(rand.NewPCG(seed, uint64(n)))}
	m.subject = subjects[m.weighted(6, 3, 1)]
	m.makeObjects()
	c := &routecorpus.Case{ID: fmt.Sprintf("g%d", n)}
	for _, o := range m.objects {
		raw, err := json.Marshal(o)
		if err != nil {
			return nil, err
		}
		if routeworld.Valid(raw) == nil {
			c.Objects = append(c.Objects, raw)
		}
	}
	c.Calls = m.calls()
	return c, nil
}

// weighted draws an index by weight.
func (m *maker) weighted(weights ...int) int {
	sum := 0
	for _, w := range weights {
		sum += w
	}
	at := m.IntN(sum)
	for i, w := range weights {
		if at < w {
			return i
		}
		at -= w
	}
	return 0
}

func (m *maker) chance(percent int) bool { return m.IntN(100) < percent }

func pick[T any](m *maker, list ...T) T { return list[m.IntN(len(list))] }

// mark is a number that tells where a setting came from.
func (m *maker) mark() int {
	m.marks++
	return 10 + m.marks
}

// some draws up to n different values.
func some(m *maker, n int, list ...string) []any {
	var out []any
	seen := map[string]bool{}
	for range n {
		if v := pick(m, list...); !seen[v] {
			seen[v] = true
			out = append(out, v)
		}
	}
	return out
}

func (m *maker) add(apiVersion, kind, namespace string, spec object) {
	m.objects = append(m.objects, object{"apiVersion": apiVersion, "kind": kind, "metadata": object{
		"name": fmt.Sprintf("%c-%d", 'a'+rune(m.IntN(4)), len(m.objects)), "namespace": namespace,
		"creationTimestamp": fmt.Sprintf("2024-01-01T00:00:0%dZ", m.IntN(4))}, "spec": spec})
}

// namespace draws where an object stands: mostly with its subject.
func (m *maker) namespace() string {
	if m.chance(60) {
		return m.subject.namespace
	}
	return pick(m, "a", "b", "c", "istio-system")
}

func (m *maker) makeObjects() {
	switch m.weighted(45, 35, 20) {
	case 0: // VirtualServices
		for range 1 + m.weighted(6, 3, 1) {
			m.virtualService()
		}
	case 1: // Gateway API
		for range 1 + m.weighted(5, 3, 2) {
			m.gatewayRoute()
		}
	case 2:
		m.virtualService()
		m.gatewayRoute()
	}
	for range m.weighted(3, 5, 3, 1) {
		m.destinationRule()
	}
	if m.chance(12) {
		m.sidecar()
	}
	if m.chance(6) {
		m.backendTLS()
	}
}

func (m *maker) exportTo(spec object) {
	if m.chance(20) {
		spec["exportTo"] = some(m, 2, ".", "*", "a", "b", "c")
	}
}

// sidecar narrows what the clients of a namespace see.
func (m *maker) sidecar() {
	ns := pick(m, "a", "b", "c", "istio-system")
	spec := object{"egress": []any{object{"hosts": some(m, 3, "./*", "a/*", "*/*", "*/web.a.svc.cluster.local", "b/api.b.svc.cluster.local", "istio-system/*", "*/outside.example.com")}}}
	if m.chance(40) {
		spec["outboundTrafficPolicy"] = object{"mode": "REGISTRY_ONLY"}
	}
	if ns != "istio-system" && m.chance(30) {
		spec["workloadSelector"] = object{"labels": object{"app": "client"}}
	}
	m.add("networking.istio.io/v1", "Sidecar", ns, spec)
}
