// Package policytest runs authorization stories written as text: a mesh, policies,
// requests, and what must come of them. The language is described in README.md. It is
// test support; nothing of the product imports it.
package policytest

import (
	"fmt"
	"strings"

	"github.com/sidestep-mesh/sidestep/internal/authz"
)

// Execute runs a script. The error names the line and says what was expected and what
// came.
func Execute(script string) error {
	s := &story{worlds: map[string]authz.World{}}
	lines := strings.Split(script, "\n")
	for i := 0; i < len(lines); i++ {
		words, err := split(lines[i])
		if err != nil {
			return fmt.Errorf("line %d: %w", i+1, err)
		}
		if len(words) == 0 {
			continue
		}
		if words[0] == "load" {
			start := i
			for i++; i < len(lines) && strings.TrimSpace(lines[i]) != "end"; i++ {
			}
			if i == len(lines) {
				return fmt.Errorf("line %d: load without end", start+1)
			}
			if err := s.load(strings.Join(lines[start+1:i], "\n")); err != nil {
				return fmt.Errorf("line %d: %w", start+1, err)
			}
			continue
		}
		verb, ok := verbs[words[0]]
		if !ok {
			return fmt.Errorf("line %d: unknown verb %q", i+1, words[0])
		}
		if err := verb(s, words[1:]); err != nil {
			return fmt.Errorf("line %d: %s: %w", i+1, strings.TrimSpace(lines[i]), err)
		}
	}
	if s.expectations == 0 {
		return fmt.Errorf("the script expects nothing")
	}
	return nil
}

// story is the state of a script.
type story struct {
	world    authz.World
	worlds   map[string]authz.World
	problems []authz.Problem
	// last is what the next expect speaks of.
	answer       *authz.Answer
	result       *authz.Result
	expectations int
}

type verb func(*story, []string) error

var verbs = map[string]verb{
	"config":   (*story).config,
	"workload": (*story).workload,
	"service":  (*story).service,
	"waypoint": (*story).waypoint,
	"unknown":  (*story).unknown,
	"mode":     (*story).mode,
	"bind":     (*story).bind,
	"tls":      (*story).tls,
	"unbind":   (*story).unbind,
	"drop":     (*story).drop,
	"world":    (*story).save,
	"request":  (*story).request,
	"diff":     (*story).diff,
	"expect":   (*story).expect,
}

// split cuts a line into words; quotes, double or single, keep spaces and each other,
// # begins a comment.
func split(line string) ([]string, error) {
	var words []string
	var b strings.Builder
	quoted := false
	var open byte
	flush := func() {
		if b.Len() > 0 || quoted {
			words = append(words, b.String())
		}
		b.Reset()
		quoted = false
	}
	for i := 0; i < len(line); i++ {
		switch c := line[i]; {
		case open != 0:
			if c == open {
				open = 0
			} else {
				b.WriteByte(c)
			}
		case c == '"' || c == '\'':
			open, quoted = c, true
		case c == '#' && b.Len() == 0 && !quoted:
			flush()
			return words, nil
		case c == ' ' || c == '\t' || c == '\r':
			flush()
		default:
			b.WriteByte(c)
		}
	}
	if open != 0 {
		return nil, fmt.Errorf("a quote is not closed")
	}
	flush()
	return words, nil
}

// options parses key=value words; words without "=" are flags. A key that is not in
// known is an error.
func options(words []string, known ...string) (map[string]string, error) {
	out := map[string]string{}
	for _, w := range words {
		k, v, _ := strings.Cut(w, "=")
		ok := false
		for _, n := range known {
			ok = ok || n == k
		}
		if !ok {
			return nil, fmt.Errorf("unknown option %q (known: %s)", k, strings.Join(known, ", "))
		}
		out[k] = v
	}
	return out, nil
}

func ref(s string) (ns, name string, err error) {
	ns, name, ok := strings.Cut(s, "/")
	if !ok || ns == "" || name == "" {
		return "", "", fmt.Errorf("%q is not namespace/name", s)
	}
	return ns, name, nil
}
