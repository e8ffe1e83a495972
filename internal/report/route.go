package report

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/sidestep-mesh/sidestep/internal/route"
)

// RouteAnswer is one question about routing and its answers, one for each caller that is meant.
type RouteAnswer struct {
	APIVersion string         `json:"apiVersion"`
	Kind       string         `json:"kind"`
	Answers    []route.Answer `json:"answers"`
}

// NewRouteAnswer makes the document of answers.
func NewRouteAnswer(answers []route.Answer) *RouteAnswer {
	return &RouteAnswer{APIVersion: APIVersion, Kind: "RouteAnswer", Answers: answers}
}

// Refused reports whether some call is refused or goes nowhere.
func (a *RouteAnswer) Refused() bool {
	return slices.ContainsFunc(a.Answers, func(x route.Answer) bool { return x.Action == nil || x.Action.Kind == route.Refuse })
}

// JSON writes the answers as a versioned document.
func (a *RouteAnswer) JSON(w io.Writer) error { return writeJSON(w, a) }

// Text writes for a person where each call goes, and which fields say so.
func (a *RouteAnswer) Text(w io.Writer, o TextOptions) error {
	p := &printer{colour: o.Colour}
	for i, x := range a.Answers {
		if i > 0 {
			p.line("")
		}
		p.line("%s of %s/%s (%s) to %s:%d", p.bold(x.Does), x.From.Namespace, x.From.Name, x.Mode, x.Host, x.Port)
		p.line("  by     %s", routePoint(x.Side))
		if x.Rule != "" {
			p.line("  rule   %s, for %s", x.Rule, x.Match)
		}
		if x.Path != "" {
			p.line("  path   %s at the destination", x.Path)
		}
		if x.Location != "" {
			p.line("  leads  to %s", x.Location)
		}
		var parts []route.Part
		for part := range x.Fields {
			parts = append(parts, part)
		}
		slices.Sort(parts)
		for _, part := range parts {
			p.line("  %s", p.faint(fmt.Sprintf("%-16s %s", part, x.Fields[part])))
		}
		for _, d := range x.Action.Destinations {
			if len(d.Target.Pods) > 0 {
				p.line("  %s", p.faint(d.Target.Name()+" is "+strings.Join(d.Target.Pods, ", ")))
			}
		}
		for _, u := range x.Assumed {
			p.line("  not known: %s", u)
		}
	}
	_, err := w.Write(p.Bytes())
	return err
}

func routePoint(s route.Side) string {
	switch s.By {
	case route.AtSidecar:
		return "the caller's sidecar"
	case route.AtWaypoint:
		return "waypoint " + s.Where
	case route.AtZtunnel:
		return "ztunnel, which routes nothing"
	}
	return "nobody: the caller has no proxy"
}

// RouteDiff is a comparison of routes as a versioned document.
type RouteDiff struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	route.Result
}

// NewRouteDiff makes the document of a comparison.
func NewRouteDiff(r route.Result) *RouteDiff {
	return &RouteDiff{APIVersion: APIVersion, Kind: "RouteDiff", Result: r}
}

// JSON writes the comparison.
func (d *RouteDiff) JSON(w io.Writer) error { return writeJSON(w, d) }

var gradeHeads = map[route.Grade]string{
	route.OtherDestination: "Goes elsewhere",
	route.TLSLost:          "Loses TLS",
	route.Refused:          "Is refused",
	route.Altered:          "Arrives as another call",
	route.Resilience:       "Has other limits or retries",
	route.Balance:          "Is spread otherwise",
	route.Observability:    "Is seen otherwise",
}

// Text writes the comparison for a person, the heaviest differences first.
func (d *RouteDiff) Text(w io.Writer, o TextOptions) error {
	p := &printer{colour: o.Colour}
	var grade route.Grade
	for i, x := range d.Differences {
		if i == mostGroups && !o.Wide {
			p.line("and %s more: see --wide or -o json", count(len(d.Differences)-i, "difference"))
			break
		}
		if x.Grade != grade {
			grade = x.Grade
			p.line("%s", p.bold(gradeHeads[grade]))
		}
		p.line("  %s%s", x.Request.Words, others(x.Request.Others))
		for _, side := range []struct {
			name string
			side route.Side
		}{{"before", x.Before}, {"after", x.After}} {
			rule := ""
			if side.side.Rule != "" {
				rule = " (" + side.side.Rule + ")"
			}
			p.line("      %s %s, by %s%s", pad(side.name, 8), side.side.Does, routePoint(side.side), rule)
		}
	}
	if d.Equivalent {
		p.line("Equivalent: no call is routed otherwise.")
	}
	for _, x := range d.Omitted {
		p.line("Not compared: %s", x)
	}
	for _, note := range d.Notes {
		p.line("Note: %s", note)
	}
	p.line("%s", p.faint(fmt.Sprintf("Compared %s and %s of calls.", count(d.Stats.Hosts, "host"), count(d.Stats.Tables/2, "table"))))
	_, err := w.Write(p.Bytes())
	return err
}

func others(n int) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf(" and %s", plural(n, "other caller", "other callers"))
}
