package cli

import (
	"bytes"
	"context"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/diff"
)

const (
	readme      = "../../README.md"
	readmeStart = "-->\n```\n"
	readmeEnd   = "```\n"
)

// What the README shows is what the program prints.
func TestREADMEShowsRealOutput(t *testing.T) {
	text, err := os.ReadFile(readme)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(text), readmeStart)
	if !ok {
		t.Fatalf("%s has no block after a comment", readme)
	}
	shown, after, _ := strings.Cut(rest, readmeEnd)
	want := readmeOutput(t)
	if *update {
		if err := os.WriteFile(readme, []byte(before+readmeStart+want+readmeEnd+after), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if shown != want {
		t.Errorf("go test ./internal/cli -update writes it anew:\n%s", diff.Diff("README.md", []byte(shown), "sidestep demo", []byte(want)))
	}
}

// The whole report of the demo, byte for byte: whatever changes a verdict or a word shows in a review.
func TestDemoPrintsWhatItPrinted(t *testing.T) {
	const golden = "testdata/demo.golden"
	got := demoOutput(t)
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

// readmeOutput is one namespace of the demo and its summary.
func readmeOutput(t *testing.T) string {
	out := demoOutput(t)
	section := func(head string) string {
		for block := range strings.SplitSeq(out, "\n\n") {
			if strings.HasPrefix(block, head) {
				return strings.TrimSuffix(block, "\n") + "\n"
			}
		}
		t.Fatalf("the demo prints no section %q", head)
		return ""
	}
	return section("payments ") + "...\n" + section("Summary")
}

func demoOutput(t *testing.T) string {
	var out, errs bytes.Buffer
	env := &Env{Args0: "sidestep", Stdin: strings.NewReader(""), Stdout: &out, Stderr: &errs,
		Getenv: func(string) string { return "" }, Now: time.Now}
	if code := Run(context.Background(), env, []string{"demo"}); code != ExitClean {
		t.Fatalf("sidestep demo: exit code %d: %s", code, errs.String())
	}
	return out.String()
}
