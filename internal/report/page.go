package report

import (
	"cmp"
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"slices"
)

//go:embed page.html.tmpl
var pageTemplate string

//go:embed page.css
var pageCSS string

//go:embed page.js
var pageJS string

var pageHTML = template.Must(template.New("page").Funcs(template.FuncMap{
	"number": number, "count": count, "share": share, "short": shortKind, "pods": func(w *Workload) string { return pods(w) },
	"url":          func(code string) string { return Rule{Code: code}.URL() },
	"verdictWords": func(verdict string) string { return verdictWords[verdict] },
	"groupWords":   func(name string) string { return groupWords[name] },
	"freed":        func(s Summary) string { return s.freed() }, "findings": func(s Summary) string { return s.findings() },
}).Parse(pageTemplate))

// Page is all that is known of a move on one page that needs nothing else: no network, no other file.
type Page struct {
	Audit *AuditReport
	// Plan adds the waves, the proof and what a person has to decide; nil without one.
	Plan *PlanReport
	// Live says that the page is served and asks for news.
	Live bool
}

// pageTopic is one thing found, with a place on the page that workloads point to.
type pageTopic struct {
	topic
	ID string
	// Own says that its way out is not that of the others of its code.
	Own bool
}

// pageCode is all that was found of one code, with the way out once where it is the same for all.
type pageCode struct {
	Code, Title, Remedy string
	Topics              []pageTopic
}

// byCode groups topics, which come sorted, by code.
func (r *AuditReport) byCode(topics []pageTopic) []pageCode {
	var out []pageCode
	for _, t := range topics {
		if len(out) == 0 || out[len(out)-1].Code != t.Code {
			out = append(out, pageCode{Code: t.Code, Title: r.rule(t.Code).Title, Remedy: t.Remedy})
		}
		c := &out[len(out)-1]
		t.Own = t.Remedy != "" && t.Remedy != c.Remedy
		c.Topics = append(c.Topics, t)
	}
	return out
}

type pageRow struct {
	*Workload
	Reason string
	// Topics are the places of what was found about it.
	Topics []pageLink
}

type pageLink struct{ Code, ID, Severity string }

type pageNamespace struct {
	Name, Mix string
	Rows      []pageRow
}

// HTML writes the page.
func (p *Page) HTML(w io.Writer) error {
	r := p.Audit
	data := struct {
		*AuditReport
		Plan       *PlanReport
		Live       bool
		CSS        template.CSS
		JS         template.JS
		Title      string
		Verdicts   []string
		Namespaces []pageNamespace
		Broken     []pageCode
		IfMoved    []pageCode
		Others     []pageCode
		Graph      *graph
		Moves      int
	}{AuditReport: r, Plan: p.Plan, Live: p.Live, CSS: template.CSS(pageCSS), JS: template.JS(pageJS), Title: r.title(), Verdicts: verdicts} //nolint:gosec // both are this package's own files
	places := map[string]string{}
	var broken, ifMoved, others []pageTopic
	for i, t := range r.topics() {
		placed := pageTopic{topic: t, ID: fmt.Sprintf("t%d", i)}
		places[topicKey(&placed.Finding)] = placed.ID
		switch {
		case t.Severity == "error":
			broken = append(broken, placed)
		case t.IfMoved == "error":
			ifMoved = append(ifMoved, placed)
		default:
			others = append(others, placed)
		}
	}
	data.Broken, data.IfMoved, data.Others = r.byCode(broken), r.byCode(ifMoved), r.byCode(others)
	for _, ns := range r.namespaces() {
		group := pageNamespace{Name: ns.Name, Mix: mix(ns.byVerdict)}
		for _, wl := range ns.Workloads {
			row := pageRow{Workload: wl, Reason: r.reason(wl)}
			for i := range wl.Findings {
				f := &wl.Findings[i]
				row.Topics = append(row.Topics, pageLink{f.Code, places[topicKey(f)], f.Severity})
			}
			group.Rows = append(group.Rows, row)
		}
		data.Namespaces = append(data.Namespaces, group)
	}
	if p.Plan != nil {
		data.Graph = newGraph(p.Plan, r)
	}
	return pageHTML.Execute(w, data)
}

func topicKey(f *Finding) string {
	return f.Code + "\x00" + f.Subject.String() + "\x00" + f.Message
}

// HTML writes the report as one page that needs nothing else: no network, no other file.
func (r *AuditReport) HTML(w io.Writer) error { return (&Page{Audit: r}).HTML(w) }

// Bounds of the drawing of waves, in SVG units.
const (
	mostNodes  = 300 // beyond, nodes are namespaces
	mostEdges  = 400
	nodeHeight = 22
	nodeWidth  = 190
	columnGap  = 90
	graphTop   = 34
)

// graph is the waves as layers: who moves in which wave, and what has to come first.
type graph struct {
	Width, Height int
	Columns       []graphColumn
	Nodes         []graphNode
	Edges         []graphEdge
	// ByNamespace says that nodes are namespaces, EdgesLeft how many needs are not drawn.
	ByNamespace bool
	EdgesLeft   int
}

type graphColumn struct {
	X     int
	Title string
}

type graphNode struct {
	X, Y, W, H int
	// Class is the mode or verdict that it ends in.
	Class, Label, Title string
}

type graphEdge struct {
	Path, Title string
}

// newGraph lays the workloads that move out by wave, left to right, those that stay last. Needs are arrows from what
// comes first.
func newGraph(p *PlanReport, r *AuditReport) *graph {
	type spot struct {
		column int
		object Object
	}
	verdict := map[Object]string{}
	for i := range r.Workloads {
		verdict[r.Workloads[i].Object()] = r.Workloads[i].Verdict
	}
	var spots []spot
	g := &graph{}
	for _, wave := range p.Waves {
		var moved []spot
		for _, s := range wave.Steps {
			if s.Kind == "move" {
				moved = append(moved, spot{len(g.Columns), s.Subject})
			}
		}
		if len(moved) > 0 {
			g.Columns = append(g.Columns, graphColumn{Title: wave.Name})
			spots = append(spots, moved...)
		}
	}
	if len(p.Stays) > 0 {
		for _, s := range p.Stays {
			spots = append(spots, spot{len(g.Columns), s.Object})
		}
		g.Columns = append(g.Columns, graphColumn{Title: "keep their sidecar"})
	}
	stays := map[Object]bool{}
	for _, s := range p.Stays {
		stays[s.Object] = true
	}
	g.ByNamespace = len(spots) > mostNodes
	at := map[Object]int{}
	type bucket struct {
		column int
		name   string
	}
	members, index := map[bucket]int{}, map[bucket]int{}
	rows := make([]int, len(g.Columns))
	for _, s := range spots {
		class, label := cmp.Or(verdict[s.object], "ambient"), s.object.Namespace+"/"+s.object.Name
		if stays[s.object] {
			class = "sidecar"
		}
		if g.ByNamespace {
			b := bucket{s.column, s.object.Namespace}
			members[b]++
			if i, seen := index[b]; seen {
				at[s.object] = i
				g.Nodes[i].Label = fmt.Sprintf("%s (%d)", s.object.Namespace, members[b])
				g.Nodes[i].Title = fmt.Sprintf("%s, %s", s.object.Namespace, count(members[b], "workload"))
				if g.Nodes[i].Class != class {
					g.Nodes[i].Class = "mixed"
				}
				continue
			}
			index[b] = len(g.Nodes)
			label = s.object.Namespace + " (1)"
		}
		at[s.object] = len(g.Nodes)
		g.Nodes = append(g.Nodes, graphNode{
			X: s.column * (nodeWidth + columnGap), Y: graphTop + rows[s.column]*(nodeHeight+6), W: nodeWidth, H: nodeHeight,
			Class: class, Label: clipTo(27, label), Title: s.object.String() + ": " + class,
		})
		rows[s.column]++
	}
	for i := range g.Columns {
		g.Columns[i].X = i * (nodeWidth + columnGap)
	}
	g.Width = max(len(g.Columns)*(nodeWidth+columnGap)-columnGap, nodeWidth)
	if len(rows) > 0 {
		g.Height = graphTop + slices.Max(rows)*(nodeHeight+6) + 4
	}
	g.drawNeeds(p.Needs, at)
	return g
}

// drawNeeds draws what has to come first, each pair of nodes once.
func (g *graph) drawNeeds(needs []PlanNeed, at map[Object]int) {
	drawn := map[[2]int]bool{}
	for _, n := range needs {
		to, ok := at[n.Then.Object]
		for _, first := range append([]Object{n.First.Object}, n.First.Others...) {
			from, there := at[first]
			pair := [2]int{from, to}
			if !ok || !there || from == to || drawn[pair] {
				continue
			}
			drawn[pair] = true
			if len(g.Edges) == mostEdges {
				g.EdgesLeft++
				continue
			}
			a, b := g.Nodes[from], g.Nodes[to]
			x1, x2 := a.X+a.W, b.X
			if a.X > b.X {
				x1, x2 = a.X, b.X+b.W
			} else if a.X == b.X {
				x1, x2 = a.X+a.W, b.X+b.W
			}
			bend := columnGap / 2
			g.Edges = append(g.Edges, graphEdge{
				Path:  fmt.Sprintf("M%d %dC%d %d %d %d %d %d", x1, a.Y+a.H/2, x1+bend, a.Y+a.H/2, x2-bend, b.Y+b.H/2, x2, b.Y+b.H/2),
				Title: fmt.Sprintf("%s before %s: %s (%s)", first.String(), n.Then.Object.String(), n.Words, n.Evidence),
			})
		}
	}
}
