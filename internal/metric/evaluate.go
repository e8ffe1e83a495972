package metric

import "time"

// maxPoints keeps range queries below the 11,000 points per series that Prometheus' API allows (web/api/v1/api.go).
const maxPoints = 10_000

// Evaluation is one request to the server: at every Step from Start to End, or, when Step is zero, at End alone.
type Evaluation struct {
	Start, End time.Time
	Step       time.Duration
}

// Evaluations are the requests that a metric takes over p's window.
func (m Metric) Evaluations(p Params) []Evaluation {
	switch m.Kind {
	case Sampled:
		return p.sampled(m.Samples)
	case Range:
		return m.chunks(p)
	}
	return []Evaluation{{End: p.End}}
}

// sampled spreads n instants over the window, the newest at its end. Each is a request of its own: a server opens, for every
// selector of a query, all blocks between the earliest and the latest time in that query, so eight offsets in one
// query cost 8 x 14 readings of the index over two weeks, and eight queries cost eight.
//
// The distance is such that the times of the day are all different: 24 hours / n more or less than whole days. Over a
// week or more that also keeps them apart in the week.
func (p Params) sampled(n int) []Evaluation {
	const day = 24 * time.Hour
	distance := p.Window() / time.Duration(n)
	for d := distance.Truncate(time.Hour); d > 0; d -= time.Hour {
		if of := d % day; of == day/time.Duration(n) || of == day-day/time.Duration(n) {
			distance = d
			break
		}
	}
	out := make([]Evaluation, n)
	for i := range out {
		out[i].End = p.End.Add(-time.Duration(i) * distance).Truncate(time.Second)
	}
	return out
}

// chunks divides a range so that each part is within the API's limit; parts meet but do not overlap.
func (m Metric) chunks(p Params) []Evaluation {
	if m.Span > 0 && p.Window() > m.Span {
		p.Start = p.End.Add(-m.Span)
	}
	// Hours end on the hour, whoever asks and whenever. A window too short for hours gets a dozen points.
	step := m.Step
	if p.Window() < 12*step {
		step = max(time.Minute, (p.Window() / 12).Truncate(time.Minute))
	}
	var out []Evaluation
	end := p.End.Truncate(step)
	for from := p.Start.Truncate(step).Add(step); !from.After(end); from = from.Add(maxPoints * step) {
		to := from.Add((maxPoints - 1) * step)
		if to.After(end) {
			to = end
		}
		out = append(out, Evaluation{from, to, step})
	}
	return out
}
