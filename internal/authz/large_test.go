package authz

import (
	"fmt"
	"math/rand"
	"slices"
	"strings"
	"testing"
)

// httpWorld is one workload with a sidecar that enforces these policies on an HTTP port.
func httpWorld(policies ...AuthorizationPolicy) World {
	for i := range policies {
		p := &policies[i]
		p.Namespace, p.Name, p.digest = "a", fmt.Sprintf("p%d", i), ""
		p.digest = digestOf(*p)
	}
	return World{
		Policies: Policies{Authorization: policies, Authentication: []RequestAuthentication{{Namespace: "a", Name: "jwt", digest: "jwt",
			Rules: []JWTRule{{Issuer: "https://iss", Forward: true}}}}},
		Workloads: []Workload{{Ref: Ref{Kind: "Deployment", Namespace: "a", Name: "w"}, Mode: ModeSidecar, Role: RoleApplication,
			Ports: []Port{{Number: 80, Protocol: ProtocolHTTP}}}},
	}
}

// tangledRules ask 30 paths, 30 headers, 20 claims and 30 address ranges, each rule one of each in its own
// combination, and each value comes up in rules that share nothing else: no order of the attributes lets a
// search forget rules early.
func tangledRules(seed int64) []Rule { return tangled(30, seed) }

func tangled(n int, seed int64) []Rule {
	r := rand.New(rand.NewSource(seed))
	var out []Rule
	headers, claims, blocks := r.Perm(n), r.Perm(n), r.Perm(n)
	for i := range n {
		out = append(out, Rule{
			From: []Source{{RemoteIPBlocks: []string{fmt.Sprintf("10.%d.0.0/%d", blocks[i], 8+i%9)}}},
			To:   []Operation{{Paths: []string{fmt.Sprintf("*/p%d", i), fmt.Sprintf("/p%d/*", i)}}},
			When: []Condition{
				{Key: fmt.Sprintf("request.headers[h%03d]", headers[i]), Values: []string{"x*"}},
				{Key: fmt.Sprintf("request.headers[h%03d]", headers[(i+1)%n]), NotValues: []string{"xy"}},
				{Key: fmt.Sprintf("request.headers[h%03d]", headers[(i+7)%n]), NotValues: []string{"y"}},
				{Key: "request.auth.claims[role]", Values: []string{fmt.Sprintf("r%d", claims[i]%20), fmt.Sprintf("r%d", claims[(i+3)%n]%20)}},
			},
		})
	}
	return out
}

// pathByPath writes each rule once per path: the meaning is the same.
func pathByPath(rules []Rule) []Rule {
	var out []Rule
	for _, r := range rules {
		for _, p := range r.To[0].Paths {
			one := r
			one.To = []Operation{{Paths: []string{p}}}
			out = append(out, one)
		}
	}
	return out
}

// TestLargePoliciesAreSplit: what is too much for the search is decided rule by rule, and said so.
func TestLargePoliciesAreSplit(t *testing.T) {
	allows, denies := tangledRules(1), tangledRules(2)
	fewer := func(r []Rule) []Rule {
		r = slices.Clone(r)
		r[17].When = r[17].When[:2]
		return r
	}
	wider := func(r []Rule) []Rule {
		r = slices.Clone(r)
		r[11].From = []Source{{RemoteIPBlocks: []string{"10.0.0.0/7"}}}
		return r
	}
	world := func(allow, deny []Rule) World {
		return httpWorld(AuthorizationPolicy{Action: ActionAllow, Rules: allow}, AuthorizationPolicy{Action: ActionDeny, Rules: deny})
	}
	before := world(allows, denies)
	for name, c := range map[string]struct {
		after World
		want  string
	}{
		"ALLOW rules written path by path mean the same": {world(pathByPath(allows), denies), ""},
		"DENY rules written path by path mean the same":  {world(allows, pathByPath(denies)), ""},
		"an ALLOW rule that lost conditions is weaker":   {world(pathByPath(fewer(allows)), denies), "weaker"},
		"a DENY rule that lost conditions is stricter":   {world(allows, pathByPath(fewer(denies))), "stricter"},
		"a wider address range in ALLOW is weaker":       {world(pathByPath(wider(allows)), pathByPath(denies)), "weaker"},
		"a wider address range in DENY is stricter":      {world(pathByPath(allows), wider(denies)), "stricter"},
		"a DENY rule gone is weaker":                     {world(pathByPath(allows), pathByPath(denies[1:])), "weaker"},
		"an ALLOW rule gone is stricter":                 {world(pathByPath(allows[1:]), pathByPath(denies)), "stricter"},
		"one of each gone is both":                       {world(pathByPath(allows[1:]), pathByPath(denies[1:])), "stricter weaker"},
	} {
		t.Run(name, func(t *testing.T) {
			r := Diff(&before, &c.after, Options{})
			kinds := map[string]bool{}
			for _, d := range r.Divergences {
				kinds[string(d.Kind)] = true
				if d.After.Decision == DecisionUnknown {
					t.Errorf("not decided: %s: %s", d.Words, d.After.Why)
				}
			}
			if got := strings.Join(sortedKeys(kinds), " "); got != c.want {
				t.Errorf("got %q, want %q: %v", got, c.want, r.Notes)
			}
			if r.Stats.Split == 0 || !slices.ContainsFunc(r.Notes, func(n string) bool { return strings.Contains(n, "decided rule by rule") }) {
				t.Errorf("was not split, or it is not said: %d regions, notes %v", r.Stats.Regions, r.Notes)
			}
			t.Logf("%d of %d scenarios split, %d regions, %d divergences", r.Stats.Split, r.Stats.Scenarios, r.Stats.Regions, len(r.Divergences))
		})
	}
}

// TestSplitsAreRemembered: what was split for one destination holds for another that asks the same, with
// examples of its own.
func TestSplitsAreRemembered(t *testing.T) {
	world := func(rules []Rule) World {
		w := httpWorld(AuthorizationPolicy{Action: ActionAllow, Rules: rules}, AuthorizationPolicy{Action: ActionDeny, Rules: tangledRules(2)})
		other := w.Workloads[0]
		other.Ref.Name = "v"
		w.Workloads = append(w.Workloads, other)
		return w
	}
	before, after := world(tangledRules(1)), world(pathByPath(tangledRules(1)[1:]))
	d := NewProver(&before).comparison(&after, Options{})
	r := d.run(0, 1)
	at := map[string]bool{}
	for _, dv := range r.Divergences {
		at[string(dv.Kind)+" "+dv.Request.To.Workload.Name] = true
	}
	if got := strings.Join(sortedKeys(at), ", "); got != "stricter v, stricter w" {
		t.Errorf("divergences are %s", got)
	}
	if len(d.splits) >= r.Stats.Split {
		t.Errorf("%d scenarios were split and %d remembered: none was met again", r.Stats.Split, len(d.splits))
	}
}

// TestWhatIsTooMuchForTheSplitIsUnknown: the second bound gives up the same way, by saying so.
func TestWhatIsTooMuchForTheSplitIsUnknown(t *testing.T) {
	before, after := httpWorld(AuthorizationPolicy{Action: ActionAllow, Rules: tangledRules(1)}), httpWorld(AuthorizationPolicy{Action: ActionAllow, Rules: pathByPath(tangledRules(1))})
	d := NewProver(&before).comparison(&after, Options{})
	d.bounds = bounds{nodes: 100, bytes: 1 << 20, steps: 100}
	r := d.run(0, 1)
	if r.Equivalent || r.Divergences[0].Kind != Weaker || r.Divergences[0].After.Decision != DecisionUnknown {
		t.Errorf("want a weaker divergence that is unknown: %v %v", r.Equivalent, r.Divergences)
	}
	if !slices.ContainsFunc(r.Notes, func(n string) bool { return strings.Contains(n, "also rule by rule") }) {
		t.Errorf("not said: %v", r.Notes)
	}
}

// templateRules ask path templates whose automata together have too many states.
func templateRules(n int) []Rule {
	var out []Rule
	for i := range n {
		segs := make([]string, 7)
		for j := range segs {
			if segs[j] = "{*}"; i>>(j%6)&1 == 1 || j == i%7 {
				segs[j] = fmt.Sprintf("s%d", (i+j)%5)
			}
		}
		out = append(out, Rule{To: []Operation{{Paths: []string{"/" + strings.Join(segs, "/"), fmt.Sprintf("/x%d/{**}", i)}}},
			When: []Condition{{Key: fmt.Sprintf("request.headers[h%02d]", i), Values: []string{"x"}}}})
	}
	return out
}

// TestLargeTemplatesAreSplit: the classes of the paths of all rules at once cannot be enumerated.
func TestLargeTemplatesAreSplit(t *testing.T) {
	rules := templateRules(40)
	before := httpWorld(AuthorizationPolicy{Action: ActionAllow, Rules: rules})
	for want, changed := range map[string][]Rule{"": pathByPath(rules), "stricter": pathByPath(rules)[1:], "weaker": append(pathByPath(rules), Rule{To: []Operation{{Paths: []string{"/s1/{*}/q"}}}})} {
		after := httpWorld(AuthorizationPolicy{Action: ActionAllow, Rules: changed})
		r := Diff(&before, &after, Options{})
		kinds := map[string]bool{}
		for _, d := range r.Divergences {
			kinds[string(d.Kind)] = true
			if d.After.Decision == DecisionUnknown {
				t.Errorf("not decided: %s: %s", d.Words, d.After.Why)
			}
		}
		if got := strings.Join(sortedKeys(kinds), " "); got != want || r.Stats.Split == 0 {
			t.Errorf("got %q, want %q, %d split: %v", got, want, r.Stats.Split, r.Notes)
		}
	}
}

// BenchmarkSplit decides pairs of n ALLOW and n DENY rules that the search alone gives up on.
func BenchmarkSplit(b *testing.B) {
	for _, n := range []int{30, 60, 100} {
		allows, denies := tangled(n, 1), tangled(n, 2)
		before := httpWorld(AuthorizationPolicy{Action: ActionAllow, Rules: allows}, AuthorizationPolicy{Action: ActionDeny, Rules: denies})
		after := httpWorld(AuthorizationPolicy{Action: ActionAllow, Rules: pathByPath(allows)}, AuthorizationPolicy{Action: ActionDeny, Rules: pathByPath(denies)})
		b.Run(fmt.Sprintf("rules/%d", n), func(b *testing.B) {
			b.ReportAllocs()
			var r Result
			var peak uint64
			for b.Loop() {
				peak = max(peak, peakHeap(func() { r = Diff(&before, &after, Options{}) }))
			}
			if !r.Equivalent || r.Stats.Split == 0 {
				b.Fatalf("equivalent %v, %d split: %v", r.Equivalent, r.Stats.Split, r.Notes)
			}
			b.ReportMetric(float64(peak)/(1<<20), "MiB-peak")
			b.ReportMetric(float64(r.Stats.Split), "split")
		})
	}
	templates := templateRules(40)
	before, after := httpWorld(AuthorizationPolicy{Action: ActionAllow, Rules: templates}), httpWorld(AuthorizationPolicy{Action: ActionAllow, Rules: pathByPath(templates)})
	b.Run("templates/40", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if r := Diff(&before, &after, Options{}); !r.Equivalent || r.Stats.Split == 0 {
				b.Fatalf("equivalent %v, %d split: %v", r.Equivalent, r.Stats.Split, r.Notes)
			}
		}
	})
}
