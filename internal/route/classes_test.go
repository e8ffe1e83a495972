package route

import (
	"math/rand"
	"slices"
	"testing"
)

// TestClassesAreComplete draws tables of tests that overlap, and requests: for each pair of rules that a request meets, the
// search has to have reported it, with a request that meets it too.
func TestClassesAreComplete(t *testing.T) {
	r := rand.New(rand.NewSource(9))
	paths := []string{"/", "/a", "/a/b", "/ab", "/any", "/b", "/a/any-other", "/z"}
	patterns := []string{"/a.*", "/[ab]", ".*", "/a/[0-9]+", "/(a|b)/?"}
	values := []string{"", "1", "12", "2", "any", "a"}
	pick := func(list []string) string { return list[r.Intn(len(list))] }
	test := func() Test {
		switch r.Intn(7) {
		case 0:
			return Test{Attribute: "path", Op: Exact, Value: pick(paths)}
		case 1:
			return Test{Attribute: "path", Op: Prefix, Value: pick(paths), Fold: r.Intn(4) == 0}
		case 2:
			return Test{Attribute: "path", Op: Segment, Value: pick(paths[1:])}
		case 3:
			return Test{Attribute: "path", Op: Regex, Value: pick(patterns)}
		case 4:
			return Test{Attribute: "method", Op: Exact, Value: pick([]string{"GET", "POST"})}
		case 5:
			return Test{Attribute: "header:x", Op: []Op{Exact, Prefix, Present}[r.Intn(3)], Value: pick(values), Not: r.Intn(4) == 0}
		}
		return Test{Attribute: "query:q", Op: []Op{Exact, Present}[r.Intn(2)], Value: pick(values)}
	}
	table := func() *Table {
		out := &Table{}
		for range 1 + r.Intn(4) {
			var m Match
			for range r.Intn(3) {
				m = append(m, test())
			}
			out.Rules = append(out.Rules, Rule{Match: m, Action: &Action{Kind: Forward}})
		}
		return out
	}
	checked := 0
	for range 400 {
		a, b := table(), table()
		seen := map[[2]int]bool{}
		complete := searchPairs(a, b, SpeakHTTP, func(i, j int, q Request) {
			seen[[2]int{i, j}] = true
			if a.Route(&q) != i || b.Route(&q) != j {
				t.Fatalf("%v and %v: %+v is said to meet rules %d and %d, and meets %d and %d", a.Rules, b.Rules, q, i, j, a.Route(&q), b.Route(&q))
			}
		})
		if !complete {
			t.Fatal("a small table was not searched to the end")
		}
		for range 20 {
			q := Request{Speech: SpeakHTTP, Path: pick(append(slices.Clone(paths), "/a/7", "/A", "/a/", "/other")), Method: pick([]string{"GET", "POST", "PUT"})}
			if r.Intn(2) == 0 {
				q.Headers = map[string]string{"x": pick(values)}
			}
			if r.Intn(2) == 0 {
				q.Query = map[string]string{"q": pick(values)}
			}
			checked++
			if pair := [2]int{a.Route(&q), b.Route(&q)}; !seen[pair] {
				t.Fatalf("%v and %v: %+v meets rules %v, which the search did not report", a.Rules, b.Rules, q, pair)
			}
		}
	}
	t.Logf("%d requests", checked)
}
