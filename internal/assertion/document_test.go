package assertion

import (
	"os"
	"strings"
	"testing"
)

const head = "apiVersion: sidestep.dev/v1alpha1\nkind: AuthzAssertions\nassertions:\n"

func TestTheDocumentedFileIsOne(t *testing.T) {
	text, err := os.ReadFile("../../docs/assertions.md")
	if err != nil {
		t.Fatal(err)
	}
	_, block, _ := strings.Cut(string(text), "```yaml\n")
	block, _, _ = strings.Cut(block, "```")
	d, err := Parse("docs", []byte(block))
	if err != nil {
		t.Fatal(err)
	}
	if len(d.Assertions) != 6 {
		t.Errorf("%d assertions, want 6", len(d.Assertions))
	}
}

func TestWhatIsNoDocumentIsRefusedWithTheReason(t *testing.T) {
	for text, want := range map[string]string{
		"":                           `it is a "" of ""`,
		"a: [":                       "f.yaml: line 1",
		"kind: AuthzAssertions":      `of ""; want kind AuthzAssertions of apiVersion sidestep.dev/v1alpha1`,
		strings.TrimSuffix(head, ""): "it asserts nothing",
		head + "- never: a/b\n":      "to is missing",
		head + "- to: a/b\n":         "it has 0 verbs",
		head + "- {never: a/b, must: a/b, to: c/d}\n":                           "it has 2 verbs",
		head + "- {never: a/b, to: c/d, method: GET}\n":                         "field method not found",
		head + "- {never: a, to: c/d}\n":                                        `caller "a": want NAMESPACE/SERVICEACCOUNT`,
		head + "- {never: 'a/b@x', to: c/d}\n":                                  "with mode sidecar or ambient",
		head + "- {never: a/b, to: c}\n":                                        `to "c": want NAMESPACE/NAME`,
		head + "- {never: a/b, to: 'c/d:http'}\n":                               "http is no port",
		head + "- {never: a/b, to: 'c/d?'}\n":                                   "* is the only wildcard",
		head + "- {never: a/b, to: c/d, by: gateway}\n":                         `by: "gateway" is none of service, pod, any`,
		head + "- {never: a/b, to: c/d, token: good}\n":                         "none of none, valid, invalid, any",
		head + "- {never: a/b, to: c/d, token: none, claims: {group: staff}}\n": "claims are those of a valid token",
		head + "- {name: x, never: a/b, to: c/d, paths: v1}\n":                  `assertions[0] (x): paths: "v1": an HTTP path begins with a slash`,
		head + "- {never: a/b, to: c/d}\n- {never: {a: b}, to: c/d}\n":          "line 5",
	} {
		_, err := Parse("f.yaml", []byte(text))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: error %v, want %q in it", text, err, want)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(head + "- {never: a/b, to: 'c/d:80', methods: [GET]}\n")
	f.Fuzz(func(t *testing.T, text string) {
		if d, err := Parse("f", []byte(text)); err == nil {
			for i := range d.Assertions {
				_ = d.Assertions[i].Sentence()
			}
		}
	})
}
