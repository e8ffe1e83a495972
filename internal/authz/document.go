package authz

import (
	"fmt"
	"sort"
	"strings"

	"github.com/sidestep-mesh/sidestep/internal/object"
)

// APIVersion of the JSON documents of this package.
const APIVersion = object.APIVersion

// AuthzDiff is a Result as a versioned document.
type AuthzDiff struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Result
}

// Document wraps a result for output as JSON.
func (r Result) Document() AuthzDiff {
	if r.Divergences == nil {
		r.Divergences = []Divergence{}
	}
	return AuthzDiff{APIVersion: APIVersion, Kind: "AuthzDiff", Result: r}
}

// Weaker lists the divergences that let something through, or may.
func (r Result) Weaker() []Divergence {
	var out []Divergence
	for _, d := range r.Divergences {
		if d.Kind == Weaker {
			out = append(out, d)
		}
	}
	return out
}

// Group is divergences of one sort, for people: ten lines instead of ten thousand.
type Group struct {
	Kind Kind `json:"kind"`
	// Title says what happened, Example the first request in words.
	Title   string     `json:"title"`
	Example Divergence `json:"example"`
	// Count of divergences, and the destinations and policies concerned, sorted.
	Count        int      `json:"count"`
	Destinations []string `json:"destinations"`
	Policies     []string `json:"policies,omitempty"`
}

// Groups sums divergences up by what decided before and after, on which route, whatever
// the destination. Weaker ones come first, then the larger.
func (r Result) Groups() []Group {
	index := map[string]int{}
	var out []Group
	type sets struct{ dests, policies map[string]bool }
	var all []sets
	for _, d := range r.Divergences {
		title := d.title()
		key := string(d.Kind) + title
		i, ok := index[key]
		if !ok {
			i = len(out)
			index[key] = i
			out = append(out, Group{Kind: d.Kind, Title: title, Example: d})
			all = append(all, sets{map[string]bool{}, map[string]bool{}})
		}
		out[i].Count++
		w := d.Request.To.Workload
		all[i].dests[w.Namespace+"/"+w.Name] = true
		for _, p := range []string{d.Before.Policy, d.After.Policy} {
			if p != "" {
				all[i].policies[p] = true
			}
		}
	}
	for i := range out {
		out[i].Destinations = sortedKeys(all[i].dests)
		out[i].Policies = sortedKeys(all[i].policies)
	}
	sort.SliceStable(out, func(i, j int) bool {
		if out[i].Kind != out[j].Kind {
			return kindRank[out[i].Kind] < kindRank[out[j].Kind]
		}
		return out[i].Count > out[j].Count
	})
	return out
}

// title says what changed, without the names of one destination.
func (d *Divergence) title() string {
	who := "callers outside the mesh"
	if d.Request.From.Mode != ModeNone || d.Request.From.Principal != "" {
		who = string(d.Request.From.Mode) + " callers"
		if d.Request.From.ModeAfter != "" {
			who = fmt.Sprintf("callers that go from %s to %s", d.Request.From.Mode, d.Request.From.ModeAfter)
		}
	}
	how := map[Addressing]string{ByService: "by service", ByPodIP: "by pod IP", ByHeadless: "by headless service"}[d.Request.To.Addressing]
	return fmt.Sprintf("%s, %s: %s by %s, then %s by %s", who, how, past(d.Before.Decision), d.Before.By, past(d.After.Decision), d.After.By)
}

func past(d Decision) string {
	switch d {
	case Allow:
		return "allowed"
	case Deny:
		return "denied"
	}
	return "unknown"
}

// Line is the group in one line.
func (g *Group) Line() string {
	dests := g.Destinations
	more := ""
	if len(dests) > 3 {
		more = fmt.Sprintf(" and %d more", len(dests)-3)
		dests = dests[:3]
	}
	return fmt.Sprintf("%s: %s; at %s%s; for example %s", g.Kind, g.Title, strings.Join(dests, ", "), more, g.Example.Words)
}
