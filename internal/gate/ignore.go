package gate

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/sidestep-mesh/sidestep/internal/report"
)

// AnnotationIgnore on any object ignores findings that are about it: "SS501 until=2027-01-31 because=REASON".
// Several are parted by semicolons.
const AnnotationIgnore = "sidestep.dev/ignore"

// dayFormat is how the last day of an ignore is written.
const dayFormat = "2006-01-02"

// Ignore is a wish not to hear of one finding, for a reason and until a day.
type Ignore struct {
	// Code is the rule's code.
	Code string `json:"code"`
	// Namespace, Kind and Name of the object that the finding is about or was found on; Name may be a pattern
	// such as legacy-*. Empty fields match everything, but not all of them may be empty.
	Namespace string `json:"namespace,omitempty"`
	Kind      string `json:"kind,omitempty"`
	Name      string `json:"name,omitempty"`
	// Because is the reason, Until the last day, YYYY-MM-DD. Both are required: what is ignored for ever and nobody
	// knows why is a hole.
	Because string `json:"because"`
	Until   string `json:"until"`

	// Where names the place it was written, for messages.
	Where string `json:"-"`
}

// Validate says what is missing or wrong.
func (i Ignore) Validate() error {
	var all []error
	if i.Code == "" {
		all = append(all, errors.New("code is missing"))
	}
	if i.Namespace == "" && i.Kind == "" && i.Name == "" {
		all = append(all, errors.New("namespace, kind and name are all missing: name at least one"))
	}
	if strings.TrimSpace(i.Because) == "" {
		all = append(all, errors.New("because is missing: say why"))
	}
	if _, err := time.Parse(dayFormat, i.Until); err != nil {
		all = append(all, fmt.Errorf("until is %q: want the last day as YYYY-MM-DD", i.Until))
	}
	if _, err := path.Match(i.Name, ""); err != nil {
		all = append(all, fmt.Errorf("name %q is no pattern", i.Name))
	}
	if len(all) == 0 {
		return nil
	}
	return fmt.Errorf("%s: ignore of %s: %w", i.Where, i.Code, errors.Join(all...))
}

// Expired reports whether its last day is over.
func (i Ignore) Expired(now time.Time) bool {
	day, err := time.Parse(dayFormat, i.Until)
	return err != nil || !now.Before(day.AddDate(0, 0, 1))
}

func (i Ignore) matches(w *report.Workload, f *report.Finding) bool {
	if !strings.EqualFold(i.Code, f.Code) {
		return false
	}
	if i.about(f.Subject) {
		return true
	}
	return w != nil && i.about(report.Object{Kind: w.Kind, Namespace: w.Namespace, Name: w.Name})
}

func (i Ignore) about(o report.Object) bool {
	name := true
	if i.Name != "" {
		name, _ = path.Match(i.Name, o.Name)
	}
	return name && (i.Namespace == "" || i.Namespace == o.Namespace) && (i.Kind == "" || strings.EqualFold(i.Kind, o.Kind))
}

// FromAnnotation reads the annotation of an object.
func FromAnnotation(o report.Object, text string) ([]Ignore, error) {
	var out []Ignore
	for _, part := range strings.Split(text, ";") {
		if part = strings.TrimSpace(part); part == "" {
			continue
		}
		code, rest, _ := strings.Cut(part, " ")
		i := Ignore{Code: code, Namespace: o.Namespace, Kind: o.Kind, Name: o.Name, Where: "annotation " + AnnotationIgnore + " of " + o.String()}
		rest, i.Because, _ = strings.Cut(rest, "because=")
		for _, word := range strings.Fields(rest) {
			if day, ok := strings.CutPrefix(word, "until="); ok {
				i.Until = day
			} else {
				return nil, fmt.Errorf("%s: %q is not understood; want CODE until=YYYY-MM-DD because=REASON", i.Where, word)
			}
		}
		if err := i.Validate(); err != nil {
			return nil, err
		}
		out = append(out, i)
	}
	return out, nil
}

// ApplyIgnores marks the findings that are ignored. It returns the ignores that ended, which hide nothing any more,
// and those that match nothing, which can go.
func ApplyIgnores(r *report.AuditReport, ignores []Ignore, now time.Time) (ended, idle []Ignore) {
	used := make([]bool, len(ignores))
	each(r, func(w *report.Workload, f *report.Finding) {
		for n, i := range ignores {
			if i.matches(w, f) {
				used[n] = true
				if !i.Expired(now) {
					f.Known = "ignored until " + i.Until + ": " + i.Because
				}
			}
		}
	})
	for n, i := range ignores {
		switch {
		case used[n] && i.Expired(now):
			ended = append(ended, i)
		case !used[n] && !slices.Contains(idle, i):
			idle = append(idle, i)
		}
	}
	return ended, idle
}
