package metric

// MaxQueries is the most requests a collection may send over two weeks, whatever the size of the mesh.
const MaxQueries = 22

// All is the catalogue, in the order it is queried: cheap and telling first, so that a bad server is
// found out before it is loaded.
func All() []Metric {
	return []Metric{
		presence,
		nodeCount,
		nodePrice,
		edgeInstruments,
		edgeLatency, // the longest, so that nothing waits for it alone
		podRole,
		proxyRequests,
		proxyUsage,
		podStartup,
		sidecarPods,
		edgeRequests,
		edgeWorkloads,
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
