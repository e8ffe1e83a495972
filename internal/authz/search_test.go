package authz

import (
	"fmt"
	"math/rand"
	"net/netip"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// TestSearchFindsWhatEnumerationFinds compares the search with plain enumeration of
// every combination of classes.
func TestSearchFindsWhatEnumerationFinds(t *testing.T) {
	problems, differing := 0, 0
	for seed := 0; seed < 3000; seed++ {
		g := gen{rand.New(rand.NewSource(int64(seed)))}
		p := g.problem()
		want := enumerate(p)
		got := map[string]bool{}
		s := search{p: p, bounds: usualBounds, leaf: func(assign []int, verdicts [3]Decision) bool {
			before, after := verdicts[sideBefore], verdicts[sideAfter]
			got[string(before)+">"+string(after)+">"+string(verdicts[sideNamed])] = true
			for i, d := range verdicts {
				if want := decide(p, i, assign); want != d {
					t.Fatalf("seed %d: the search says %s on side %d where it is %s", seed, d, i, want)
				}
			}
			return true
		}}
		s.run()
		if fmt.Sprint(sortedKeys(got)) != fmt.Sprint(sortedKeys(want)) {
			t.Fatalf("seed %d: the search finds %v, enumeration %v", seed, sortedKeys(got), sortedKeys(want))
		}
		problems++
		if len(want) > 0 {
			differing++
		}
	}
	if differing == 0 || differing == problems {
		t.Errorf("%d of %d problems differ: one side is not tested", differing, problems)
	}
}

// problem makes random cubes over a few variables.
func (g gen) problem() *problem {
	p := &problem{}
	for i, n := 0, g.c.Intn(4)+2; i < n; i++ {
		p.vars = append(p.vars, variable{classes: make([]class, g.c.Intn(4)+2)})
	}
	for i, n := 0, g.c.Intn(7)+1; i < n; i++ {
		var lits []lit
		for v := range p.vars {
			if !g.chance(45) {
				continue
			}
			n := len(p.vars[v].classes)
			m := newBitset(n)
			m.set(g.c.Intn(n))
			for c := 0; c < n; c++ {
				if g.chance(40) {
					m.set(c)
				}
			}
			lits = append(lits, lit{v, m})
		}
		p.cubes = append(p.cubes, lits)
	}
	cubes := func(max int) []int32 {
		var ids []int32
		for n := g.c.Intn(max + 1); n > 0; n-- {
			ids = append(ids, int32(g.c.Intn(len(p.cubes))))
		}
		return sortedSet(ids)
	}
	for i := range p.sides {
		p.sides[i] = sideState{unknown: g.chance(10), deny: cubes(3)}
		for n := g.c.Intn(3); n > 0; n-- {
			p.sides[i].allows = append(p.sides[i].allows, cubes(4))
		}
	}
	if g.chance(30) {
		p.sides[1] = p.sides[0]
		p.sides[1].deny = sortedSet(append(cubes(1), p.sides[0].deny...))
	}
	return p
}

func holds(p *problem, id int32, assign []int) bool {
	for _, l := range p.cubes[id] {
		if !l.mask.has(assign[l.v]) {
			return false
		}
	}
	return true
}

func decide(p *problem, side int, assign []int) Decision {
	s := p.sides[side]
	for _, id := range s.deny {
		if holds(p, id, assign) {
			return Deny
		}
	}
	for _, set := range s.allows {
		any := false
		for _, id := range set {
			any = any || holds(p, id, assign)
		}
		if !any {
			return Deny
		}
	}
	return s.outcome()
}

func (a sideState) outcome() Decision {
	if a.unknown {
		return DecisionUnknown
	}
	return Allow
}

func enumerate(p *problem) map[string]bool {
	out := map[string]bool{}
	assign := make([]int, len(p.vars))
	for {
		b, a := decide(p, 0, assign), decide(p, 1, assign)
		if differ(b, a) {
			out[string(b)+">"+string(a)+">"+string(decide(p, sideNamed, assign))] = true
		}
		i := 0
		for ; i < len(assign); i++ {
			if assign[i]++; assign[i] < len(p.vars[i].classes) {
				break
			}
			assign[i] = 0
		}
		if i == len(assign) {
			return out
		}
	}
}

// TestClassesCoverEveryString: whatever the string, some class has exactly its matches,
// and each class's representative has the matches that the class claims.
func TestClassesCoverEveryString(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		kind := rapid.SampledFrom([]attrKind{attrPath, attrHost, attrHeader, attrMethod, attrClaim, attrSNI}).Draw(t, "kind")
		word := rapid.StringMatching(`[ab/]{0,3}`)
		n := rapid.IntRange(1, 7).Draw(t, "n")
		var pats []*pattern
		for i := 0; i < n; i++ {
			v := word.Draw(t, "word")
			switch form := rapid.IntRange(0, 5).Draw(t, "form"); {
			case form == 0:
				v = "*" + v
			case form == 1:
				v += "*"
			case form == 2 && kind == attrPath:
				v = "/" + strings.Join(rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "{*}"}), 0, 3).Draw(t, "segs"), "/") + rapid.SampledFrom([]string{"", "/{**}", "/{*}", "/{**}/a"}).Draw(t, "tail")
				v = strings.ReplaceAll(v, "//", "/")
			case v == "":
				v = "a"
			}
			switch kind {
			case attrPath:
				pats = append(pats, pathPattern(v))
			case attrHost:
				pats = append(pats, simplePattern(v, rapid.Bool().Draw(t, "fold")))
			case attrHeader, attrMethod:
				pats = append(pats, simplePattern(v, false))
			default:
				pats = append(pats, stringPattern(v))
			}
		}
		classes, ok := stringClasses(kind, pats, []string{"/", "a"})
		if !ok {
			t.Fatal("too large")
		}
		have := map[string]bool{}
		for _, c := range classes {
			have[c.bits.key()] = true
			for i, p := range pats {
				if p.matches(c.rep, c.present) != c.bits.has(i) {
					t.Fatalf("class of %q is wrong about %q", c.rep, p.words())
				}
			}
		}
		for i := 0; i < 50; i++ {
			s := rapid.StringMatching(`[abAx/*.%6]{0,6}`).Draw(t, "s")
			if kind == attrPath {
				s = "/" + s
				if !isNormal(s) {
					continue // Envoy normalizes such a path before any matcher sees it
				}
			}
			if s == "" && !emptyAllowed(kind) {
				continue
			}
			bits := newBitset(len(pats))
			for i, p := range pats {
				if p.matches(s, true) {
					bits.set(i)
				}
			}
			if !have[bits.key()] {
				t.Fatalf("no class has the matches of %q", s)
			}
		}
	})
}

func TestClassesCoverEveryAddress(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		kind := rapid.SampledFrom([]attrKind{attrSourceIP, attrRemoteIP}).Draw(t, "kind")
		small := func(max int, name string) byte { return byte(rapid.IntRange(0, max).Draw(t, name)) }
		address := func() netip.Addr {
			a := netip.AddrFrom4([4]byte{9 + small(2, "a"), small(3, "b"), small(3, "c"), small(8, "d")})
			if rapid.IntRange(0, 3).Draw(t, "mapped") == 0 {
				return netip.AddrFrom16(a.As16())
			}
			return a
		}
		var pats []*pattern
		for i := rapid.IntRange(1, 6).Draw(t, "n"); i > 0; i-- {
			a := address()
			pats = append(pats, cidrPattern(netip.PrefixFrom(a, rapid.IntRange(0, a.BitLen()).Draw(t, "bits")).Masked()))
		}
		have := map[string]bool{}
		for _, c := range addressClasses(kind, pats, nil) {
			have[c.bits.key()] = true
		}
		for i := 0; i < 50; i++ {
			a := address()
			if kind == attrSourceIP {
				a = a.Unmap()
			}
			bits := newBitset(len(pats))
			for i, p := range pats {
				if p.prefix.Contains(a) {
					bits.set(i)
				}
			}
			if !have[bits.key()] {
				t.Fatalf("no class has the matches of %s", a)
			}
		}
	})
}

func TestNormalizedPathsAreNormal(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := "/" + rapid.StringMatching(`[ab/.%26fF1]{0,12}`).Draw(t, "path")
		n := normalizePath(p)
		if m := normalizePath(n); isNormal(n) != (m == n) {
			t.Fatalf("%q becomes %q; is that normal: %v, and again %q", p, n, isNormal(n), m)
		}
	})
	for in, want := range map[string]string{
		"/x/../admin/": "/admin/", "/%61dmin": "/admin", "/a/./b": "/a/b", "/a/..": "/", "/a//b": "/a//b",
		"/a%2Fb": "/a%2Fb", "/a\\b": "/a/b", "/a/.": "/a/", "/../x?q=/../y": "/x?q=/../y", "/a%2e%2e/b": "/a../b", "/%2e%2e/b": "/b",
	} {
		if got := normalizePath(in); got != want {
			t.Errorf("%q becomes %q, want %q", in, got, want)
		}
	}
}

// TestOrderKeepsCubesTogether: rules that each ask two headers of their own are no
// product of all headers.
func TestOrderKeepsCubesTogether(t *testing.T) {
	world := func(last string) World {
		p := AuthorizationPolicy{Namespace: "a", Name: "p", Action: ActionAllow}
		for i := 0; i < 24; i++ {
			p.Rules = append(p.Rules, Rule{When: []Condition{
				{Key: fmt.Sprintf("request.headers[a%02d]", i), Values: []string{"x"}},
				{Key: fmt.Sprintf("request.headers[b%02d]", i), Values: []string{"y" + last}},
			}})
			last = ""
		}
		p.digest = digestOf(p)
		ref := Ref{Kind: "Deployment", Namespace: "a", Name: "w"}
		return World{Policies: Policies{Authorization: []AuthorizationPolicy{p}},
			Workloads: []Workload{{Ref: ref, Mode: ModeSidecar, Role: RoleApplication, Ports: []Port{{Number: 80, Protocol: ProtocolHTTP}}}}}
	}
	before, after := world(""), world("z")
	r := Diff(&before, &after, Options{})
	if r.Equivalent || len(r.Notes) > 0 || r.Stats.Regions > 20_000 {
		t.Errorf("equivalent %v, notes %v, %d regions", r.Equivalent, r.Notes, r.Stats.Regions)
	}
	same := Diff(&before, &before, Options{})
	if !same.Equivalent {
		t.Errorf("a world differs from itself: %v", same.Divergences)
	}
}
