package snapshot

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/sidestep-mesh/sidestep/internal/snapshot/plainyaml"
	"sigs.k8s.io/yaml"
)

// converter turns YAML into JSON: plain documents quickly, all others with the full parser.
type converter struct {
	buf []byte
}

// convert returns the JSON of a unit, nil when it holds only comments. It is valid until the next call.
func (c *converter) convert(u unit) ([]byte, error) {
	if len(u.text) > maxObject {
		return nil, fmt.Errorf("larger than %d MiB, more than any API server takes", maxObject>>20)
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
	js, err := yaml.YAMLToJSON(text)
	if err != nil {
		return nil, err
	}
	if string(js) == "null" {
		return nil, nil
	}
	return js, nil
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
	text := strings.TrimPrefix(strings.TrimPrefix(err.Error(), "error converting YAML to JSON: "), "yaml: ")
	if rest, ok := strings.CutPrefix(text, "line "); ok {
		if _, after, ok := strings.Cut(rest, ": "); ok {
			text = after
		}
	}
	return "broken YAML: " + text
}
