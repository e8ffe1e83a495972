package metric

import (
	"bytes"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestRegistryIsSmallUniqueAndDocumented(t *testing.T) {
	if n := len(All()); n > MaxQueries {
		t.Errorf("%d queries, at most %d", n, MaxQueries)
	}
	p := Params{Start: time.Unix(0, 0), End: time.Unix(0, 0).Add(14 * 24 * time.Hour)}.Defaults()
	names, queries := map[string]bool{}, map[string]string{}
	for _, m := range All() {
		if names[m.Name] || m.Name == "" {
			t.Errorf("name %q is not unique", m.Name)
		}
		names[m.Name] = true
		q := m.Query(p)
		if other := queries[q]; other != "" {
			t.Errorf("%s and %s ask the same", m.Name, other)
		}
		queries[q] = m.Name
		if m.Unit == "" || m.Doc == "" || m.NoData == "" || len(m.Sources) == 0 || len(m.Series) == 0 {
			t.Errorf("%s lacks unit, doc, what no data means, sources or series", m.Name)
		}
		for _, s := range m.Series {
			if !strings.Contains(q, s) {
				t.Errorf("%s declares series %s, which its query does not read:\n%s", m.Name, s, q)
			}
		}
		if strings.Contains(q, "__name__") {
			t.Errorf("%s matches on __name__, which managed services refuse", m.Name)
		}
		if strings.Contains(q, "\n") || len(q) > 6000 {
			t.Errorf("%s: %d characters, or several lines", m.Name, len(q))
		}
		switch m.Kind {
		case Instant:
		case Range:
			if n := p.Points(m.Step); n == 0 || n > 11_000 {
				t.Errorf("%s returns %d points per series over 14 days", m.Name, n)
			}
		default:
			t.Errorf("%s is of kind %q", m.Name, m.Kind)
		}
		if got, ok := Lookup(m.Name); !ok || got.Name != m.Name {
			t.Errorf("%s cannot be looked up", m.Name)
		}
	}
}

func TestAnAnswerThatIsNotThereIsNeverZero(t *testing.T) {
	for name, r := range map[string]Result{
		"failed":         {Metric: "proxy_cpu", Failed: "no route", Series: []Series{{Points: []Point{{0, 1}}}}},
		"partial":        {Metric: "proxy_cpu", Partial: true, Warnings: []string{"store gone"}, Series: []Series{{Points: []Point{{0, 1}}}}},
		"empty":          {Metric: "proxy_cpu"},
		"never asked":    Dump{}.Result("proxy_cpu"),
		"server refused": Dump{Failed: "HTTP 401"}.Result("proxy_cpu"),
	} {
		if r.Usable() || r.Why() == "" {
			t.Errorf("%s: usable %v, why %q", name, r.Usable(), r.Why())
		}
	}
}

func TestDumpComesBackAsItWas(t *testing.T) {
	d := Dump{APIVersion: APIVersion, Kind: DumpKind, Server: "prometheus 3", Start: time.Unix(0, 0).UTC(), End: time.Unix(3600, 0).UTC(),
		Results: []Result{{Metric: "node_count", Query: "q", Unit: Nodes, Series: []Series{{Labels: map[string]string{"a": "1"}, Points: []Point{{1, 2.5}}}}}}}
	var b, again bytes.Buffer
	if err := d.Encode(&b); err != nil {
		t.Fatal(err)
	}
	text := b.String()
	got, err := Decode(&b)
	if err != nil || !reflect.DeepEqual(got, d) {
		t.Errorf("%v\n%+v\n%+v", err, got, d)
	}
	if err := got.Encode(&again); err != nil || again.String() != text {
		t.Errorf("written twice it differs: %v", err)
	}
	for name, bad := range map[string]string{
		"another kind": `{"apiVersion":"sidestep.dev/v1alpha1","kind":"Pod"}`, "no JSON": `nope`, "cut short": text[:len(text)/2],
		"ends before it starts": `{"apiVersion":"sidestep.dev/v1alpha1","kind":"MetricDump","start":"2026-01-02T00:00:00Z","end":"2026-01-01T00:00:00Z"}`,
	} {
		if _, err := Decode(strings.NewReader(bad)); err == nil {
			t.Errorf("%s was accepted", name)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"apiVersion":"sidestep.dev/v1alpha1","kind":"MetricDump","results":[{"metric":"node_count","series":[{"points":[{"t":1,"v":2}]}]}]}`))
	f.Add([]byte(`{"kind":"MetricDump"}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		d, err := Decode(bytes.NewReader(raw))
		if err != nil {
			return
		}
		for _, r := range d.Results {
			for _, s := range r.Series {
				if v, ok := s.Last(); ok && !Finite(v) {
					t.Errorf("%g came through", v)
				}
			}
		}
	})
}

func TestFinite(t *testing.T) {
	for _, v := range []float64{math.NaN(), math.Inf(1), math.Inf(-1)} {
		if Finite(v) {
			t.Errorf("%g is finite", v)
		}
	}
	if !Finite(0) {
		t.Error("zero is finite")
	}
}
