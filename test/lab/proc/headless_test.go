package proc

import (
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

const headlessVariable = "PROC_TEST_HEADLESS"

// In a process that was started for it, the first thread, on which init runs, ends; those of the Go runtime stay.
func init() {
	if os.Getenv(headlessVariable) == "" {
		return
	}
	runtime.LockOSThread()
	_, _, _ = syscall.RawSyscall(syscall.SYS_EXIT, 0, 0, 0)
}

// Such a process is a zombie by its state, and yet holds its files and ports.
func TestAProcessWhoseFirstThreadHasEndedIsStillThere(t *testing.T) {
	dir := t.TempDir()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p, err := Start(Spec{Name: "headless", Path: program, Env: []string{headlessVariable + "=1"}, Dir: dir, Log: filepath.Join(dir, "log")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Kill(-p.PID, syscall.SIGKILL) }) // whatever p thinks of itself
	for state := ""; state != "Z"; time.Sleep(10 * time.Millisecond) {
		select {
		case <-p.Done():
			t.Fatal(p.Exit())
		default:
		}
		raw, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(p.PID), "stat"))
		if err != nil {
			t.Fatal(err)
		}
		_, rest, _ := strings.Cut(string(raw), ") ")
		state, _, _ = strings.Cut(rest, " ")
	}
	if !p.Alive() {
		t.Error("it counts as gone while its threads run")
	}
	if err := p.Kill(50 * time.Millisecond); err != nil {
		t.Fatal(err)
	}
	if p.Alive() {
		t.Error("it counts as there after its end")
	}
}
