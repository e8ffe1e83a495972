package plainyaml_test

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/sidestep-mesh/sidestep/internal/snapshot/manifest/plainyaml"
	"sigs.k8s.io/yaml"
)

// value is the meaning of JSON, with numbers as they are written.
func value(t testing.TB, js []byte) any {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(js))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		t.Fatalf("not JSON: %v\n%s", err, js)
	}
	return v
}

// check compares with the full parser. It returns whether the text was plain.
func check(t testing.TB, text []byte, item bool) bool {
	t.Helper()
	got, ok := plainyaml.Append([]byte("!"), text, item)
	if !ok {
		if string(got) != "!" {
			t.Fatalf("a refused document left %q", got)
		}
		return false
	}
	js, err := yaml.YAMLToJSON(text)
	if err != nil {
		t.Fatalf("the full parser refuses it: %v\n%s\n%s", err, text, got[1:])
	}
	want := value(t, js)
	if item {
		list, _ := want.([]any)
		if len(list) != 1 {
			t.Fatalf("one item was expected, the full parser sees %s in\n%s", js, text)
		}
		want = list[0]
	}
	if v := value(t, got[1:]); !reflect.DeepEqual(v, want) {
		t.Fatalf("\n%s\nbecame  %s\ninstead %s", text, got[1:], js)
	}
	return true
}

// plain documents are converted here, the others are left to the full parser.
var (
	plain = []string{
		"a: b\n", "a:\n", "a: {}\nb: []\n", "a:\n  b:\n    c: 1\nd: x\n", "a:\n- x\n- k: 1\n  z: 2\n-\n",
		"a:\n  - x\n  -\n    k: z\n", "# c\n\na: b # c\n# d\nc: 'it''s' # e\n", `a: "x\n\"y\\"` + "\n",
		"a: [x, \"y, z\", 1, {b: c, d: [e]}]\n", "a: yes\nb: off\nc: ~\nd: Null\ne: N\n",
		"a: 10.1.2.3\nb: 100m\nc: 1.5\nd: 0777\ne: 0x1F\nf: 1e3\ng: 1_000\nh: -5\ni: +7\nj: .5\nk: 2026-01-02\nl: 12345678901234567890\nm: 1.31.0\nnn: 0o7\no: 0b11\np: 007\nq: 1:30\nr: -\u002d-x\n",
		"a: 6c9f\nb: 6e4\nc: 0e4f-11\nd: 1c2d3e4f-5a6b-4c7d-8e9f-0a1b2c3d4e5f\ne: 0x_1F\nf: 0_x1F\ng: 1e-3\nh: 1e+3\ni: 1-3\nj: 1_e3\nk: +1_000.5\nl: -0x1F\nm: +\nnn: 0B1\no: 1e\np: 00\nq: 0f\nr: 1.e3\n",
		"a: |\n  {\"x\": \"y\"}\n   indented\n\n  last\nb: |-\n  one\n\nc: z\n", "a: /x\nb: $(X)\nc: a#b\nd: x:y\ne: (z)\n",
		"\"quoted.key/x\": 1\n'single': 2\n", "a: 'x \"y\" \\z'\n", "  a: b\n  c: d\n", "a: true-ish\nyesterday: nope\n", "a: '' \nb: \"\"",
	}
	notPlain = []string{
		"a: &x b\nc: *x\n", "a: !!str 1\n", "a: >\n  folded\n", "a: one\n  two\n", "a: \"one\n  two\"\n", "a:\tb\n", "a: é\n", "- a\n", "a\n", "",
		"? a\n: b\n", "y: 1\n", "1: 2\n", "a: 1\na: 2\n", "{a: 1, a: 2}\n", "a: b: c\n", "a: |2\n   x\n", "a: |+\n  x\n\n", "<<: {a: b}\n", "a: @b\n", "a: [x\n  ,y]\n",
		"a: [x: y]\n", "a: - b\n", "a:\n b: 1\n  c: 2\n", "a: {b}\n", "a: {b: }\n", "a: [b, ]\n", "a: 'x\n", "a: b\n c: d\n", "a: \"\\u0041\"\n", "a:\n- b\n c: d\n",
		"a: |\n\n  x\n", "a: |\n    x\n  y\n", "%YAML 1.1\n", "a: 'x'y\n", "a: 'x'#y\n",
	}
)

func TestPlainDocumentsAreConverted(t *testing.T) {
	for _, text := range plain {
		if !check(t, []byte(text), false) {
			t.Errorf("not converted: %q", text)
		}
	}
}

func TestOtherDocumentsAreLeft(t *testing.T) {
	for _, text := range notPlain {
		if check(t, []byte(text), false) {
			t.Errorf("converted: %q", text)
		}
	}
}

// Every short scalar of what numbers are made of: which of them is one is decided without asking the full parser.
func TestScalarsThatLookLikeNumbers(t *testing.T) {
	const made = "01.+-_exbfo"
	var each func(scalar string)
	each = func(scalar string) {
		check(t, []byte("v: "+scalar+"\n"), false)
		if len(scalar) < 5 {
			for _, c := range made {
				each(scalar + string(c))
			}
		}
	}
	for _, c := range "01+-" {
		each(string(c))
	}
}

func TestItems(t *testing.T) {
	for text, want := range map[string]bool{
		"- a: b\n  c:\n  - d\n": true, "  - a: b\n": true, "-\n  a: b\n": true, "- x\n": true, "-\n": true,
		"- a\n- b\n": false, "a: b\n": false, "- - a\n": false, "- a: b\n c: d\n": false,
	} {
		if got := check(t, []byte(text), true); got != want {
			t.Errorf("%q converted: %v", text, got)
		}
	}
}

func TestDepthIsBounded(t *testing.T) {
	for _, text := range []string{"a: " + strings.Repeat("[", 1<<20), "a:\n" + strings.Repeat("- ", 1<<20)} {
		if check(t, []byte(text), false) {
			t.Error("converted")
		}
	}
	var deep strings.Builder
	for i := range 200 {
		deep.WriteString(strings.Repeat(" ", i) + "a:\n")
	}
	if check(t, []byte(deep.String()), false) {
		t.Error("converted")
	}
}

// FuzzAppend holds the one promise: what is converted means what the full parser says it means.
func FuzzAppend(f *testing.F) {
	for _, text := range append(append([]string{"- a: b\n  c: [d]\n"}, plain...), notPlain...) {
		f.Add([]byte(text), strings.HasPrefix(text, "-"))
	}
	f.Fuzz(func(t *testing.T, text []byte, item bool) {
		if len(text) < 4<<10 {
			check(t, text, item)
		}
	})
}
