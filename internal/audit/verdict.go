package audit

// rank gives the place of a verdict in the lattice; an unknown word ranks highest, since ignorance is
// never optimism.
func (v Verdict) rank() int {
	switch v {
	case "", VerdictNone:
		return 0
	case VerdictAmbient:
		return 1
	case VerdictWaypoint:
		return 2
	default:
		return 3
	}
}

// Costlier tells whether v is a costlier mode than o.
func (v Verdict) Costlier(o Verdict) bool { return v.rank() > o.rank() }

func costliest(a, b Verdict) Verdict {
	if b.Costlier(a) {
		return b
	}
	return a
}

// rank gives the place of a severity, the most severe last.
func (s Severity) rank() int {
	switch s {
	case "", Info:
		return 0
	case Warning:
		return 1
	default:
		return 2
	}
}

// Worse tells whether s is more severe than o.
func (s Severity) Worse(o Severity) bool { return s.rank() > o.rank() }
