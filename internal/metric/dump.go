package metric

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"sort"
	"time"

	"github.com/sidestep-mesh/sidestep/internal/object"
)

// Point is one sample: Unix seconds and a finite value.
type Point struct {
	T int64   `json:"t"`
	V float64 `json:"v"`
}

// Series is one result series.
type Series struct {
	Labels map[string]string `json:"labels,omitempty"`
	Points []Point           `json:"points"`
}

// Last is the newest value.
func (s Series) Last() (float64, bool) {
	if len(s.Points) == 0 {
		return 0, false
	}
	return s.Points[len(s.Points)-1].V, true
}

// Mean is the mean of its values.
func (s Series) Mean() (float64, bool) {
	sum := 0.0
	for _, p := range s.Points {
		sum += p.V
	}
	return sum / float64(max(1, len(s.Points))), len(s.Points) > 0
}

// Result is the answer to one query.
type Result struct {
	Metric string   `json:"metric"`
	Query  string   `json:"query"`
	Unit   Unit     `json:"unit"`
	Series []Series `json:"series"`
	// Dropped counts values that were NaN or infinite; they are never kept.
	Dropped int `json:"dropped,omitempty"`
	// Partial tells that the server answered with warnings: figures that rest on it are withheld.
	Partial  bool     `json:"partial,omitempty"`
	Warnings []string `json:"warnings,omitempty"`
	// Failed is why there is no answer; empty on success.
	Failed string `json:"failed,omitempty"`
}

// Usable tells whether figures may rest on r: it was answered whole and is not empty.
func (r Result) Usable() bool { return r.Failed == "" && !r.Partial && len(r.Series) > 0 }

// Why says why r is not usable, in a few words; empty when it is.
func (r Result) Why() string {
	m, ok := Lookup(r.Metric)
	if !ok {
		m, ok = LookupHealth(r.Metric)
	}
	if !ok {
		m, _ = LookupMigration(r.Metric)
	}
	switch {
	case r.Failed != "":
		return r.Failed
	case r.Partial:
		return "partial answer: " + fmt.Sprint(r.Warnings)
	case len(r.Series) == 0:
		return "no data: " + m.NoData
	}
	return ""
}

// Finite keeps a value that may be printed.
func Finite(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }

// APIVersion and Kind identify a recorded dump.
const (
	APIVersion = object.APIVersion
	DumpKind   = "MetricDump"
)

// Dump is every answer of one collection. It stands in for the server: a report made from a dump equals
// the report made when it was recorded.
type Dump struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	// Server is what the backend calls itself, for example "prometheus 3.11.3".
	Server string        `json:"server"`
	Start  time.Time     `json:"start"`
	End    time.Time     `json:"end"`
	Took   time.Duration `json:"tookNanoseconds,omitempty"`
	// Instrument is the matcher of the edge metrics.
	Instrument string   `json:"instrument,omitempty"`
	Results    []Result `json:"results"`
	// Failed is why the server as a whole could not be asked; Results is then empty.
	Failed string `json:"failed,omitempty"`
}

// Result finds the answer for a metric. A metric that was not asked for gives a failed result, never an
// empty one: absence of a question is not absence of data.
func (d Dump) Result(name string) Result {
	for _, r := range d.Results {
		if r.Metric == name {
			return r
		}
	}
	why := "not recorded"
	if d.Failed != "" {
		why = d.Failed
	}
	return Result{Metric: name, Failed: why}
}

// Encode writes d as JSON with series in a fixed order, so that equal answers give equal bytes.
func (d Dump) Encode(w io.Writer) error {
	d.APIVersion, d.Kind = APIVersion, DumpKind
	for _, r := range d.Results {
		sort.Slice(r.Series, func(i, j int) bool { return key(r.Series[i].Labels) < key(r.Series[j].Labels) })
	}
	return json.NewEncoder(w).Encode(d)
}

// Decode reads a dump and refuses one that is not of this kind or holds a value that cannot be.
func Decode(r io.Reader) (Dump, error) {
	var d Dump
	if err := json.NewDecoder(r).Decode(&d); err != nil {
		return Dump{}, fmt.Errorf("read metric dump: %w", err)
	}
	if d.Kind != DumpKind || d.APIVersion != APIVersion {
		return Dump{}, fmt.Errorf("read metric dump: it is a %q of %q, want %s of %s; record one with sidestep roi collect, or sidestep doctor --record",
			d.Kind, d.APIVersion, DumpKind, APIVersion)
	}
	if d.End.Before(d.Start) {
		return Dump{}, fmt.Errorf("read metric dump: it ends (%s) before it starts (%s)", d.End.Format(time.RFC3339), d.Start.Format(time.RFC3339))
	}
	return d, nil
}

func key(labels map[string]string) string {
	names := make([]string, 0, len(labels))
	for n := range labels {
		names = append(names, n)
	}
	sort.Strings(names)
	out := ""
	for _, n := range names {
		out += n + "\x00" + labels[n] + "\x00"
	}
	return out
}
