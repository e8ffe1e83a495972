package cli

import (
	"io"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// runbookLines are the commands of docs/runbook.md, those of blocks that run on files and those that need a cluster.
func runbookLines(t *testing.T) (offline, live []string) {
	t.Helper()
	text, err := os.ReadFile("../../docs/runbook.md")
	if err != nil {
		t.Fatal(err)
	}
	fence := ""
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(line, "```"):
			fence = strings.TrimPrefix(line, "```")
		case fence == "sh":
			offline = append(offline, line)
		case fence == "sh live":
			live = append(live, line)
		}
	}
	return offline, live
}

// Every command of the runbook that needs no cluster runs on the sample mesh, in the order in which it stands; the others are understood.
func TestTheRunbookRuns(t *testing.T) {
	offline, live := runbookLines(t)
	if len(offline) < 10 || len(live) < 8 {
		t.Fatalf("%d commands on files and %d on a cluster", len(offline), len(live))
	}
	var errs strings.Builder
	env := &Env{Args0: "sidestep", Dir: t.TempDir(), Stdin: strings.NewReader(""), Stdout: io.Discard, Stderr: &errs, Getenv: func(string) string { return "" },
		Now: func() time.Time { return time.Date(2026, 9, 1, 12, 0, 0, 0, time.UTC) }}
	for _, line := range offline {
		errs.Reset()
		args := strings.Fields(line)
		if code := Run(t.Context(), env, args[1:]); args[0] != "sidestep" || !slices.Contains([]int{ExitClean, ExitFindings}, code) {
			t.Errorf("%s: exit code %d: %s", line, code, errs.String())
		}
	}
	for _, line := range live {
		args := strings.Fields(line)
		command, rest, err := newRootCommand(env).Find(args[1:])
		if err != nil || !command.Runnable() {
			t.Errorf("%s: no command: %v", line, err)
			continue
		}
		if err := command.ParseFlags(rest); err != nil {
			t.Errorf("%s: %v", line, err)
		} else if err := command.ValidateArgs(command.Flags().Args()); err != nil {
			t.Errorf("%s: %v", line, err)
		}
	}
}
