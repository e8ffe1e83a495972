package report

import (
	"fmt"
	"io"
	"strings"

	"github.com/sidestep-mesh/sidestep/internal/authz"
)

// AuthzAnswer is one question about authorization and its answer, once for each mode that the caller has.
type AuthzAnswer struct {
	APIVersion string       `json:"apiVersion"`
	Kind       string       `json:"kind"`
	Answers    []CallAnswer `json:"answers"`
}

// CallAnswer is the answer for one caller.
type CallAnswer struct {
	Request authz.Request `json:"request"`
	authz.Answer
}

// NewAuthzAnswer makes the document of answers.
func NewAuthzAnswer(answers []CallAnswer) *AuthzAnswer {
	return &AuthzAnswer{APIVersion: APIVersion, Kind: "AuthzAnswer", Answers: answers}
}

// Allowed tells that every call is allowed.
func (a *AuthzAnswer) Allowed() bool {
	for _, c := range a.Answers {
		if c.Decision != authz.Allow {
			return false
		}
	}
	return true
}

// JSON writes the answers as a versioned document.
func (a *AuthzAnswer) JSON(w io.Writer) error { return writeJSON(w, a) }

// Text writes one answer with its reasons, or one line for each of many.
func (a *AuthzAnswer) Text(w io.Writer, o TextOptions) error {
	p := &printer{colour: o.Colour}
	for i, c := range a.Answers {
		if len(a.Answers) > 1 && !o.Wide {
			p.line("%s  %s  %s", p.decision(c.Decision, 7), pad(a.subject(c), 48), by(c.Answer))
			continue
		}
		if i > 0 {
			p.line("")
		}
		if len(a.Answers) > 1 {
			p.line("%s", p.bold(a.subject(c)))
		}
		textAnswer(p, c.Answer)
	}
	_, err := w.Write(p.Bytes())
	return err
}

// subject is what tells one answer from the others: the caller, and the workload where a service has several.
func (a *AuthzAnswer) subject(c CallAnswer) string {
	s := callerOf(c.Request.From)
	for _, other := range a.Answers {
		if other.Request.To.Workload != c.Request.To.Workload {
			return s + " to " + c.Request.To.Workload.String()
		}
	}
	return s
}

func textAnswer(p *printer, a authz.Answer) {
	p.line("%s by %s", p.decision(a.Decision, 0), by(a))
	p.line("  why    %s", a.Why)
	if a.Route != "" {
		p.line("  route  %s", a.Route)
	}
	for i, h := range a.Hops {
		identity := h.Principal
		if identity == "" {
			identity = "nobody (plaintext)"
		}
		p.line("  %d. %s of %s, port %d, sees %s: %s", i+1, h.Point, h.Where, h.Port, identity, p.decision(h.Decision, 0))
		for _, r := range h.Reasons {
			p.line("       %s", p.faint(reasonWords(r)))
		}
	}
	for _, assumed := range a.Assumed {
		p.line("  assumed: %s; policies on the way ask for it", assumed)
	}
}

func reasonWords(r authz.Reason) string {
	s := string(r.Effect)
	if r.Policy != "" {
		s += " by " + r.Policy
		if r.Rule >= 0 {
			s += fmt.Sprintf(" rule %d", r.Rule)
		}
	}
	return s + ": " + r.Why
}

func by(a authz.Answer) string {
	if a.Policy == "" {
		return string(a.By)
	}
	return fmt.Sprintf("%s (%s)", a.By, a.Policy)
}

func callerOf(c authz.Caller) string {
	switch {
	case c.Workload != nil:
		return fmt.Sprintf("%s (%s)", c.Workload, c.Mode)
	case c.Principal != "":
		return fmt.Sprintf("%s (%s)", c.Principal, c.Mode)
	}
	return "a caller outside the mesh"
}

func (p *printer) decision(d authz.Decision, width int) string {
	return p.paint(map[authz.Decision]string{authz.Allow: "32", authz.Deny: "31"}[d], pad(string(d), width))
}

// AuthzAccess lists who may do what at a destination, or what one caller may do on every way to it.
type AuthzAccess struct {
	APIVersion string         `json:"apiVersion"`
	Kind       string         `json:"kind"`
	Access     []authz.Access `json:"access"`
}

// NewAuthzAccess makes the document of a list.
func NewAuthzAccess(list []authz.Access) *AuthzAccess {
	return &AuthzAccess{APIVersion: APIVersion, Kind: "AuthzAccess", Access: list}
}

// JSON writes the list as a versioned document.
func (a *AuthzAccess) JSON(w io.Writer) error { return writeJSON(w, a) }

// Text writes one entry a class of callers and way, with an example of each kind.
func (a *AuthzAccess) Text(w io.Writer, o TextOptions) error {
	p := &printer{colour: o.Colour}
	for _, x := range a.Access {
		others := ""
		if x.From.Others > 0 {
			others = fmt.Sprintf(" and %s", plural(x.From.Others, "other caller", "other callers"))
		}
		p.line("%s  %s%s to %s, speaking %s", p.extent(x.Extent), callerOf(x.From), others, destinationOf(x.To), strings.ToUpper(string(x.Protocol)))
		p.line("         %s", p.faint(x.Route))
		for _, e := range []*authz.Example{x.Allowed, x.Denied} {
			if e != nil && (x.Extent == authz.Some || o.Wide) {
				p.line("         %s by %s: %s", p.decision(e.Answer.Decision, 0), by(e.Answer), e.Words)
			}
		}
	}
	_, err := w.Write(p.Bytes())
	return err
}

func (p *printer) extent(e authz.Extent) string {
	return p.paint(map[authz.Extent]string{authz.All: "32", authz.Some: "33", authz.None: "31"}[e], pad(string(e), 7))
}

func destinationOf(d authz.Destination) string {
	if d.Service != "" {
		return fmt.Sprintf("service %s:%d (pods' port %d)", d.Service, d.ServicePort, d.Port)
	}
	return fmt.Sprintf("%s:%d by %s", d.Workload, d.Port, d.Addressing)
}

// AuthzDiffJSON writes a comparison as a versioned document.
func AuthzDiffJSON(w io.Writer, r authz.Result) error { return writeJSON(w, r.Document()) }

// mostGroups is how many kinds of divergence are shown unless the output is wide.
const mostGroups = 10

// mostOmitted is how much of what was not compared is listed unless the output is wide.
const mostOmitted = 20

// mostDestinations is how many destinations of one kind of divergence are named unless the output is wide.
const mostDestinations = 4

var diffHeads = map[authz.Kind]string{
	authz.Weaker:        "Weaker: refused before, not any more",
	authz.Stricter:      "Stricter: allowed before, not any more",
	authz.Authenticated: "Authenticated: refused before because the caller was not seen; now it is, and the policies of before allow it",
}

// AuthzDiffText writes a comparison for a person: what became weaker first, one example of each kind.
func AuthzDiffText(w io.Writer, r authz.Result, o TextOptions) error {
	p := &printer{colour: o.Colour}
	var kind authz.Kind
	for i, g := range r.Groups() {
		if i == mostGroups && !o.Wide {
			p.line("and %s more: see --wide or -o json", count(len(r.Groups())-i, "kind"))
			break
		}
		if g.Kind != kind {
			kind = g.Kind
			p.line("%s", p.bold(diffHeads[kind]))
		}
		textGroup(p, g, o.Wide)
	}
	switch {
	case r.Equivalent:
		p.line("Equivalent: no call is decided differently.")
	case len(r.Divergences) == 0:
		p.line("%s", p.bold("No call that was compared is decided differently, but not everything could be compared."))
	}
	s := r.Stats
	p.line("%s", p.faint(fmt.Sprintf("Compared %s, %s and %s of requests; %s that nothing changed for left out.",
		count(s.Destinations, "destination"), count(s.Scenarios, "scenario"), plural(s.Regions, "class", "classes"), count(s.Skipped, "destination"))))
	for i, what := range r.Omitted {
		if i == mostOmitted && !o.Wide {
			p.line("and %s more were not compared: see --wide or -o json", number(len(r.Omitted)-i))
			break
		}
		p.line("Not compared: %s", what)
	}
	for _, note := range r.Notes {
		p.line("Note: %s", note)
	}
	_, err := w.Write(p.Bytes())
	return err
}

func textGroup(p *printer, g authz.Group, wide bool) {
	p.line("  %s", g.Title)
	names := g.Destinations
	more := ""
	if len(names) > mostDestinations && !wide {
		more = fmt.Sprintf(" and %d more", len(names)-mostDestinations)
		names = names[:mostDestinations]
	}
	p.line("      at       %s%s", strings.Join(names, ", "), more)
	if len(g.Policies) > 0 {
		p.line("      policies %s", strings.Join(g.Policies, ", "))
	}
	p.line("      example  %s", g.Example.Words)
	for _, side := range []struct {
		name   string
		answer authz.Answer
	}{{"before", g.Example.Before}, {"after", g.Example.After}} {
		p.line("      %s %s by %s: %s", pad(side.name, 8), p.decision(side.answer.Decision, 0), by(side.answer), side.answer.Why)
	}
}

func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return number(n) + " " + many
}
