package route

import (
	"fmt"
	"slices"
	"strings"
)

// Classes of requests: two requests that pass the same tests are treated alike, so one of each set of tests that can
// hold together is compared. For tests of whole values, prefixes and presence the values to try are known; with
// regular expressions an automaton of all tests of the attribute finds them.

// option is one class of values of an attribute: a value, and which of the attribute's tests it passes.
type option struct {
	value Value
	holds []bool
}

// attributeTests are the distinct tests of one attribute in both tables.
type attributeTests struct {
	name  string
	tests []Test
	index map[Test]int
}

// gatherTests lists attributes with their tests, in a fixed order.
func gatherTests(tables ...*Table) []*attributeTests {
	byName := map[string]*attributeTests{}
	var out []*attributeTests
	for _, t := range tables {
		for i := range t.Rules {
			for _, test := range t.Rules[i].Match {
				a := byName[test.Attribute]
				if a == nil {
					a = &attributeTests{name: test.Attribute, index: map[Test]int{}}
					byName[test.Attribute] = a
					out = append(out, a)
				}
				if _, ok := a.index[test]; !ok {
					a.index[test] = len(a.tests)
					a.tests = append(a.tests, test)
				}
			}
		}
	}
	slices.SortFunc(out, func(a, b *attributeTests) int { return strings.Compare(a.order(), b.order()) })
	return out
}

func (a *attributeTests) order() string {
	switch a.name {
	case "path":
		return "0"
	case "method":
		return "1"
	}
	return "2" + a.name
}

// mayMiss reports whether a request may lack the attribute.
func (a *attributeTests) mayMiss() bool {
	return strings.Contains(a.name, ":") || a.name == "sni"
}

// options lists the classes of values; complete is false where there may be others.
func (a *attributeTests) options(domains []string) (out []option, complete bool) {
	values, complete := a.values(domains)
	seen := map[string]bool{}
	add := func(v Value) {
		o := option{value: v, holds: make([]bool, len(a.tests))}
		key := make([]byte, len(a.tests))
		for i, t := range a.tests {
			if t.holds(v) {
				o.holds[i], key[i] = true, 1
			}
		}
		if !seen[string(key)] {
			seen[string(key)] = true
			out = append(out, o)
		}
	}
	if a.mayMiss() {
		add(Value{Missing: true})
	}
	for _, v := range values {
		add(Value{Text: v})
	}
	return out, complete
}

// values lists texts that cover every class.
func (a *attributeTests) values(domains []string) (values []string, complete bool) {
	switch {
	case a.name == "authority" && domains != nil:
		for _, d := range domains {
			values = append(values, d, d+":80")
		}
		return values, true
	case a.name == "scheme":
		return []string{"http", "https"}, true
	}
	for _, t := range a.tests {
		if t.Op == Regex {
			return a.automatonValues()
		}
	}
	fresh := a.fresh()
	values = append(values, fresh)
	for _, t := range a.tests {
		switch t.Op {
		case Exact:
			values = append(values, t.Value)
			if t.Fold {
				values = append(values, strings.ToLower(t.Value), strings.ToUpper(t.Value))
			}
		case Prefix:
			values = append(values, t.Value, a.after(t.Value))
			if t.Fold {
				values = append(values, a.after(strings.ToUpper(t.Value)))
			}
		case Segment:
			values = append(values, t.Value, a.after(t.Value+"/"), a.after(t.Value))
			if t.Fold {
				values = append(values, strings.ToUpper(t.Value))
			}
		}
	}
	if a.mayMiss() {
		values = append(values, "")
	}
	if a.name == "path" {
		values = slices.DeleteFunc(values, func(v string) bool { return !strings.HasPrefix(v, "/") })
	}
	return values, true
}

// after returns text with a word behind it that no test asks for: what begins with the text passes the same prefixes
// as the result, and no other test.
func (a *attributeTests) after(text string) string {
	asked := func(c byte) bool {
		next := strings.ToLower(text + string(c))
		return slices.ContainsFunc(a.tests, func(t Test) bool { return strings.HasPrefix(strings.ToLower(t.Value), next) })
	}
	for _, word := range []string{"any-other", "other", "else", "x", "y", "z"} {
		if !asked(word[0]) {
			return text + word
		}
	}
	for c := byte('!'); c < 0x7f; c++ {
		if c != '?' && c != '#' && c != '/' && (c < 'A' || c > 'Z') && !asked(c) {
			return text + string(c)
		}
	}
	return text + "\x80" // every character is asked for: one that none can name
}

// fresh is a value that passes no test but those that every value passes.
func (a *attributeTests) fresh() string {
	switch a.name {
	case "path":
		return a.after("/")
	case "method":
		for _, v := range []string{"GET", "POST", "PUT", "DELETE"} {
			if !slices.ContainsFunc(a.tests, func(t Test) bool { return t.plain(Value{Text: v}) }) {
				return v
			}
		}
	}
	return a.after("")
}

// automatonValues finds values with the automata of all tests.
func (a *attributeTests) automatonValues() ([]string, bool) {
	var machines []*machine
	for _, t := range a.tests {
		pattern := ""
		switch t.Op {
		case Exact:
			pattern = quote(t.Value)
		case Prefix:
			pattern = quote(t.Value) + `(?s:.*)`
		case Segment:
			pattern = quote(t.Value) + `(?s:/.*)?`
		case Regex:
			pattern = `(?:` + t.Value + `)`
		default:
			continue
		}
		if t.Fold && t.Op != Regex {
			pattern = `(?i:` + pattern + `)`
		}
		m := compileMachine(pattern)
		if m == nil {
			if t.Op == Regex && compiled(t.Value) == nil {
				continue // invalid: matches nothing
			}
			return []string{a.fresh()}, false
		}
		machines = append(machines, m)
	}
	first := ""
	allowed := func(r rune) bool { return r >= 0x20 && r < 0x7f }
	if a.name == "path" {
		first = "/"
		allowed = func(r rune) bool { return r > 0x20 && r < 0x7f && r != '?' && r != '#' }
	}
	return accepted(machines, first, allowed)
}

// Request is a call that tells two treatments apart.
type Request struct {
	Speech    Speech            `json:"protocol"`
	Method    string            `json:"method,omitempty"`
	Path      string            `json:"path,omitempty"`
	Authority string            `json:"authority,omitempty"`
	Scheme    string            `json:"scheme,omitempty"`
	SNI       string            `json:"sni,omitempty"`
	Headers   map[string]string `json:"headers,omitempty"`
	Query     map[string]string `json:"query,omitempty"`
	Claims    map[string]string `json:"claims,omitempty"`
	// Undecided reports whether the request only stands for ones that were not found.
	Undecided bool `json:"undecided,omitempty"`
}

// value reads an attribute of a request.
func (r *Request) value(attribute string) Value {
	of := func(m map[string]string, name string) Value {
		v, ok := m[name]
		return Value{v, !ok}
	}
	kind, name, _ := strings.Cut(attribute, ":")
	switch kind {
	case "path":
		return Value{Text: r.Path}
	case "method":
		return Value{Text: r.Method}
	case "authority":
		return Value{Text: r.Authority}
	case "scheme":
		return Value{Text: orDefault(r.Scheme, "http")}
	case "sni":
		return Value{r.SNI, r.SNI == ""}
	case "header":
		return of(r.Headers, name)
	case "query":
		return of(r.Query, name)
	case "claim":
		return of(r.Claims, name)
	}
	return Value{Missing: true}
}

func orDefault(s, d string) string {
	if s == "" {
		return d
	}
	return s
}

func (r *Request) set(attribute string, v Value) {
	if v.Missing {
		return
	}
	put := func(m *map[string]string, name string) {
		if *m == nil {
			*m = map[string]string{}
		}
		(*m)[name] = v.Text
	}
	kind, name, _ := strings.Cut(attribute, ":")
	switch kind {
	case "path":
		r.Path = v.Text
	case "method":
		r.Method = v.Text
	case "authority":
		r.Authority = v.Text
	case "scheme":
		r.Scheme = v.Text
	case "sni":
		r.SNI = v.Text
	case "header":
		put(&r.Headers, name)
	case "query":
		put(&r.Query, name)
	case "claim":
		put(&r.Claims, name)
	}
}

// Words is the request for people.
func (r *Request) Words() string {
	var parts []string
	switch r.Speech {
	case SpeakHTTP:
		parts = append(parts, orDefault(r.Method, "GET")+" "+orDefault(r.Path, "/"))
	default:
		parts = append(parts, "a "+strings.ToUpper(string(r.Speech))+" connection")
	}
	if r.Authority != "" {
		parts = append(parts, "for "+r.Authority)
	}
	if r.SNI != "" {
		parts = append(parts, "with SNI "+r.SNI)
	}
	for _, m := range []struct {
		name   string
		values map[string]string
	}{{"header", r.Headers}, {"query", r.Query}, {"claim", r.Claims}} {
		for _, k := range sortedKeys(m.values) {
			parts = append(parts, fmt.Sprintf("%s %s=%s", m.name, k, m.values[k]))
		}
	}
	return strings.Join(parts, ", ")
}

func sortedKeys[V any](m map[string]V) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}

// Route returns the first rule of a table that matches a request, -1 without one.
func (t *Table) Route(r *Request) int {
	for i := range t.Rules {
		if t.Rules[i].Match.holds(r) {
			return i
		}
	}
	return -1
}

func (m Match) holds(r *Request) bool {
	return !slices.ContainsFunc(m, func(t Test) bool { return !t.holds(r.value(t.Attribute)) })
}
