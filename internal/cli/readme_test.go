package cli

import (
	"bytes"
	"context"
	"os"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/rogpeppe/go-internal/diff"
)

const (
	readme     = "../../README.md"
	shownStart = "<!-- output of: "
	shownEnd   = "```\n"
)

// What the README shows is what the program prints.
func TestREADMEShowsRealOutput(t *testing.T) {
	text, err := os.ReadFile(readme)
	if err != nil {
		t.Fatal(err)
	}
	parts := strings.Split(string(text), shownStart)
	for i, part := range parts[1:] {
		comment, rest, ok := strings.Cut(part, "-->\n"+shownEnd)
		shown, after, closed := strings.Cut(rest, shownEnd)
		if !ok || !closed {
			t.Fatalf("%s: no block follows %q", readme, comment)
		}
		name, _, _ := strings.Cut(comment, ";")
		output, known := readmeOutputs[name]
		if !known {
			t.Fatalf("%s: nothing prints %q", readme, name)
		}
		want := output(t)
		parts[i+1] = comment + "-->\n" + shownEnd + want + shownEnd + after
		if shown != want && !*update {
			t.Errorf("go test ./internal/cli -update writes it anew:\n%s", diff.Diff("README.md", []byte(shown), name, []byte(want)))
		}
	}
	if len(parts) != len(readmeOutputs)+1 {
		t.Errorf("%s shows %d outputs, %d are known", readme, len(parts)-1, len(readmeOutputs))
	}
	if *update {
		if err := os.WriteFile(readme, []byte(strings.Join(parts, shownStart)), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// The whole report of the demo, byte for byte: whatever changes a verdict or a word shows in a review.
func TestDemoPrintsWhatItPrinted(t *testing.T) {
	const golden = "testdata/demo.golden"
	got := demoOutput(t)
	checkScreen(t, output(t, "", ExitClean, "demo"))
	if *update {
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("go test ./internal/cli -update writes it anew:\n%s", diff.Diff(golden, want, "sidestep demo", []byte(got)))
	}
}

// The first screen of meshes as people have them: a book shop with versions, a boutique of twelve services, and a
// chart's output.
func TestFirstScreens(t *testing.T) {
	for _, name := range []string{"bookinfo", "boutique", "rendered-chart"} {
		var out, errs bytes.Buffer
		env := &Env{Args0: "sidestep", Dir: "testdata/samples", Stdin: strings.NewReader(""), Stdout: &out, Stderr: &errs,
			Getenv: func(string) string { return "" }, Now: func() time.Time { return time.Date(2026, 9, 1, 12, 0, 0, 0, time.UTC) }}
		if code := Run(context.Background(), env, []string{"audit", "-f", name}); code == ExitError {
			t.Fatalf("%s: %s", name, errs.String())
		}
		checkScreen(t, out.String())
		golden := "testdata/samples/" + name + ".golden"
		if *update {
			if err := os.WriteFile(golden, out.Bytes(), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(golden)
		if err != nil {
			t.Fatal(err)
		}
		if out.String() != string(want) {
			t.Errorf("go test ./internal/cli -update writes it anew:\n%s", diff.Diff(golden, want, name, out.Bytes()))
		}
	}
}

// checkScreen holds that a first screen fits a terminal of 24 lines and 100 columns.
func checkScreen(t *testing.T, text string) {
	t.Helper()
	if n := strings.Count(text, "\n"); n > 24 {
		t.Errorf("the first screen has %d lines", n)
	}
	for line := range strings.Lines(text) {
		if n := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); n > 100 {
			t.Errorf("%d characters: %s", n, line)
		}
	}
}

// readmeOutputs print what the README shows, by what it says it shows.
var readmeOutputs = map[string]func(*testing.T) string{
	"sidestep demo": func(t *testing.T) string { return output(t, "", ExitClean, "demo") },
	"sidestep demo -n payments, the first of it": func(t *testing.T) string {
		lines := strings.SplitAfterN(section(t, output(t, "", ExitClean, "demo", "-n", "payments"), "payments "), "\n", 8)
		return strings.Join(lines[:7], "") + "...\n"
	},
	"sidestep authz diff mesh --move payments=ambient, the first of it": func(t *testing.T) string {
		out := output(t, demoFolder(t), ExitFindings, "authz", "diff", "mesh", "--move", "payments=ambient")
		lines := strings.SplitAfterN(out, "\n", 8)
		return strings.Join(lines[:7], "") + "...\n"
	},
	"sidestep roi forecast -f mesh, the ladder without sources": func(t *testing.T) string {
		var b strings.Builder
		for line := range strings.SplitAfterSeq(section(t, output(t, demoFolder(t), ExitClean, "roi", "forecast", "-f", "mesh"), "The ladder"), "\n") {
			if !strings.HasPrefix(line, "      source: ") && !strings.HasPrefix(line, "      left out: ") {
				b.WriteString(line)
			}
		}
		return b.String()
	},
}

// section is the block of an output that begins so; blocks are parted by empty lines.
func section(t *testing.T, out, head string) string {
	t.Helper()
	for block := range strings.SplitSeq(out, "\n\n") {
		if strings.HasPrefix(block, head) {
			return strings.TrimSuffix(block, "\n") + "\n"
		}
	}
	t.Fatalf("no section %q is printed", head)
	return ""
}

// demoFolder has the demo's manifests in its folder mesh.
func demoFolder(t *testing.T) string {
	dir := t.TempDir()
	output(t, dir, ExitClean, "demo", "--out", "mesh")
	return dir
}

func demoOutput(t *testing.T) string {
	return output(t, "", ExitClean, "demo") + "\n" + output(t, "", ExitClean, "demo", "--list")
}

// output is what a command prints in a folder; it must end with the code.
func output(t *testing.T, dir string, want int, args ...string) string {
	t.Helper()
	var out, errs bytes.Buffer
	env := &Env{Args0: "sidestep", Dir: dir, Stdin: strings.NewReader(""), Stdout: &out, Stderr: &errs,
		Getenv: func(string) string { return "" }, Now: func() time.Time { return time.Date(2026, 9, 1, 12, 0, 0, 0, time.UTC) }}
	if code := Run(context.Background(), env, args); code != want {
		t.Fatalf("sidestep %s: exit code %d: %s", strings.Join(args, " "), code, errs.String())
	}
	return out.String()
}
