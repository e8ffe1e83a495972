package routecases

import "fmt"

func (m *maker) destinationRule() {
	s := m.subject
	ns := m.namespace()
	hosts := []string{s.host, s.host, s.host}
	if !s.outside {
		hosts = append(hosts, "*."+s.namespace+".svc.cluster.local", "*.cluster.local")
		if ns == s.namespace {
			hosts = append(hosts, s.name)
		}
		hosts = append(hosts, s.versions[0]+"."+s.namespace+".svc.cluster.local")
	} else {
		hosts = append(hosts, "*.example.com")
	}
	spec := object{"host": pick(m, hosts...)}
	if m.chance(60) {
		spec["trafficPolicy"] = m.trafficPolicy(true)
	}
	if m.chance(80) {
		var list []any
		for _, v := range some(m, 3, "v1", "v2", "v3") {
			sub := object{"name": v, "labels": object{"version": v}}
			if m.chance(10) {
				delete(sub, "labels")
			}
			if m.chance(30) {
				sub["trafficPolicy"] = m.trafficPolicy(true)
			}
			list = append(list, sub)
		}
		spec["subsets"] = list
	}
	m.exportTo(spec)
	if m.chance(10) {
		spec["workloadSelector"] = object{"matchLabels": object{"team": pick(m, "red", "blue")}}
		delete(spec, "exportTo")
	}
	m.add("networking.istio.io/v1", "DestinationRule", ns, spec)
}

// trafficPolicy draws settings whose numbers tell where they stand.
func (m *maker) trafficPolicy(top bool) object {
	out := object{}
	if m.chance(40) {
		out["connectionPool"] = object{"tcp": object{"maxConnections": m.mark()}}
		if m.chance(40) {
			out["connectionPool"].(object)["http"] = object{"http1MaxPendingRequests": m.mark(), "h2UpgradePolicy": pick(m, "DEFAULT", "UPGRADE", "DO_NOT_UPGRADE")}
		}
	}
	if m.chance(30) {
		out["outlierDetection"] = object{"consecutive5xxErrors": m.mark()}
	}
	if m.chance(40) {
		switch m.weighted(3, 3) {
		case 0:
			out["loadBalancer"] = object{"simple": pick(m, "RANDOM", "ROUND_ROBIN", "LEAST_REQUEST", "PASSTHROUGH")}
		case 1:
			out["loadBalancer"] = object{"consistentHash": object{"httpHeaderName": fmt.Sprintf("x-hash-%d", m.mark())}}
		}
	}
	if m.chance(25) {
		tls := object{"mode": pick(m, "SIMPLE", "DISABLE", "ISTIO_MUTUAL", "SIMPLE")}
		if tls["mode"] == "SIMPLE" && m.chance(50) {
			tls["sni"] = fmt.Sprintf("s%d.example.com", m.mark())
		}
		out["tls"] = tls
	}
	if top && m.chance(25) {
		p := m.trafficPolicy(false)
		p["port"] = object{"number": pick(m, 80, 80, 81, 3306)}
		out["portLevelSettings"] = []any{p}
	}
	return out
}

func (m *maker) backendTLS() {
	s := m.subject
	ref := object{"group": "", "kind": "Service", "name": s.name}
	if s.outside {
		ref["group"], ref["kind"] = "networking.istio.io", "ServiceEntry"
	}
	if m.chance(40) {
		ref["sectionName"] = "http"
	}
	m.add("gateway.networking.k8s.io/v1", "BackendTLSPolicy", s.namespace, object{"targetRefs": []any{ref},
		"validation": object{"hostname": fmt.Sprintf("b%d.example.com", m.mark()), "wellKnownCACertificates": "System"}})
}
