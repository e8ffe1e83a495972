// Package proc starts the processes of a lab and makes sure that none is left
// behind. A process is known by its pid and its start time, so that a pid which
// the system has given to somebody else is never signalled. Linux only: it
// reads /proc.
package proc

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// ID names one process for as long as the machine runs: pids are reused, a pid
// together with its start time is not.
type ID struct {
	PID int `json:"pid"`
	// Start is field 22 of /proc/PID/stat: clock ticks since boot.
	Start uint64 `json:"start"`
}

// ErrGone is returned when the process named by an ID no longer runs.
var ErrGone = errors.New("process is gone")

// Identify reads the start time of a running process. It returns ErrGone when
// no process with that pid runs; a zombie of which no thread is left counts as gone.
func Identify(pid int) (ID, error) {
	raw, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return ID{}, fmt.Errorf("pid %d: %w", pid, ErrGone)
	}
	// The command name stands in parentheses and may hold blanks itself, so
	// count fields from the last closing one. The first field after it is the state.
	_, rest, ok := strings.Cut(string(raw[bytes.LastIndexByte(raw, ')'):]), " ")
	fields := strings.Fields(rest)
	if !ok || len(fields) < 20 {
		return ID{}, fmt.Errorf("pid %d: cannot read /proc/%d/stat", pid, pid)
	}
	// A process whose first thread has ended is a zombie already while its other threads, which still
	// hold its files and ports, are being ended. Field 20 counts them all.
	if (fields[0] == "Z" || fields[0] == "X") && (fields[17] == "0" || fields[17] == "1") {
		return ID{}, fmt.Errorf("pid %d: %w", pid, ErrGone)
	}
	start, err := strconv.ParseUint(fields[19], 10, 64)
	if err != nil {
		return ID{}, fmt.Errorf("pid %d: start time in /proc/%d/stat: %w", pid, pid, err)
	}
	return ID{PID: pid, Start: start}, nil
}

// Alive says whether exactly this process (not merely this pid) still runs.
func (id ID) Alive() bool {
	now, err := Identify(id.PID)
	return err == nil && now.Start == id.Start
}

// Kill ends the process group that the process leads: SIGTERM, then SIGKILL when
// it still runs after grace. It does nothing when the process is gone already.
// Nobody else's process is ever signalled, since the start time is compared first.
func (id ID) Kill(grace time.Duration) error {
	if !id.Alive() {
		return nil
	}
	_ = syscall.Kill(-id.PID, syscall.SIGTERM)
	if id.waitGone(grace) {
		return nil
	}
	_ = syscall.Kill(-id.PID, syscall.SIGKILL)
	if id.waitGone(5 * time.Second) {
		return nil
	}
	return fmt.Errorf("pid %d does not end, not even by SIGKILL", id.PID)
}

func (id ID) waitGone(limit time.Duration) bool {
	for deadline := time.Now().Add(limit); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if !id.Alive() {
			return true
		}
	}
	return !id.Alive()
}

// WriteFile records the process in a file, for a later clean-up by somebody else.
func (id ID) WriteFile(path string) error {
	raw, err := json.Marshal(id)
	if err != nil {
		return err
	}
	return os.WriteFile(path, raw, 0o644)
}

// ReadFile reads what WriteFile wrote.
func ReadFile(path string) (ID, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return ID{}, err
	}
	var id ID
	if err := json.Unmarshal(raw, &id); err != nil {
		return ID{}, fmt.Errorf("pid file %s: %w", path, err)
	}
	return id, nil
}

// Spec is what is needed to start one process.
type Spec struct {
	Name string   // for people: "etcd"
	Path string   // the program
	Args []string // without the program's name
	Env  []string // added to a bare environment (PATH, HOME)
	Dir  string   // working folder
	Log  string   // file for standard output and standard error, appended to
}

// Process is a started child of ours.
type Process struct {
	Spec
	ID

	done chan struct{}
	err  error // how it ended; valid once done is closed
}

// spawner forks on one operating system thread that never ends. The kernel
// ties the "signal me when my parent dies" request to the thread that
// forked, and Go ends idle threads, which would kill children at random.
var spawner = sync.OnceValue(func() chan<- func() {
	work := make(chan func())
	go func() {
		runtime.LockOSThread()
		for f := range work {
			f()
		}
	}()
	return work
})

// Start starts a child in a process group of its own. The kernel kills the
// child when this process dies, however that happens.
func Start(spec Spec) (*Process, error) {
	log, err := os.OpenFile(spec.Log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd := exec.Command(spec.Path, spec.Args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = spec.Dir, log, log
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + spec.Dir}, spec.Env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}

	started := make(chan error)
	spawner() <- func() { started <- cmd.Start() }
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s: %w", spec.Name, err)
	}
	p := &Process{Spec: spec, done: make(chan struct{})}
	p.ID, err = Identify(cmd.Process.Pid)
	if err != nil { // ended at once: Wait below says how
		p.ID = ID{PID: cmd.Process.Pid}
	}
	go func() {
		waitErr := cmd.Wait()
		if waitErr == nil {
			waitErr = errors.New("exit status 0")
		}
		p.err = waitErr
		close(p.done)
	}()
	return p, nil
}

// Done is closed when the process has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Exit tells how the process ended; call it after Done is closed.
func (p *Process) Exit() ExitError {
	return ExitError{Name: p.Name, PID: p.PID, Reason: p.err.Error(), Log: p.Log}
}

// Stop ends the process and waits for it.
func (p *Process) Stop(grace time.Duration) error {
	if err := p.Kill(grace); err != nil {
		return fmt.Errorf("stop %s: %w", p.Name, err)
	}
	<-p.done
	return nil
}

// WaitReady polls ready until it succeeds. When the process ends first, or when
// ctx does, the error names the process, its log, the last answer, and the end of the log.
func (p *Process) WaitReady(ctx context.Context, ready func(context.Context) error) error {
	for {
		last := ready(ctx)
		if last == nil {
			return nil
		}
		select {
		case <-p.done:
			return fmt.Errorf("%w\n%s", p.Exit(), Tail(p.Log, 15))
		case <-ctx.Done():
			return fmt.Errorf("%s (pid %d) does not get ready: %w, log: %s\n%s", p.Name, p.PID, last, p.Log, Tail(p.Log, 15))
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// ExitError says which process ended though nobody had asked it to.
type ExitError struct {
	Name   string `json:"name"`
	PID    int    `json:"pid"`
	Reason string `json:"reason"`
	Log    string `json:"log"`
}

func (e ExitError) Error() string {
	return fmt.Sprintf("%s (pid %d) exited: %s, log: %s", e.Name, e.PID, e.Reason, e.Log)
}

// Tail returns the last lines of a file, each indented, for error messages.
func Tail(path string, lines int) string {
	raw, err := os.ReadFile(path)
	if err != nil {
		return "  (" + err.Error() + ")"
	}
	all := strings.Split(strings.TrimRight(string(raw), "\n"), "\n")
	if len(all) > lines {
		all = all[len(all)-lines:]
	}
	return "  " + strings.Join(all, "\n  ")
}
