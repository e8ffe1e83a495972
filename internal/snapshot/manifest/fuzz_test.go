package manifest_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/sidestep-mesh/sidestep/internal/snapshot/manifest"
	"github.com/sidestep-mesh/sidestep/internal/snapshot/redact"
)

// FuzzLoad feeds the loader anything. It must not panic; it must account for what it was given, in lines that
// exist; and what it makes of it must survive an archive and redaction.
func FuzzLoad(f *testing.F) {
	for _, seed := range []string{
		"", "\n", "---\n", "{}", "[]", "null", "{\"kind\":\"List\",\"items\":[{}]}", "kind: List\nitems:\n- kind: Pod\n", "\x1f\x8b\x08", "a: &a [*a]\n",
		deny + "spec: {action: DENY, rules: [{to: [{operation: {paths: [/a*]}}], x: 1}]}\n",
		"apiVersion: v1\nkind: Pod\nmetadata: {name: p, labels: {a: b}}\nspec: {containers: [{name: c, env: [{name: A, value: b}]}], volumes: 3}\n",
		"apiVersion: v1\nkind: ConfigMapList\nitems:\n- metadata: {name: istio}\n  data: {mesh: 'a: [b'}\n",
		"apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata:\n  name: r\nspec:\n  rules:\n  - matches:\n    - path: {value: /}\n",
		"apiVersion: networking.istio.io/v1alpha3\nkind: EnvoyFilter\nmetadata: {name: e}\nspec: {configPatches: [{patch: {value: {\"@type\": x, a: [1, null]}}}]}\n",
		strings.Repeat("apiVersion: v1\nkind: Namespace\nmetadata:\n  name: a\n---\n", 3),
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		if len(text) > 16<<10 {
			return
		}
		s := manifest.Load(manifest.Stream("in", bytes.NewReader(text)))
		if s.Len()+len(s.Ignored())+len(s.Problems()) == 0 && !isArchive(text) {
			t.Fatalf("nothing is said about %q", text)
		}
		lines := bytes.Count(text, []byte("\n")) + 2
		for _, p := range s.Problems() {
			if p.Source.File != "in" || p.Message == "" || !isArchive(text) && p.Source.Line > lines {
				t.Fatalf("problem %+v in %d lines", p, lines)
			}
		}
		for o := range s.Objects() {
			if src := s.Source(o); !isArchive(text) && (src.Line < 1 || src.Line > lines) || o.GetName() == "" {
				t.Fatalf("object %v at %v in %d lines", o.GetName(), src, lines)
			}
		}
		archive := archiveOf(t, s)
		back := manifest.Load(manifest.Stream("archive", bytes.NewReader(archive)))
		if d := difference(s, back); d != "" {
			t.Fatal(d)
		}
		if redacted := redact.Redact(s, []byte("key")); redacted.Len() != s.Len() {
			t.Fatalf("%d objects, %d when redacted: %v", s.Len(), redacted.Len(), redacted.Problems())
		}
	})
}

func isArchive(text []byte) bool { return bytes.HasPrefix(text, []byte("\x1f\x8b")) }
