package route

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Grade says how much a difference weighs, the heaviest first.
type Grade string

const (
	OtherDestination Grade = "other-destination"
	TLSLost          Grade = "tls-lost"
	Refused          Grade = "refused"
	Altered          Grade = "altered" // the call arrives as another one: path, headers, mirrors, faults, TLS settings
	Resilience       Grade = "resilience"
	Balance          Grade = "balance"
	Observability    Grade = "observability"
)

// grades in order of weight.
var grades = []Grade{OtherDestination, TLSLost, Refused, Altered, Resilience, Balance, Observability}

func (g Grade) rank() int { return slices.Index(grades, g) }

// gradeOf is the weight of a part that differs; TLS and answers are judged with their values.
var gradeOf = map[Part]Grade{
	PartDestination: OtherDestination, PartSplit: OtherDestination, PartSubset: OtherDestination,
	PartAnswer: Altered, PartRewrite: Altered, PartHeaders: Altered, PartMirror: Altered, PartFault: Altered, PartCORS: Altered,
	PartTimeout: Resilience, PartRetries: Resilience, PartPool: Resilience, PartOutlier: Resilience, PartBudget: Resilience,
	PartBalance: Balance, PartAffinity: Balance, PartLocality: Balance, PartUpgrade: Balance, PartTunnel: Altered, PartTLS: Altered,
}

// PartDiff is one thing that two treatments of a call differ in.
type PartDiff struct {
	Part   Part   `json:"part"`
	Grade  Grade  `json:"grade"`
	Before string `json:"before"`
	After  string `json:"after"`
	// From are the objects and fields that say so.
	From []Origin `json:"from,omitempty"`
}

// notFound is what a proxy does with a request that no rule matches.
var notFound = &Action{Kind: Refuse, Status: 404, Text: "no route matches"}

// compareActions lists what differs between two treatments. Where both are by an HTTP proxy, Istio's default retries
// count as retries; towards one that knows no requests they are left out: they end with every sidecar alike.
func compareActions(a, b *Action, proxies bool) []PartDiff {
	if a == nil {
		a = notFound
	}
	if b == nil {
		b = notFound
	}
	var out []PartDiff
	add := func(p Part, g Grade, before, after string) {
		d := PartDiff{Part: p, Grade: cmp.Or(g, gradeOf[p]), Before: before, After: after}
		for _, side := range []*Action{a, b} {
			if o := side.origin(p); o != (Origin{}) && !slices.Contains(d.From, o) {
				d.From = append(d.From, o)
			}
		}
		out = append(out, d)
	}
	if a.Kind != Forward || b.Kind != Forward {
		if x, y := a.outcome(), b.outcome(); x != y {
			switch {
			case b.Kind == Refuse || b.Kind == Respond && b.Status >= 500:
				add(answerPart(a, b), Refused, x, y)
			case a.Kind == Forward || b.Kind == Forward:
				add(answerPart(a, b), OtherDestination, x, y)
			default:
				add(PartAnswer, Altered, x, y)
			}
		}
		if a.Kind != Forward && b.Kind != Forward {
			textDiffs(a, b, proxies, add)
		}
		return out
	}
	if x, y := a.spread(false), b.spread(false); x != y {
		add(spreadPart(a, b), OtherDestination, x, y)
	} else if x, y := a.spread(true), b.spread(true); x != y {
		add(PartHeaders, Altered, x, y)
	}
	textDiffs(a, b, proxies, add)
	policyDiffs(a, b, add)
	return out
}

func answerPart(a, b *Action) Part {
	if a.Kind == Redirect || a.Kind == Respond || b.Kind == Redirect || b.Kind == Respond {
		return PartAnswer
	}
	for _, side := range []*Action{a, b} {
		if _, ok := side.Fields[PartSubset]; ok && side.Kind == Refuse {
			return PartSubset
		}
	}
	return PartDestination
}

// spreadPart tells a subset from a split from another destination.
func spreadPart(a, b *Action) Part {
	for _, side := range []*Action{a, b} {
		for _, d := range side.Destinations {
			if d.Target.Subset != "" {
				return PartSubset
			}
		}
	}
	if len(a.Destinations) > 1 || len(b.Destinations) > 1 {
		return PartSplit
	}
	return PartDestination
}

// textDiffs compares what is the same for all destinations.
func textDiffs(a, b *Action, proxies bool, add func(Part, Grade, string, string)) {
	for _, t := range []struct {
		part Part
		x, y string
	}{
		{PartRewrite, joined(a.Rewrite, a.Authority), joined(b.Rewrite, b.Authority)},
		{PartHeaders, strings.Join(a.Headers, "; "), strings.Join(b.Headers, "; ")},
		{PartMirror, strings.Join(a.Mirrors, "; "), strings.Join(b.Mirrors, "; ")},
		{PartFault, a.Fault, b.Fault}, {PartCORS, a.CORS, b.CORS},
		{PartTimeout, durationText(a), durationText(b)}, {PartRetries, a.Retries.words(proxies), b.Retries.words(proxies)},
	} {
		if t.x != t.y {
			add(t.part, "", t.x, t.y)
		}
	}
}

func joined(path, authority string) string {
	if authority == "" {
		return path
	}
	return strings.TrimSpace(path + " host " + authority)
}

func durationText(a *Action) string {
	if a.Timeout == 0 {
		return ""
	}
	return a.Timeout.String()
}

// words is empty for no retries; and for Istio's default, unless full.
func (r Retries) words(full bool) string {
	if r.Default && !full || r.Attempts == 0 {
		return ""
	}
	out := fmt.Sprintf("%d on %s", r.Attempts, r.On)
	if r.PerTry != 0 {
		out += " with " + r.PerTry.String() + " each"
	}
	if r.More != "" {
		out += " " + r.More
	}
	return out
}

// policyDiffs compares how destinations are spoken to, each with its own policy.
func policyDiffs(a, b *Action, add func(Part, Grade, string, string)) {
	for i, part := range policyParts {
		x, y := a.policyText(i), b.policyText(i)
		if x == y {
			continue
		}
		g := Grade("")
		if part == PartTLS && y == "" {
			g = TLSLost
		}
		add(part, g, x, y)
	}
}

var policyParts = func() []Part {
	var out []Part
	for _, t := range (Policy{}).texts() {
		out = append(out, t.part)
	}
	return out
}()

// policyText is one part of the policy over all destinations: one text where they agree.
func (a *Action) policyText(part int) string {
	byKey := map[string]string{}
	same := true
	for i, d := range a.Destinations {
		text := d.Policy.texts()[part].text
		byKey[d.Target.Key] = text
		same = same && (i == 0 || text == a.Destinations[0].Policy.texts()[part].text)
	}
	if len(a.Destinations) == 0 {
		return ""
	}
	if same {
		return a.Destinations[0].Policy.texts()[part].text
	}
	var out []string
	for _, k := range sortedKeys(byKey) {
		out = append(out, k+": "+orDefault(byKey[k], "default"))
	}
	return strings.Join(out, "; ")
}

// outcome is what becomes of a call, in a text that tells outcomes apart.
func (a *Action) outcome() string {
	if a.Kind == Forward {
		return a.spread(false)
	}
	if a.Status != 0 {
		return fmt.Sprintf("%s %d %s", a.Kind, a.Status, a.Text)
	}
	return fmt.Sprintf("%s %s", a.Kind, a.Text)
}

// spread is the destinations with their shares, in lowest terms and a fixed order; headers adds what is done to
// headers for each.
func (a *Action) spread(headers bool) string {
	shares := map[string]uint32{}
	var total uint32
	for _, d := range a.Destinations {
		k := d.Target.Key
		if headers && len(d.Headers) > 0 {
			k += " {" + strings.Join(d.Headers, "; ") + "}"
		}
		shares[k] += d.Weight
		total = gcd(total, d.Weight)
	}
	if len(shares) == 1 {
		for k := range shares {
			return k
		}
	}
	var parts []string
	for _, k := range sortedKeys(shares) {
		parts = append(parts, fmt.Sprintf("%d of %s", shares[k]/max(total, 1), k))
	}
	return strings.Join(parts, " + ")
}

func gcd(a, b uint32) uint32 {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

// origin is where a part of a treatment was read.
func (a *Action) origin(p Part) Origin {
	switch p {
	case PartDestination, PartSubset:
		for _, d := range a.Destinations {
			if p == PartDestination || d.Target.Subset != "" {
				if d.Origin == (Origin{}) {
					continue
				}
				o := d.Origin
				if p == PartSubset {
					o.Field += ".subset"
				} else if o.Object.Group == istioGroup {
					o.Field += ".host"
				}
				return o
			}
		}
	case PartHeaders:
		if len(a.Headers) == 0 {
			for _, d := range a.Destinations {
				if len(d.Headers) > 0 {
					return Origin{d.Origin.Object, strings.TrimSuffix(d.Origin.Field, ".destination") + ".headers"}
				}
			}
			return Origin{}
		}
	case PartSplit:
		if len(a.Destinations) < 2 {
			return Origin{}
		}
	case PartRewrite:
		if a.Rewrite == "" && a.Authority == "" {
			return Origin{}
		}
	}
	if o, ok := a.Fields[p]; ok {
		return o
	}
	for _, d := range a.Destinations {
		for _, t := range d.Policy.texts() {
			if t.part == p && t.text != "" {
				return d.Policy.From[p]
			}
		}
	}
	return Origin{}
}
