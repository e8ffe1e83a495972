package authz

import (
	"fmt"
	"math/rand"
	"strings"
	"testing"
)

// sortOf says which sort of difference a region is; what the identity would change matters only where a
// denied request is allowed.
func sortOf(v [3]Decision) string {
	if v[sideBefore] != Deny || v[sideAfter] == Deny {
		v[sideNamed] = "-"
	}
	return fmt.Sprint(v)
}

func sorts(run func(leaf) bool) (map[string]bool, bool) {
	found := map[string]bool{}
	done := run(func(_ *problem, _ []int, v [3]Decision) more {
		found[sortOf(v)] = true
		return otherSorts
	})
	return found, done
}

// checkProblem holds the split of a problem to plain enumeration of every combination of classes, and each of
// its witnesses to what it claims.
func checkProblem(p *problem) (differs bool, err error) {
	want := map[string]bool{}
	for k := range enumerate(p) {
		parts := strings.Split(k, ">")
		want[sortOf([3]Decision{Decision(parts[0]), Decision(parts[1]), Decision(parts[2])})] = true
	}
	got := map[string]bool{}
	done := splitProblem(p, usualBounds.steps, func(_ *problem, assign []int, v [3]Decision) more {
		for i, d := range v {
			if is := decide(p, i, assign); is != d && (i != sideNamed || !strings.HasSuffix(sortOf(v), "-]")) {
				err = fmt.Errorf("the split says %s on side %d where it is %s", d, i, is)
			}
		}
		got[sortOf(v)] = true
		return goOn
	})
	if !done || fmt.Sprint(sortedKeys(got)) != fmt.Sprint(sortedKeys(want)) {
		err = fmt.Errorf("the split finds %v, enumeration %v", sortedKeys(got), sortedKeys(want))
	}
	return len(want) > 0, err
}

func TestSplitFindsWhatEnumerationFinds(t *testing.T) {
	differing := 0
	const seeds = 6000
	for seed := range seeds {
		differs, err := checkProblem(gen{rand.New(rand.NewSource(int64(seed)))}.problem())
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		if differs {
			differing++
		}
	}
	if differing < seeds/10 || differing > seeds*9/10 {
		t.Errorf("%d of %d problems differ: one side is hardly tested", differing, seeds)
	}
}

// TestFindGuessesRight: where no attribute shows the way, every guess must be followed: regions that many
// cubes of three literals all but cover.
func TestFindGuessesRight(t *testing.T) {
	found, covered := 0, 0
	for seed := range 1000 {
		g := gen{rand.New(rand.NewSource(int64(seed)))}
		p := &problem{}
		for range 5 {
			p.vars = append(p.vars, variable{classes: make([]class, 2+g.c.Intn(2))})
		}
		var ids []int32
		for range 40 + g.c.Intn(50) {
			var lits []lit
			for _, v := range rand.New(rand.NewSource(int64(g.c.Intn(1 << 30)))).Perm(len(p.vars))[:3] {
				m := newBitset(len(p.vars[v].classes))
				m.set(g.c.Intn(len(p.vars[v].classes)))
				lits = append(lits, lit{v, m})
			}
			ids = append(ids, int32(len(p.cubes)))
			p.cubes = append(p.cubes, lits)
		}
		p.cubes = append(p.cubes, nil) // matches everything
		never := sideState{deny: []int32{int32(len(ids))}}
		p.sides = [3]sideState{{deny: ids}, never, never}
		b := newBoxes(p, usualBounds.steps)
		assign := b.find(b.full, ids)
		if want := len(enumerate(p)) > 0; want != (assign != nil) {
			t.Fatalf("seed %d: found %v, enumeration says %v", seed, assign, want)
		}
		if assign == nil {
			covered++
			continue
		}
		found++
		if decide(p, sideBefore, assign) != Allow {
			t.Fatalf("seed %d: %v is matched by a cube", seed, assign)
		}
	}
	if found < 100 || covered < 100 {
		t.Errorf("%d found, %d covered: one side is hardly tested", found, covered)
	}
}

// FuzzSplit is TestSplitFindsWhatEnumerationFinds on problems made from bytes.
func FuzzSplit(f *testing.F) {
	for _, s := range []string{"", "cubes", "0123456789abcdef0123456789abcdef", "\x03\x02\x02\x02\x06\xff\x10\x20\x01\x00\x63", "\xff\xfe\xfd many variables of many classes each"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, seed []byte) {
		if _, err := checkProblem(gen{&bytesChooser{data: seed}}.problem()); err != nil {
			t.Error(err)
		}
	})
}

// checkSplit decides every scenario of two worlds three ways: all rules at once, rule by rule over classes,
// and rule by rule over patterns. All must find the same sorts of differences.
func checkSplit(before, after World) (scenarios, differing int, err error) {
	d := NewProver(&before).comparison(&after, Options{})
	for _, s := range d.scenarios() {
		p := [2]path{
			d.worlds[0].route(s.pair.before, s.t, effective(s.t, s.proto)),
			d.worlds[1].route(s.pair.after, s.u, effective(s.u, s.proto)),
		}
		for _, class := range d.callers.lists[s.pair].partition(d.questions(&p[0], &p[1])) {
			for _, tok := range tokens(&p[0], &p[1]) {
				sides := withoutPreflights(foldAll(s.pair, class.rep.ids, &p, tok), tok)
				env := d.environment(s.t, s.u)
				prob := newProblem(sides, env)
				if prob.tooLarge != "" {
					return 0, 0, fmt.Errorf("too large: %s", prob.tooLarge)
				}
				whole, _ := sorts(func(f leaf) bool {
					s := search{p: prob, bounds: usualBounds, leaf: func(a []int, v [3]Decision) bool { f(prob, a, v); return true }}
					s.run()
					return !s.large
				})
				byClass, ok1 := sorts(func(f leaf) bool { return splitProblem(prob, usualBounds.steps, f) })
				byPattern, ok2 := sorts(func(f leaf) bool { return splitPatterns(sides, env, usualBounds.steps, f) })
				want := fmt.Sprint(sortedKeys(whole))
				if a, b := fmt.Sprint(sortedKeys(byClass)), fmt.Sprint(sortedKeys(byPattern)); !ok1 || !ok2 || a != want || b != want {
					return 0, 0, fmt.Errorf("%s, %s, token %v: at once %s; by class %s (%v); by pattern %s (%v)",
						s.pair.words(), s.t.destination().words(), tok, want, a, ok1, b, ok2)
				}
				scenarios++
				if len(whole) > 0 {
					differing++
				}
			}
		}
	}
	return scenarios, differing, nil
}

// TestSplitAgreesWithSearch is checkSplit on generated worlds.
func TestSplitAgreesWithSearch(t *testing.T) {
	scenarios, differing := 0, 0
	for seed := range 150 {
		g := gen{rand.New(rand.NewSource(int64(seed)))}
		before := g.world()
		n, m, err := checkSplit(before, g.change(before))
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		scenarios, differing = scenarios+n, differing+m
	}
	if differing < scenarios/50 || differing == scenarios {
		t.Errorf("%d of %d scenarios differ: one side is hardly tested", differing, scenarios)
	}
	t.Logf("%d scenarios, %d of them differ", scenarios, differing)
}
