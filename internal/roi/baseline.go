package roi

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"sort"
	"time"

	"github.com/sidestep-mesh/sidestep/internal/roi/latency"
	"github.com/sidestep-mesh/sidestep/internal/roi/terms"
)

// Baseline freezes what stood before and what was promised. Its hash covers everything in it, so that a promise cannot be
// edited after the fact without notice.
type Baseline struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	// Hash is SHA-256 over the document with an empty hash, hexadecimal.
	Hash        string    `json:"hash"`
	At          time.Time `json:"at"`
	WindowStart time.Time `json:"windowStart"`
	// Tool and Server are the versions of sidestep and of the metrics server.
	Tool   string `json:"tool"`
	Server string `json:"server"`
	// Queries are the PromQL texts that were asked, by metric.
	Queries map[string]string `json:"queries"`
	// Instrument is the matcher of the edge metrics; a report asks with the same.
	Instrument string     `json:"instrument,omitempty"`
	Prices     []PriceUse `json:"prices,omitempty"`
	Nodes      int        `json:"nodes"`
	// NodePrice is the mean price of a node per hour, 0 when not known.
	NodePrice float64    `json:"nodePricePerHour"`
	Currency  string     `json:"currency,omitempty"`
	Accounts  []Account  `json:"accounts"`
	Sidecars  ProxyState `json:"sidecars"`
	// Proxied are the workloads with sidecars; Machines the nodes by type, MeanNodes their mean number over the window (0 where only an instant is known).
	Proxied  []Proxied  `json:"proxied,omitempty"`
	Machines []Machines `json:"machines,omitempty"`
	// Workloads are what a comparison has to know of each workload that serves.
	Workloads  map[string]Reading   `json:"workloads,omitempty"`
	MeanNodes  float64              `json:"meanNodes,omitempty"`
	EdgeRPS    float64              `json:"edgeRequestsPerSecond"`
	Promised   Forecast             `json:"promised"`
	Edge       []latency.EdgeSeries `json:"edge,omitempty"`
	LeftOut    []string             `json:"leftOut,omitempty"`
	Commitment Commitment           `json:"commitment"`
}

// Reading is what stood of a workload when it was read: its mode, and a fingerprint of its application's images and limits, so that a release is not taken for an effect of the mesh.
type Reading struct {
	Mode        terms.Mode `json:"mode"`
	Application string     `json:"application"`
}

// Freeze completes a baseline: it orders the edge series by traffic and hashes. Nothing is left out: it is a file, and a namespace that is missing in it cannot be judged later.
func (b Baseline) Freeze() (Baseline, error) {
	b.APIVersion, b.Kind, b.Hash = APIVersion, BaselineKind, ""
	b.Edge = append([]latency.EdgeSeries(nil), b.Edge...)
	sort.SliceStable(b.Edge, func(i, j int) bool {
		return latency.Median(latency.Values(b.Edge[i].RPS)) > latency.Median(latency.Values(b.Edge[j].RPS))
	})
	h, err := b.hash()
	if err != nil {
		return b, err
	}
	b.Hash = h
	return b, nil
}

func (b Baseline) hash() (string, error) {
	b.Hash = ""
	raw, err := json.Marshal(b)
	if err != nil {
		return "", fmt.Errorf("hash baseline: %w", err)
	}
	sum := sha256.Sum256(raw)
	return hex.EncodeToString(sum[:]), nil
}

// ReadBaseline checks kind, version and hash.
func ReadBaseline(raw []byte, name string) (Baseline, error) {
	var b Baseline
	if err := json.Unmarshal(raw, &b); err != nil {
		return b, fmt.Errorf("%s: read baseline: %w", name, err)
	}
	if b.Kind != BaselineKind || b.APIVersion != APIVersion {
		return b, fmt.Errorf("%s: it is a %q of %q, want %s of %s; make one with sidestep roi baseline", name, b.Kind, b.APIVersion, BaselineKind, APIVersion)
	}
	h, err := b.hash()
	if err != nil {
		return b, err
	}
	if h != b.Hash {
		return b, fmt.Errorf("%s: the hash does not match: the baseline was changed after it was frozen (recorded %.12s, computed %.12s)", name, b.Hash, h)
	}
	return b, nil
}

// Week is the state of one ISO week, small enough to keep for years.
type Week struct {
	APIVersion string       `json:"apiVersion"`
	Kind       string       `json:"kind"`
	Week       string       `json:"week"` // 2026-W36
	At         time.Time    `json:"at"`
	Baseline   string       `json:"baseline"` // its hash
	Nodes      terms.Figure `json:"nodes"`
	Sidecars   int          `json:"sidecars"`
	CPU        terms.Figure `json:"cpuRequests"`    // of the whole mesh
	Memory     terms.Figure `json:"memoryRequests"` // of the whole mesh
	EdgeRPS    terms.Figure `json:"edgeRequestsPerSecond"`
	Drift      []string     `json:"drift,omitempty"`
}

// WeekName is the ISO week of a time.
func WeekName(t time.Time) string {
	y, w := t.UTC().ISOWeek()
	return fmt.Sprintf("%d-W%02d", y, w)
}
