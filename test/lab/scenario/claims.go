package scenario

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Claim is what Sidestep's audit must say of a workload, written in a scenario as
//
//	NAMESPACE/WORKLOAD MODE VERDICT CODE... !CODE...
//
// or of another object, as "KIND NAMESPACE/NAME CODE... !CODE...". Codes with ! must be absent; those that are
// named neither way may be there or not.
type Claim struct {
	Kind           string // "" for a workload
	Name           string // namespace/name
	Mode, Verdict  string // of a workload; verdicts that depend on what else is loaded are separated by |
	Codes, Without []string
}

// Question is a command of `sidestep authz` with what it must answer, written in a scenario as a line
//
//	> can --from NS/NAME --to NS/SERVICE:PORT ...
//	> diff --move NS/NAME=MODE ...
//
// and below it the answers. That of `can` is text that each answer must hold, which reads "DECISION by POINT (POLICY)".
// Those of `diff` are "weaker TEXT..." or "stricter TEXT...", for some divergence of that kind that holds every text, or "no weaker
// TEXT..." for none. A text with blanks stands in double quotes.
type Question struct {
	Command string   // "can" or "diff"
	Args    []string // flags
	Answers []Answer
}

// Answer is one thing that is asked of a command's output.
type Answer struct {
	None  bool   // there must be no such divergence
	Kind  string // "weaker" or "stricter"; "" for `can`
	Texts []string
}

func (q Question) String() string {
	return "sidestep authz " + q.Command + " " + strings.Join(q.Args, " ")
}

// Holds says whether a text holds all that the answer asks for.
func (a Answer) Holds(text string) bool {
	return !slices.ContainsFunc(a.Texts, func(want string) bool { return !strings.Contains(text, want) })
}

func parseClaims(raw []byte) ([]Claim, error) {
	return eachLine(raw, func(line string) (Claim, error) {
		fields := strings.Fields(line)
		var c Claim
		switch {
		case len(fields) >= 3 && strings.Contains(fields[0], "/"):
			c.Name, c.Mode, c.Verdict, fields = fields[0], fields[1], fields[2], fields[3:]
		case len(fields) >= 3:
			c.Kind, c.Name, fields = fields[0], fields[1], fields[2:]
		default:
			return c, errors.New("want NAMESPACE/WORKLOAD MODE VERDICT [CODE...] or KIND NAMESPACE/NAME CODE..., with codes last")
		}
		for _, code := range fields {
			without, no := strings.CutPrefix(code, "!")
			if !strings.HasPrefix(without, "SS") {
				return c, fmt.Errorf("%s is no code of a rule", code)
			}
			if no {
				c.Without = append(c.Without, without)
			} else {
				c.Codes = append(c.Codes, code)
			}
		}
		return c, nil
	})
}

func parseQuestions(raw []byte) ([]Question, error) {
	var all []Question
	_, err := eachLine(raw, func(line string) (struct{}, error) {
		nothing := struct{}{}
		if command, ok := strings.CutPrefix(line, "> "); ok {
			words, err := splitQuoted(command)
			if err == nil && words[0] != "can" && words[0] != "diff" {
				err = fmt.Errorf("%s is neither can nor diff", words[0])
			}
			if err == nil {
				all = append(all, Question{Command: words[0], Args: words[1:]})
			}
			return nothing, err
		}
		if len(all) == 0 {
			return nothing, errors.New("an answer without a question, which starts with >")
		}
		q := &all[len(all)-1]
		a, err := parseAnswer(q.Command, line)
		q.Answers = append(q.Answers, a)
		return nothing, err
	})
	for _, q := range all {
		if len(q.Answers) == 0 && err == nil {
			err = fmt.Errorf("%q has no answer", q)
		}
	}
	return all, err
}

func parseAnswer(command, line string) (Answer, error) {
	var a Answer
	words, err := splitQuoted(line)
	if err != nil {
		return a, err
	}
	if command == "diff" {
		if a.None = words[0] == "no"; a.None {
			words = words[1:]
		}
		if len(words) == 0 || words[0] != "weaker" && words[0] != "stricter" {
			return a, errors.New("want [no] weaker or stricter, then texts")
		}
		a.Kind, words = words[0], words[1:]
	}
	a.Texts = words
	return a, nil
}

// splitQuoted splits at blanks; what stands in double quotes is one word.
func splitQuoted(line string) ([]string, error) {
	var words []string
	for line = strings.TrimSpace(line); line != ""; line = strings.TrimSpace(line) {
		if line[0] != '"' {
			word, rest, _ := strings.Cut(line, " ")
			words, line = append(words, word), rest
			continue
		}
		quoted, err := strconv.QuotedPrefix(line)
		if err != nil {
			return nil, fmt.Errorf("%s: a quote is not closed", line)
		}
		word, err := strconv.Unquote(quoted)
		if err != nil {
			return nil, err
		}
		words, line = append(words, word), line[len(quoted):]
	}
	return words, nil
}

// eachLine parses what is left of each line without its comment; errors name the line.
func eachLine[T any](raw []byte, parse func(line string) (T, error)) ([]T, error) {
	var all []T
	for n, text := range strings.Split(string(raw), "\n") {
		line, _, _ := strings.Cut(text, "#")
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		one, err := parse(line)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w, have %q", n+1, err, strings.TrimSpace(text))
		}
		all = append(all, one)
	}
	return all, nil
}
