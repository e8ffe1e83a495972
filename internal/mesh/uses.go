package mesh

import (
	"cmp"
	"slices"
)

// maxEvidence bounds the places one Use names. A workload behind thousands of policies needs the
// number, not the list.
const maxEvidence = 64

// found is a feature read from one object, before it is known which workloads it concerns.
type found struct {
	feature  Feature
	side     Side
	evidence []Evidence
}

// gather collects what one object uses.
type gather struct {
	object Ref
	list   []found
}

// see records a feature with the field it was read from.
func (g *gather) see(f Feature, side Side, field, value string) {
	e := evidence(g.object, field, value)
	for i := range g.list {
		if g.list[i].feature == f && g.list[i].side == side {
			g.list[i].evidence = append(g.list[i].evidence, e)
			return
		}
	}
	g.list = append(g.list, found{f, side, []Evidence{e}})
}

// seeAt records a feature of both sides that stands in another object than the one that is read.
func (g *gather) seeAt(object Ref, f Feature, field, value string) {
	at := gather{object: object}
	at.see(f, Both, field, value)
	g.list = append(g.list, at.list...)
}

// addUse adds evidence to a list of uses. Evidence is shared between workloads until one of them has
// more: a policy over a whole namespace is stored once.
func addUse(uses []Use, f Feature, side Side, ev []Evidence) []Use {
	for i := range uses {
		u := &uses[i]
		if u.Feature != f || u.Side != side {
			continue
		}
		room := maxEvidence - len(u.Evidence)
		if room < len(ev) {
			u.Omitted += len(ev) - max(room, 0)
			ev = ev[:max(room, 0)]
		}
		u.Evidence = append(u.Evidence, ev...)
		return uses
	}
	omitted := max(len(ev)-maxEvidence, 0)
	return append(uses, Use{Feature: f, Side: side, Evidence: slices.Clip(ev[:len(ev)-omitted]), Omitted: omitted})
}

func (w *Workload) use(list []found) {
	if w.Role != Application {
		return
	}
	for _, f := range list {
		w.Uses = addUse(w.Uses, f.feature, f.side, f.evidence)
	}
}

// useOn records only one side of a list.
func (w *Workload) useOn(side Side, list []found) {
	if w.Role != Application {
		return
	}
	for _, f := range list {
		if f.side == side || f.side == Both {
			w.Uses = addUse(w.Uses, f.feature, f.side, f.evidence)
		}
	}
}

func (s *Service) use(list []found) {
	for _, f := range list {
		s.Uses = addUse(s.Uses, f.feature, f.side, f.evidence)
	}
}

func (b *builder) meshUse(f Feature, e Evidence) {
	b.mesh.Uses = addUse(b.mesh.Uses, f, Both, []Evidence{e})
}

func sortUses(uses []Use) {
	slices.SortFunc(uses, func(a, b Use) int {
		return cmp.Or(cmp.Compare(a.Feature, b.Feature), cmp.Compare(a.Side, b.Side))
	})
}

// Has tells that a workload uses a feature on either side.
func (w *Workload) Has(f Feature) bool { return len(w.Evidence(f)) > 0 }

// Evidence returns every place that a feature of the workload was read from.
func (w *Workload) Evidence(f Feature) []Evidence {
	var out []Evidence
	for _, u := range w.Uses {
		if u.Feature == f {
			out = append(out, u.Evidence...)
		}
	}
	return out
}
