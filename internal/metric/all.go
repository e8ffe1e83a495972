package metric

// MaxQueries is the most queries a report may send, whatever the size of the mesh.
const MaxQueries = 20

// All is the catalogue, in the order it is queried: cheap and telling first, so that a bad server is
// found out before it is loaded.
func All() []Metric {
	return []Metric{
		presence,
		nodeCount,
		nodeAllocatable,
		nodePrice,
		podRole,
		proxyRequests,
		proxyCPU,
		proxyMemory,
		podStartup,
		edgeP50,
		edgeP99,
		edgeRequests,
		edgeErrors,
		proxiedRequests,
		istiodPushes,
		zoneBytes,
		meshBytes,
	}
}

// Lookup finds a metric by name.
func Lookup(name string) (Metric, bool) {
	for _, m := range All() {
		if m.Name == name {
			return m, true
		}
	}
	return Metric{}, false
}
