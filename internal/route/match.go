package route

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"

	apinetworking "istio.io/api/networking/v1alpha3"
)

// Op is how a value is compared.
type Op string

const (
	Exact   Op = "exact"
	Prefix  Op = "prefix"
	Segment Op = "segment" // a prefix that ends at a slash or at the end: /a covers /a and /a/b, not /ab
	Regex   Op = "regex"   // of the whole value, RE2
	Present Op = "present"
)

// Test compares one attribute of a request: path, method, authority, scheme, sni, header:NAME, query:NAME or
// claim:NAME.
type Test struct {
	Attribute string `json:"attribute"`
	Op        Op     `json:"op"`
	Value     string `json:"value,omitempty"`
	// Fold ignores the case of letters; Not inverts, and then a missing value counts as an empty one.
	Fold bool `json:"fold,omitempty"`
	Not  bool `json:"not,omitempty"`
}

// Match holds when all tests do; the empty Match covers every request.
type Match []Test

// Compare orders tests, so that equal matches are written alike.
func (t Test) Compare(o Test) int {
	b := func(x bool) int {
		if x {
			return 1
		}
		return 0
	}
	return cmp.Or(strings.Compare(t.Attribute, o.Attribute), strings.Compare(string(t.Op), string(o.Op)),
		strings.Compare(t.Value, o.Value), b(t.Fold)-b(o.Fold), b(t.Not)-b(o.Not))
}

// String is the match in words.
func (m Match) String() string {
	if len(m) == 0 {
		return "every request"
	}
	var parts []string
	for _, t := range m {
		not := ""
		if t.Not {
			not = "not "
		}
		if t.Op == Present {
			parts = append(parts, not+t.Attribute+" is present")
			continue
		}
		parts = append(parts, fmt.Sprintf("%s%s %s %q", not, t.Attribute, t.Op, t.Value))
	}
	return strings.Join(parts, " and ")
}

// Value is an attribute of a request that may be missing.
type Value struct {
	Text    string
	Missing bool
}

// holds reports whether a value passes the test. A regex that does not compile matches nothing: Envoy refuses
// such a configuration, and Problems names it.
func (t Test) holds(v Value) bool {
	if t.Not {
		if v.Missing && t.Op != Present {
			v = Value{}
		}
		return !t.plain(v)
	}
	return t.plain(v)
}

func (t Test) plain(v Value) bool {
	if v.Missing {
		return false
	}
	text, want := v.Text, t.Value
	if t.Fold && t.Op != Regex {
		text, want = strings.ToLower(text), strings.ToLower(want)
	}
	switch t.Op {
	case Exact:
		return text == want
	case Prefix:
		return strings.HasPrefix(text, want)
	case Segment:
		rest, ok := strings.CutPrefix(text, want)
		return ok && (rest == "" || rest[0] == '/')
	case Regex:
		re := compiled(t.Value)
		return re != nil && re.MatchString(text)
	case Present:
		return true
	}
	return false
}

// compiled returns the regex of a whole value, nil where it is not valid. Go's syntax is RE2's, as Envoy's is.
func compiled(text string) *regexp.Regexp {
	re, err := regexp.Compile(`^(?:` + text + `)$`)
	if err != nil {
		return nil
	}
	return re
}

// stringTest translates a StringMatch; for headers and queries an unset match, or the regex "*", asks for presence
// (core/route/route.go canBeConvertedToPresentMatch).
func stringTest(attribute string, m *apinetworking.StringMatch) Test {
	switch v := m.GetMatchType().(type) {
	case *apinetworking.StringMatch_Exact:
		return Test{Attribute: attribute, Op: Exact, Value: v.Exact}
	case *apinetworking.StringMatch_Prefix:
		return Test{Attribute: attribute, Op: Prefix, Value: v.Prefix}
	case *apinetworking.StringMatch_Regex:
		if v.Regex == "*" {
			return Test{Attribute: attribute, Op: Present}
		}
		return Test{Attribute: attribute, Op: Regex, Value: v.Regex}
	}
	return Test{Attribute: attribute, Op: Present}
}

// claimPrefix starts the name of a header match that reads a claim of a validated token.
const claimPrefix = "@request.auth.claims"

func headerAttribute(name string) string {
	lower := strings.ToLower(name)
	if strings.HasPrefix(lower, claimPrefix) {
		return "claim:" + name[len(claimPrefix):]
	}
	return "header:" + lower
}

// httpMatch translates what a match asks of a request. segment makes path prefixes end at a slash, as Gateway API
// and Ingress routes do.
func httpMatch(in *apinetworking.HTTPMatchRequest, segment bool) Match {
	var out Match
	if in == nil {
		return nil
	}
	if in.GetUri() != nil {
		t := stringTest("path", in.GetUri())
		t.Fold = in.GetIgnoreUriCase()
		switch {
		case t.Op == Prefix && segment && t.Value != "/":
			t.Op, t.Value = Segment, strings.TrimSuffix(t.Value, "/")
		case t.Op == Present:
			t = Test{Attribute: "path", Op: Prefix, Value: "/"}
		}
		if t.Op != Prefix || t.Value != "/" && t.Value != "" {
			out = append(out, t)
		}
	}
	for _, f := range []struct {
		attribute string
		match     *apinetworking.StringMatch
	}{{"method", in.GetMethod()}, {"authority", in.GetAuthority()}, {"scheme", in.GetScheme()}} {
		if f.match != nil {
			out = append(out, stringTest(f.attribute, f.match))
		}
	}
	for name, m := range in.GetHeaders() {
		out = append(out, stringTest(headerAttribute(name), m))
	}
	for name, m := range in.GetWithoutHeaders() {
		t := stringTest(headerAttribute(name), m)
		t.Not = true
		out = append(out, t)
	}
	for name, m := range in.GetQueryParams() {
		out = append(out, stringTest("query:"+name, m))
	}
	slices.SortFunc(out, Test.Compare)
	return slices.Compact(out)
}

// catchAll reports whether istiod takes the match for one that covers every request, after which it writes no more
// routes (core/route/route.go IsCatchAllRoute).
func (m Match) catchAll() bool {
	return len(m) == 0 || len(m) == 1 && m[0].Attribute == "path" && m[0].Op == Regex && m[0].Value == ".*"
}
