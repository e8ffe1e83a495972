// Package redact takes names, hosts, paths and addresses out of a snapshot, so that it can be given away.
package redact

import "github.com/sidestep-mesh/sidestep/internal/snapshot"

// Redact returns a copy of the snapshot in which names, label values, hosts, principals, paths and addresses
// are pseudonyms made with key, and environment values, free text, file names and foreign annotations are
// gone. Equal names get equal pseudonyms, in every kind and in every snapshot redacted with the same key, and
// patterns and networks match what they matched: an audit gives the same verdicts. Numbers, times and words of
// the APIs stay (see vocabulary). Three things can differ: what is ordered by name alone (istiod breaks
// ties that way), regular expressions, and names that differ only in upper and lower case.
//
// The key should be random and need not be kept; whoever has it can test guesses of a name.
func Redact(s *snapshot.Snapshot, key []byte) *snapshot.Snapshot {
	p := newPseudonyms(key)
	var copies []snapshot.Object
	var unknown [][]string
	for o := range s.Objects() {
		c := o.DeepCopyObject().(snapshot.Object)
		redactor{text: func(s string) string { p.learn(s); return s }}.object(c)
		copies, unknown = append(copies, c), append(unknown, s.UnknownFields(o))
	}
	b := snapshot.NewBuilder()
	for i, o := range copies {
		redactor{text: p.text}.object(o)
		// Two names meet in one pseudonym only by a collision of hashes, and then this says so.
		if err := b.Own(o, snapshot.Source{}); err != nil {
			b.Report(snapshot.Problem{Message: err.Error()})
			continue
		}
		b.AddUnknown(o, mapAll(unknown[i], p.text))
	}
	for k, known := range s.Marked() {
		b.Mark(k, snapshot.Knowledge{State: known.State, Reason: p.text(known.Reason)})
	}
	for _, i := range s.Ignored() {
		b.Ignore(snapshot.Ignored{APIVersion: i.APIVersion, Kind: i.Kind, Namespace: p.text(i.Namespace), Name: p.text(i.Name), Reason: i.Reason, MakesPods: i.MakesPods})
	}
	for _, bad := range s.Problems() {
		b.Report(snapshot.Problem{Kind: bad.Kind, Namespace: p.text(bad.Namespace), Name: p.text(bad.Name), Message: "input that could not be read"})
	}
	if only := s.Namespaces(); only != nil {
		b.Only(mapAll(only, p.text))
	}
	return b.Build()
}

func mapAll(in []string, f func(string) string) []string {
	out := make([]string, 0, len(in))
	for _, s := range in {
		out = append(out, f(s))
	}
	return out
}

// redactor maps the strings of an object in place and drops what an archive for others should not have.
type redactor struct {
	text func(string) string
}

func (r redactor) object(o snapshot.Object) {
	o.SetResourceVersion("")
	o.SetFinalizers(nil)
	if pod, ok := o.(*snapshot.Pod); ok {
		dropEnvironment(pod.Spec)
	}
	if t := snapshot.PodTemplate(o); t != nil {
		dropEnvironment(&t.Spec)
	}
	r.walk(o)
}
