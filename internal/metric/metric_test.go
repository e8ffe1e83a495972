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
	p := Params{Start: time.Unix(0, 0), End: time.Unix(0, 0).Add(14 * 24 * time.Hour)}.Defaults()
	names, queries := map[string]bool{}, map[string]string{}
	requests := 0
	for _, m := range All() {
		requests += len(m.Evaluations(p))
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
		for _, e := range m.Evaluations(p) {
			switch {
			case (m.Kind == Range) != (e.Step > 0), (m.Kind == Sampled) != (m.Samples > 0):
				t.Errorf("%s of kind %q is evaluated %+v", m.Name, m.Kind, e)
			case e.Step > 0 && e.End.Sub(e.Start)/e.Step > 10_999:
				t.Errorf("%s returns more than 11,000 points per series", m.Name)
			}
		}
		if got, ok := Lookup(m.Name); !ok || got.Name != m.Name {
			t.Errorf("%s cannot be looked up", m.Name)
		}
	}
	if requests > MaxQueries {
		t.Errorf("%d requests, at most %d", requests, MaxQueries)
	}
}

func TestHealthIsUniqueAndDocumented(t *testing.T) {
	names := map[string]bool{}
	for _, m := range All() {
		names[m.Name] = true
	}
	for _, m := range Health() {
		q := m.Query(Params{})
		switch {
		case names[m.Name]:
			t.Errorf("%s is not unique", m.Name)
		case m.Kind != Instant:
			t.Errorf("%s is not asked once", m.Name)
		case m.Unit == "" || m.Doc == "" || m.NoData == "" || len(m.Sources) == 0:
			t.Errorf("%s lacks unit, doc, what no data means or sources", m.Name)
		case strings.ContainsAny(q, "\n\t") || strings.Contains(q, "__name__"):
			t.Errorf("%s: %s", m.Name, q)
		}
		names[m.Name] = true
		for _, s := range m.Series {
			if !strings.Contains(q, s) {
				t.Errorf("%s declares series %s, which its query does not read", m.Name, s)
			}
		}
		if got, ok := LookupHealth(m.Name); !ok || got.Name != m.Name {
			t.Errorf("%s cannot be looked up", m.Name)
		}
	}
}

func TestSamplesAreSpreadOverTheDayAndTheWeek(t *testing.T) {
	end := time.Date(2026, 9, 1, 12, 0, 0, 0, time.UTC)
	for _, days := range []int{7, 10, 14, 21, 28, 30, 60} {
		p := Params{Start: end.AddDate(0, 0, -days), End: end}
		hours, week := map[int]bool{}, map[time.Duration]bool{}
		for _, e := range (Metric{Kind: Sampled, Samples: 6}).Evaluations(p) {
			if e.End.Before(p.Start) || e.End.After(p.End) {
				t.Errorf("%d days: %s is outside", days, e.End)
			}
			hours[e.End.Hour()] = true
			week[time.Duration(e.End.Unix())*time.Second%(7*24*time.Hour)] = true
		}
		if len(hours) != 6 || len(week) != 6 {
			t.Errorf("%d days: %d hours of the day, %d of the week; want 6", days, len(hours), len(week))
		}
	}
	for _, window := range []time.Duration{10 * time.Minute, 2 * time.Hour, 26 * time.Hour} {
		p := Params{Start: end.Add(-window), End: end}
		seen := map[time.Time]bool{}
		for _, e := range (Metric{Kind: Sampled, Samples: 6}).Evaluations(p) {
			if e.End.Before(p.Start) || e.End.After(p.End) || seen[e.End] {
				t.Errorf("%s: %s is outside, or there twice", window, e.End)
			}
			seen[e.End] = true
		}
	}
}

func TestRangesEndOnTheHourAndKeepToTheirSpan(t *testing.T) {
	end := time.Date(2026, 9, 1, 12, 34, 0, 0, time.UTC)
	m := Metric{Kind: Range, Step: time.Hour, Span: 7 * 24 * time.Hour}
	for name, c := range map[string]struct {
		window time.Duration
		first  time.Time
		step   time.Duration
	}{
		"a window within the span is read whole":      {3 * 24 * time.Hour, time.Date(2026, 8, 29, 13, 0, 0, 0, time.UTC), time.Hour},
		"of a longer one the end is read":             {14 * 24 * time.Hour, time.Date(2026, 8, 25, 13, 0, 0, 0, time.UTC), time.Hour},
		"a window of minutes gets a point per minute": {10 * time.Minute, time.Date(2026, 9, 1, 12, 25, 0, 0, time.UTC), time.Minute},
	} {
		got := m.Evaluations(Params{Start: end.Add(-c.window), End: end})
		if want := (Evaluation{c.first, end.Truncate(c.step), c.step}); len(got) != 1 || got[0] != want {
			t.Errorf("%s: %+v, want %+v", name, got, want)
		}
	}
	m.Span = 0
	n, last := 0, time.Time{}
	for _, e := range m.Evaluations(Params{Start: end.AddDate(-2, 0, 0), End: end}) {
		if !last.IsZero() && e.Start.Sub(last) != time.Hour {
			t.Errorf("a part begins at %s, the one before ends at %s", e.Start, last)
		}
		n += int(e.End.Sub(e.Start)/e.Step) + 1
		last = e.End
	}
	if n != 2*365*24 {
		t.Errorf("%d hours in two years", n)
	}
}
func TestAnAnswerThatIsNotThereIsNeverZero(t *testing.T) {
	for name, r := range map[string]Result{
		"failed":         {Metric: "proxy_usage", Failed: "no route", Series: []Series{{Points: []Point{{0, 1}}}}},
		"partial":        {Metric: "proxy_usage", Partial: true, Warnings: []string{"store gone"}, Series: []Series{{Points: []Point{{0, 1}}}}},
		"empty":          {Metric: "proxy_usage"},
		"never asked":    Dump{}.Result("proxy_usage"),
		"server refused": Dump{Failed: "HTTP 401"}.Result("proxy_usage"),
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
