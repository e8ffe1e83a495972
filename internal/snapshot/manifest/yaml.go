package manifest

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/sidestep-mesh/sidestep/internal/snapshot/manifest/plainyaml"
	yamlv2 "go.yaml.in/yaml/v2"
	"sigs.k8s.io/yaml"
)

// converter turns YAML into JSON: plain documents quickly, all others with the full parser.
type converter struct {
	buf []byte
}

// convert returns the JSON of a unit. It is valid until the next call.
func (c *converter) convert(u unit) ([]byte, error) {
	if len(u.text) > maxObject {
		return nil, errTooLarge
	}
	if js, ok := plainyaml.Append(c.buf[:0], u.text, u.dash); ok {
		c.buf = js
		return js, nil
	}
	text := u.text
	if u.dash {
		text = append([]byte(nil), text...)
		for i, c := range text {
			if c == '-' {
				text[i] = ' '
				break
			}
		}
	}
	if err := checkAliases(text); err != nil {
		return nil, err
	}
	// kubectl lets the last of two equal keys count and says nothing. Whoever wrote both meant something else, and often it is
	// a second object after a forgotten ---, so neither is taken.
	js, err := yaml.YAMLToJSONStrict(text)
	if err != nil {
		return nil, err
	}
	return js, nil
}

var (
	errTooLarge = fmt.Errorf("larger than %d MiB, more than any API server takes", maxObject>>20)
	errBomb     = fmt.Errorf("aliases blow it up to more than %d MiB, more than any API server takes", maxObject>>20)
)

// checkAliases refuses a document whose aliases make much out of little. The parser bounds how many nodes they
// make, but not how much text: a thousand aliases of a megabyte are a gigabyte of JSON.
func checkAliases(text []byte) error {
	if bytes.IndexByte(text, '&') < 0 || bytes.IndexByte(text, '*') < 0 {
		return nil
	}
	var v any
	if err := yamlv2.Unmarshal(text, &v); err != nil {
		return err
	}
	if weigh(v, maxObject) < 0 {
		return errBomb
	}
	return nil
}

// weigh takes the size of a value off the budget; less than zero means that the budget is spent.
func weigh(v any, budget int) int {
	budget -= 4
	switch v := v.(type) {
	case string:
		budget -= len(v)
	case []any:
		for i := 0; i < len(v) && budget >= 0; i++ {
			budget = weigh(v[i], budget)
		}
	case map[any]any:
		for k, item := range v {
			if budget = weigh(item, weigh(k, budget)); budget < 0 {
				break
			}
		}
	}
	return budget
}

// errorLine returns the line in the file that a YAML error speaks of; its "line N" counts from the
// start of the document, which is at line first.
func errorLine(err error, first int) int {
	_, rest, ok := strings.Cut(err.Error(), "line ")
	if !ok {
		return first
	}
	digits := rest[:len(rest)-len(strings.TrimLeft(rest, "0123456789"))]
	if n, err := strconv.Atoi(digits); err == nil && n > 0 {
		return first + n - 1
	}
	return first
}

// yamlReason drops the line that errorLine read.
func yamlReason(err error) string {
	if errors.Is(err, errTooLarge) || errors.Is(err, errBomb) {
		return err.Error()
	}
	text := strings.TrimPrefix(strings.TrimPrefix(err.Error(), "error converting YAML to JSON: "), "yaml: ")
	if rest, ok := strings.CutPrefix(text, "line "); ok {
		if _, after, ok := strings.Cut(rest, ": "); ok {
			text = after
		}
	}
	if m := doubleKey.FindStringSubmatch(text); m != nil {
		if m[1] == "apiVersion" || m[1] == "kind" {
			return "a second " + m[1] + " in one document: put a line --- between two objects"
		}
		return fmt.Sprintf("the key %s stands twice in one map: keep one, since an API server would get the last alone", m[1])
	}
	return "broken YAML: " + text
}

// doubleKey is how the parser says that a map has a key twice.
var doubleKey = regexp.MustCompile(`key "([^"]*)" already set in map`)
