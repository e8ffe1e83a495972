package audit

import (
	"fmt"
	"slices"
	"strings"

	"github.com/sidestep-mesh/sidestep/internal/mesh"
)

// one makes the findings of a rule that found one thing.
func one(message string, evidence ...mesh.Evidence) []Finding {
	return []Finding{{Message: message, Evidence: evidence}}
}

// at is the evidence of one field of an object.
func at(object mesh.Ref, field, value string) mesh.Evidence {
	return mesh.Evidence{Object: object, Field: field, Value: value}
}

// label and note are the fields of a label and of an annotation.
func labelField(name string) string { return "metadata.labels[" + name + "]" }
func noteField(name string) string  { return "metadata.annotations[" + name + "]" }

// namespaceRef names a Namespace.
func namespaceRef(name string) mesh.Ref { return mesh.Ref{Kind: "Namespace", Name: name} }

// gather joins the evidence of several uses.
func gather(uses []mesh.Use) []mesh.Evidence {
	var out []mesh.Evidence
	for _, u := range uses {
		out = append(out, u.Evidence...)
	}
	return out
}

// objects names the objects that evidence was read from, each once, at most three by name.
func objects(evidence []mesh.Evidence) string {
	var names []string
	for _, e := range evidence {
		if n := e.Object.String(); !slices.Contains(names, n) {
			names = append(names, n)
		}
	}
	return list(names)
}

// values names the values that evidence holds, each once, at most three.
func values(evidence []mesh.Evidence) string {
	var out []string
	for _, e := range evidence {
		if e.Value != "" && !slices.Contains(out, e.Value) {
			out = append(out, e.Value)
		}
	}
	return list(out)
}

// places names where evidence was read: other objects by name, the workload's own fields by what they
// say, each once, at most three.
func places(v *View, evidence []mesh.Evidence) string {
	var names []string
	for _, e := range evidence {
		name := e.Object.String()
		if e.Object == v.w.Ref {
			if name = lastField(e.Field); e.Value != "" && len(e.Value) <= 40 {
				name += ": " + e.Value
			}
		}
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return list(names)
}

// lastField is the end of a field path that a reader knows it by: the name of an annotation or label, or
// what follows the last dot.
func lastField(field string) string {
	if i := strings.LastIndexByte(field, '['); i >= 0 && strings.HasSuffix(field, "]") && strings.Contains(field[i:], "/") {
		return field[i+1 : len(field)-1]
	}
	return field[strings.LastIndexByte(field, '.')+1:]
}

// list joins names for a sentence, at most three of them by name.
func list(names []string) string {
	const most = 3
	if len(names) > most {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
	}
	if len(names) > 1 {
		return strings.Join(names[:len(names)-1], ", ") + " and " + names[len(names)-1]
	}
	return strings.Join(names, "")
}

// count says how many of a thing there are.
func count(n int, singular, plural string) string {
	if n == 1 {
		return "1 " + singular
	}
	return fmt.Sprintf("%d %s", n, plural)
}

// without drops the evidence whose object another rule speaks about.
func without(evidence, others []mesh.Evidence) []mesh.Evidence {
	return slices.DeleteFunc(slices.Clone(evidence), func(e mesh.Evidence) bool {
		return slices.ContainsFunc(others, func(o mesh.Evidence) bool { return o.Object == e.Object })
	})
}
