package report

import (
	"encoding/json"
	"fmt"
	"io"

	"sigs.k8s.io/yaml"

	"github.com/sidestep-mesh/sidestep/internal/route"
)

// RouteTranslation is what VirtualServices become as routes of the Gateway API, as a versioned document.
type RouteTranslation struct {
	APIVersion   string              `json:"apiVersion"`
	Kind         string              `json:"kind"`
	Translations []route.Translation `json:"translations"`
}

// NewRouteTranslation makes the document.
func NewRouteTranslation(list []route.Translation) *RouteTranslation {
	return &RouteTranslation{APIVersion: APIVersion, Kind: "RouteTranslation", Translations: list}
}

// Exact reports whether every translation treats every call as today.
func (t *RouteTranslation) Exact() bool {
	for i := range t.Translations {
		if !t.Translations[i].Exact {
			return false
		}
	}
	return true
}

// JSON writes the document.
func (t *RouteTranslation) JSON(w io.Writer) error { return writeJSON(w, t) }

// YAML writes the objects of exact translations, ready to apply; of the others, only why they are left out, unless all of
// them are asked for.
func (t *RouteTranslation) YAML(w io.Writer, all bool) error {
	for i := range t.Translations {
		x := &t.Translations[i]
		if _, err := fmt.Fprintf(w, "# %s for %s: %s\n", x.Of, x.Host, exactness(x)); err != nil {
			return err
		}
		for _, line := range losses(x) {
			if _, err := fmt.Fprintf(w, "#   %s\n", line); err != nil {
				return err
			}
		}
		if !x.Exact && !all {
			continue
		}
		for _, o := range x.Objects {
			text, err := manifestOf(o)
			if err != nil {
				return err
			}
			if _, err := fmt.Fprintf(w, "---\n%s", text); err != nil {
				return err
			}
		}
	}
	return nil
}

// manifestOf is an object as it is applied: without status and other fields that nobody sets.
func manifestOf(o any) ([]byte, error) {
	raw, err := json.Marshal(o)
	if err != nil {
		return nil, err
	}
	var fields map[string]any
	if err := json.Unmarshal(raw, &fields); err != nil {
		return nil, err
	}
	delete(fields, "status")
	if m, ok := fields["metadata"].(map[string]any); ok {
		delete(m, "creationTimestamp")
	}
	return yaml.Marshal(fields)
}

func exactness(x *route.Translation) string {
	if x.Exact {
		return "every call is treated as today"
	}
	return "not the same"
}

// losses says in lines what a translation does not keep.
func losses(x *route.Translation) []string {
	var out []string
	for _, l := range x.Lost {
		out = append(out, fmt.Sprintf("%s: %s; instead: %s", l.Field, l.Why, l.Instead))
	}
	for _, d := range x.Diff.Differences {
		out = append(out, fmt.Sprintf("%s: today %s, then %s", d.Request.Words, d.Before.Does, d.After.Does))
	}
	for _, o := range x.Diff.Omitted {
		out = append(out, "not compared: "+o)
	}
	return out
}

// Text writes for a person what becomes of each VirtualService.
func (t *RouteTranslation) Text(w io.Writer, o TextOptions) error {
	p := &printer{colour: o.Colour}
	for i := range t.Translations {
		x := &t.Translations[i]
		p.line("%s", p.bold(fmt.Sprintf("%s for %s: %s", x.Of, x.Host, exactness(x))))
		for _, line := range losses(x) {
			p.line("  %s", line)
		}
		for _, obj := range x.Objects {
			p.line("  create %s %s/%s", kindOf(obj), obj.GetNamespace(), obj.GetName())
		}
		for _, r := range x.Keeps {
			p.line("  keep   %s", r)
		}
		for _, r := range x.Removes {
			p.line("  remove %s, once every caller passes the waypoint", r)
		}
	}
	if len(t.Translations) == 0 {
		p.line("There is no VirtualService for calls inside of the mesh.")
	}
	_, err := w.Write(p.Bytes())
	return err
}

func kindOf(o any) string {
	var meta struct{ Kind string }
	raw, err := json.Marshal(o)
	if err != nil || json.Unmarshal(raw, &meta) != nil {
		return "object"
	}
	return meta.Kind
}
