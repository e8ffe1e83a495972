package latency

import (
	"fmt"
	"sort"

	"github.com/sidestep-mesh/sidestep/internal/roi/terms"
)

// Values are the values alone.
func Values(in []Hourly) []float64 {
	out := make([]float64, len(in))
	for i, h := range in {
		out[i] = h.V
	}
	return out
}

func constant(in []float64) bool {
	for _, v := range in {
		if v != in[0] {
			return false
		}
	}
	return true
}

// ModeEdge is what the edge saw of the workloads in one mode. Figures that are not known say why.
type ModeEdge struct {
	Mode terms.Mode
	// Namespaces are those with such workloads.
	Namespaces       []string
	P50, P99, Errors terms.Figure
}

// ModeLatency is what the edge saw of the workloads in one mode: context, not a comparison. Modes serve different
// applications, so a difference between two rows is not an effect of the mesh.
type ModeLatency struct {
	Mode       terms.Mode   `json:"mode"`
	Namespaces []string     `json:"namespaces,omitempty"`
	P50        terms.Figure `json:"p50"`
	P99        terms.Figure `json:"p99"`
	Errors     terms.Figure `json:"errorRatio"`
	Startup    terms.Figure `json:"startup"`
}

// ByMode joins what the edge saw with how long pods take to start: seconds from created to ready, by mode.
func ByMode(edge []ModeEdge, startups map[terms.Mode][]float64) []ModeLatency {
	by := map[terms.Mode]ModeLatency{}
	for _, e := range edge {
		by[e.Mode] = ModeLatency{Mode: e.Mode, Namespaces: e.Namespaces, P50: e.P50, P99: e.P99, Errors: e.Errors, Startup: terms.Missing("s", "no pod start-up times")}
	}
	if m, ok := by[terms.ModeMixed]; ok {
		m.Startup = terms.Missing("s", "pods are counted under their own mode")
		by[terms.ModeMixed] = m
	}
	for mode, seconds := range startups {
		m, ok := by[mode]
		if !ok {
			const none = "no edge series"
			m = ModeLatency{Mode: mode, P50: terms.Missing("ms", none), P99: terms.Missing("ms", none), Errors: terms.Missing("ratio", none), Startup: terms.Missing("s", "no pod start-up times")}
		}
		if len(seconds) > 0 {
			m.Startup = terms.Known(Median(seconds), "s", fmt.Sprintf("pods, created to ready, median of %d", len(seconds)))
		}
		by[mode] = m
	}
	out := make([]ModeLatency, 0, len(by))
	for _, m := range by {
		out = append(out, m)
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Mode < out[j].Mode })
	return out
}
