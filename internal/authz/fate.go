package authz

// Fate is what becomes of one rule of an AuthorizationPolicy when ztunnel enforces it instead of a
// sidecar.
type Fate string

// Fates, for policies that ztunnel reads at all: ALLOW and DENY without targetRefs.
const (
	// FateKept: it matches the same calls.
	FateKept Fate = "kept"
	// FateBroadened: it matches more calls than were asked for, since attributes were stripped.
	FateBroadened Fate = "broadened"
	// FateInert: it never matches. For DENY the calls it was to refuse pass.
	FateInert Fate = "inert"
	// FateDropped: ztunnel never gets it. For ALLOW the calls it was to admit are refused, unless
	// another rule admits them.
	FateDropped Fate = "dropped"
)

// RuleFate is the fate of one rule.
type RuleFate struct {
	Rule int
	Fate Fate
	// Lost names the attributes that ztunnel does not know, as the API spells them. None are lost where a
	// rule fails for another reason, such as a value that istiod cannot read.
	Lost []string
}

// ZtunnelFates tells, rule by rule, what ztunnel makes of an ALLOW or DENY policy. It asks the compiler
// that answers and comparisons are made with; for a CUSTOM or AUDIT policy, which istiod does not send to
// ztunnel, every rule is dropped.
func ZtunnelFates(p *AuthorizationPolicy) []RuleFate {
	c := ztunnelCompiler{in: newInterner(), policy: p, id: &policyID{key: p.Key(), action: p.Action}, deny: p.Action == ActionDeny}
	var out []RuleFate
	for i := range p.Rules {
		f := RuleFate{Rule: i, Fate: FateKept, Lost: httpFields(&p.Rules[i])}
		r := c.rule(i)
		if len(r.lost) > 0 {
			f.Lost = r.lost
		}
		switch {
		case p.Action != ActionAllow && p.Action != ActionDeny || r.dropped != "" || r.unknown != "":
			f.Fate = FateDropped
		case len(r.cubes) > 0 && r.cubes[0].never != "":
			f.Fate = FateInert
		case len(r.lost) > 0:
			f.Fate = FateBroadened
		}
		out = append(out, f)
	}
	return out
}
