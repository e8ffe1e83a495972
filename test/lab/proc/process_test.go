package proc

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func start(t *testing.T, script string) *Process {
	t.Helper()
	dir := t.TempDir()
	p, err := Start(Spec{Name: "sh", Path: "/bin/sh", Args: []string{"-c", script}, Dir: dir, Log: filepath.Join(dir, "log")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Stop(time.Second) })
	return p
}

func TestAProcessThatEndsBeforeItIsReadyIsNamedWithItsLog(t *testing.T) {
	p := start(t, "echo no such flag >&2; exit 3")
	err := p.WaitReady(context.Background(), func(context.Context) error { return errors.New("connection refused") })
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{"sh (pid ", "exit status 3", p.Log, "no such flag"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error lacks %q: %v", want, err)
		}
	}
	var exit ExitError
	if !errors.As(err, &exit) || exit.PID != p.PID {
		t.Errorf("not an ExitError of that process: %v", err)
	}
}

func TestStopEndsTheWholeGroupAlsoWhenSigtermIsIgnored(t *testing.T) {
	p := start(t, `trap "" TERM; sleep 1000 & echo $! > child; while :; do sleep 1; done`)
	var child ID
	for child.PID == 0 {
		raw, err := os.ReadFile(filepath.Join(p.Dir, "child"))
		if err == nil && strings.HasSuffix(string(raw), "\n") {
			var pid int
			for _, c := range strings.TrimSpace(string(raw)) {
				pid = pid*10 + int(c-'0')
			}
			if child, err = Identify(pid); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := p.Stop(50 * time.Millisecond); err != nil {
		t.Fatal(err)
	}
	if p.Alive() || !child.waitGone(5*time.Second) {
		t.Errorf("left behind: leader %v, its child %v", p.Alive(), child.Alive())
	}
}

func TestAPidOfSomebodyElseIsNeverSignalled(t *testing.T) {
	p := start(t, "sleep 1000")
	other := ID{PID: p.PID, Start: p.ID.Start - 1} // the same pid, but an older process
	if other.Alive() {
		t.Error("an older process with the same pid counts as alive")
	}
	if err := other.Kill(time.Second); err != nil {
		t.Fatal(err)
	}
	if !p.Alive() {
		t.Error("the process was killed by the pid of an older one")
	}
}

// When the parent is killed hard, its children go too.
func TestChildrenDieWithTheirParent(t *testing.T) {
	dir := t.TempDir()
	if d := os.Getenv("PROC_TEST_PARENT"); d != "" {
		p, err := Start(Spec{Name: "sleep", Path: "/bin/sleep", Args: []string{"1000"}, Dir: d, Log: filepath.Join(d, "log")})
		if err != nil {
			t.Fatal(err)
		}
		if err := p.WriteFile(filepath.Join(d, "pid")); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(filepath.Join(d, "pid"), filepath.Join(d, "ready")); err != nil {
			t.Fatal(err)
		}
		select {}
	}
	parent := exec.Command(os.Args[0], "-test.run", t.Name())
	parent.Env = append(os.Environ(), "PROC_TEST_PARENT="+dir)
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	var child ID
	for child.PID == 0 {
		time.Sleep(10 * time.Millisecond)
		if id, err := ReadFile(filepath.Join(dir, "ready")); err == nil {
			child = id
		}
	}
	if err := parent.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = parent.Wait()
	if !child.waitGone(5 * time.Second) {
		_ = child.Kill(0)
		t.Error("the child outlived its parent")
	}
}
