// Package report is view models and renderers of every result: text for a terminal, JSON for
// programs, SARIF for code scanners, Markdown for a pull request and HTML for a page. A view model is
// built once; all renderings of it say the same.
//
// The JSON names are an API: see APIVersion. Add freely, rename never.
package report

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/sidestep-mesh/sidestep/internal/object"
)

// APIVersion is the version of every JSON document that this package writes.
const APIVersion = object.APIVersion

// docsURL is where the generated page of all rules is published.
const docsURL = "https://github.com/sidestep-mesh/sidestep/blob/main/docs/rules.md"

// Object names an API object.
type Object struct {
	Kind      string `json:"kind"`
	Namespace string `json:"namespace,omitempty"`
	Name      string `json:"name"`
}

// String is KIND NAMESPACE/NAME.
func (o Object) String() string {
	if o.Namespace == "" {
		return o.Kind + " " + o.Name
	}
	return o.Kind + " " + o.Namespace + "/" + o.Name
}

// Place is where an object was read from; empty for a live cluster.
type Place struct {
	File string `json:"file,omitempty"`
	// Line is 1-based.
	Line int `json:"line,omitempty"`
}

// String is FILE:LINE, or FILE, or empty.
func (p Place) String() string {
	if p.Line == 0 {
		return p.File
	}
	return fmt.Sprintf("%s:%d", p.File, p.Line)
}

// writeJSON writes a document as every JSON output of this program looks.
func writeJSON(w io.Writer, document any) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(document)
}

// cpu is an amount of CPU in words, from thousandths of a core.
func cpu(milli int64) string {
	if milli < 1000 && milli != 0 {
		return fmt.Sprintf("%dm CPU", milli)
	}
	return trimZero(fmt.Sprintf("%.1f", float64(milli)/1000)) + " CPU"
}

// memory is an amount of memory in words.
func memory(bytes int64) string {
	const mib, gib = 1 << 20, 1 << 30
	if bytes < gib {
		return trimZero(fmt.Sprintf("%.1f", float64(bytes)/mib)) + " MiB"
	}
	return trimZero(fmt.Sprintf("%.1f", float64(bytes)/gib)) + " GiB"
}

func trimZero(s string) string { return strings.TrimSuffix(s, ".0") }

// number writes a count with separators: 12,345.
func number(n int) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// count writes a number of things: "1 workload", "12 workloads".
func count(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return number(n) + " " + thing + "s"
}

// share is a part of a whole in per cent, rounded down so that 100% means all.
func share(part, whole int) string {
	if whole <= 0 {
		return "0%"
	}
	return fmt.Sprintf("%d%%", part*100/whole)
}
