package lab

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/sidestep-mesh/sidestep/test/lab/cluster"
	"github.com/sidestep-mesh/sidestep/test/lab/proc"
)

// Lab is a handle on a running lab.
type Lab struct {
	*State

	owner io.Closer // closing it ends a lab that we own
}

// Options say how to start a lab.
type Options struct {
	// Dir is the lab's folder; it is made and, by Down, removed.
	Dir string
	// Log gets progress, a line a step.
	Log io.Writer
	// Owned ties the lab to this process: it goes down when this process ends, however that happens.
	Owned bool
}

// Up builds what is missing and starts a lab. A lab that already runs, or starts, in that
// folder is returned as it is; the remains of one that crashed are cleaned up first.
func Up(ctx context.Context, o Options) (*Lab, error) {
	if l, ready, err := find(o.Dir); err == nil {
		if !ready {
			err = l.awaitReady(ctx, o.Log)
		}
		return l, err
	}
	if err := Down(o.Dir); err != nil {
		return nil, err
	}
	builder, err := NewBuilder(o.Log)
	if err != nil {
		return nil, err
	}
	bin, err := builder.Build(ctx)
	if err != nil {
		return nil, err
	}
	dir, err := filepath.Abs(o.Dir)
	if err != nil {
		return nil, err
	}
	began := time.Now()
	state, err := newState(dir, bin)
	if err != nil {
		return nil, err
	}
	if err := state.makeKeys(); err != nil {
		return nil, err
	}
	if err := state.save(); err != nil {
		return nil, err
	}
	fmt.Fprintf(o.Log, "lab: starting in %s\n", dir)
	l := &Lab{State: state}
	if err := l.startSupervisor(o.Owned); err != nil {
		return nil, err
	}
	if err := l.awaitReady(ctx, o.Log); err != nil {
		return nil, errors.Join(err, l.keepLogs(o.Log))
	}
	fmt.Fprintf(o.Log, "lab: ready in %s\n", time.Since(began).Round(100*time.Millisecond))
	return l, nil
}

// startSupervisor runs this program again as the supervisor, in a session of its own.
func (l *Lab) startSupervisor(owned bool) error {
	logFile, err := os.OpenFile(l.LogFile(SupervisorName), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer logFile.Close()
	cmd := exec.Command(ownProgram)
	cmd.Dir, cmd.Stdout, cmd.Stderr = l.path("work"), logFile, logFile
	cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + l.path("work"),
		roleVariable + "=" + SupervisorName, dirVariable + "=" + l.Dir,
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if owned {
		read, write, err := os.Pipe()
		if err != nil {
			return err
		}
		defer read.Close()
		cmd.ExtraFiles = []*os.File{read}
		cmd.Env = append(cmd.Env, ownerVariable+"=1")
		l.owner = write
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	id, err := proc.Identify(cmd.Process.Pid)
	if err != nil {
		return fmt.Errorf("the supervisor ended at once, log: %s", l.LogFile(SupervisorName))
	}
	go func() { _ = cmd.Wait() }()
	return id.WriteFile(l.pidFile(SupervisorName))
}

// awaitReady passes the supervisor's log on until it reports how bring-up went.
func (l *Lab) awaitReady(ctx context.Context, log io.Writer) error {
	follow, err := os.Open(l.LogFile(SupervisorName))
	if err != nil {
		return err
	}
	defer follow.Close()
	lines := bufio.NewReader(follow)
	pass := func() {
		for {
			line, err := lines.ReadString('\n')
			if err != nil {
				return
			}
			_, text, _ := strings.Cut(line, " ") // the date; the time stays
			fmt.Fprint(log, "lab: ", text)
		}
	}
	for {
		pass()
		raw, err := os.ReadFile(l.path("outcome.json"))
		if err == nil {
			pass()
			var o outcome
			if err := json.Unmarshal(raw, &o); err != nil {
				return err
			}
			if o.Error != "" {
				return fmt.Errorf("the lab does not start: %s", o.Error)
			}
			return nil
		}
		if exit := l.supervisorGone(); exit != nil {
			return fmt.Errorf("%w\n%s", *exit, proc.Tail(exit.Log, 15))
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// keepLogs ends a lab that failed to start but leaves its folder, since the error names logs in it.
func (l *Lab) keepLogs(log io.Writer) error {
	if err := endProcesses(l.Dir); err != nil {
		return err
	}
	fmt.Fprintf(log, "lab: logs are kept in %s (the next up or down in this folder removes them)\n", l.path("log"))
	return os.Remove(l.path("lab.json"))
}

func (l *Lab) supervisorGone() *proc.ExitError {
	id, err := proc.ReadFile(l.pidFile(SupervisorName))
	if err == nil && id.Alive() {
		return nil
	}
	return &proc.ExitError{Name: SupervisorName, PID: id.PID, Reason: "it is gone", Log: l.LogFile(SupervisorName)}
}

// Attach returns the lab that runs in a folder.
func Attach(dir string) (*Lab, error) {
	l, ready, err := find(dir)
	if err == nil && !ready {
		err = fmt.Errorf("the lab in %s is still starting", dir)
	}
	if err != nil {
		return nil, err
	}
	return l, nil
}

// find returns the lab whose supervisor runs in a folder, and whether it has started everything.
func find(dir string) (l *Lab, ready bool, err error) {
	state, err := loadState(dir)
	if err != nil {
		return nil, false, fmt.Errorf("no lab runs in %s: %w", dir, err)
	}
	l = &Lab{State: state}
	if exit := l.supervisorGone(); exit != nil {
		return nil, false, *exit
	}
	_, err = os.Stat(l.path("outcome.json"))
	return l, err == nil, nil
}

// Down ends the lab in a folder, also what a crashed one left, and removes the folder.
func Down(dir string) error {
	if _, err := os.Stat(filepath.Join(dir, "run")); errors.Is(err, fs.ErrNotExist) {
		return nil // nothing of ours is there
	}
	if err := endProcesses(dir); err != nil {
		return err
	}
	return os.RemoveAll(dir)
}

// endProcesses asks the supervisor first, since it knows the order, then ends what is left by pid file.
func endProcesses(dir string) error {
	names, err := filepath.Glob(filepath.Join(dir, "run", "*.pid"))
	if err != nil {
		return err
	}
	supervisorFile := filepath.Join(dir, "run", SupervisorName+".pid")
	var errs []error
	for _, file := range append([]string{supervisorFile}, names...) {
		id, err := proc.ReadFile(file)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err == nil {
			grace := 2 * time.Second
			if file == supervisorFile {
				grace = 30 * time.Second
			}
			err = id.Kill(grace)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// Down ends this lab and removes its folder.
func (l *Lab) Down() error {
	if l.owner != nil {
		l.owner.Close()
	}
	return Down(l.Dir)
}

// Watch returns a context that is cancelled when a process of the lab ends that
// nobody asked to end; its cause is a proc.ExitError that names process, pid, reason and log.
func (l *Lab) Watch(parent context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(parent)
	go func() {
		tick := time.NewTicker(200 * time.Millisecond)
		defer tick.Stop()
		for {
			if exit := l.Failure(); exit != nil {
				cancel(*exit)
				return
			}
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
		}
	}()
	return ctx, func() { cancel(context.Canceled) }
}

// Failure returns the first process that ended though nobody had asked it to, or nil.
// One that has been started again counts no more.
func (l *Lab) Failure() *proc.ExitError {
	raw, _ := os.ReadFile(l.path("exits.json")) // absent: nothing has failed
	var exits []proc.ExitError
	if err := json.Unmarshal(raw, &exits); err != nil && len(raw) > 0 {
		return &proc.ExitError{Name: SupervisorName, Reason: err.Error(), Log: l.LogFile(SupervisorName)}
	}
	// Looked at last: what dies with the supervisor is not the cause.
	if exit := l.supervisorGone(); exit != nil {
		return exit
	}
	if len(exits) > 0 {
		return &exits[0]
	}
	return nil
}

// Process returns the identity of a running process of the lab.
func (l *Lab) Process(name string) (proc.ID, error) {
	id, err := proc.ReadFile(l.pidFile(name))
	if err != nil {
		return proc.ID{}, fmt.Errorf("%s does not run: %w", name, err)
	}
	if !id.Alive() {
		return proc.ID{}, fmt.Errorf("%s (pid %d) does not run any more", name, id.PID)
	}
	return id, nil
}

// Client talks to the API server directly, past the fault proxy.
func (l *Lab) Client() (*cluster.Client, error) { return cluster.Connect(l.DirectKubeconfig) }

// Stop takes a process away on purpose, Start brings it back.
func (l *Lab) Stop(ctx context.Context, process string) error {
	return l.post(ctx, l.Supervisor+"/stop/"+process)
}

// Start starts a stopped process and waits until it is ready.
func (l *Lab) Start(ctx context.Context, process string) error {
	return l.post(ctx, l.Supervisor+"/start/"+process)
}

func (l *Lab) post(ctx context.Context, url string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url, nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	body, _ := io.ReadAll(io.LimitReader(response.Body, 4096))
	if response.StatusCode != http.StatusOK {
		return errors.New(strings.TrimSpace(string(body)))
	}
	return nil
}

// ProcessNames lists the processes of a lab in the order in which they start.
func (l *Lab) ProcessNames() []string { return append([]string{SupervisorName}, startOrder...) }

// Tail returns the last lines of a log file.
func Tail(path string, lines int) string { return proc.Tail(path, lines) }

// ResidentMiB is the resident memory of a process now, in MiB; 0 when it is gone.
func ResidentMiB(pid int) int64 {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		return 0
	}
	var size, resident int64
	if _, err := fmt.Sscan(string(raw), &size, &resident); err != nil {
		return 0
	}
	return resident * int64(os.Getpagesize()) >> 20
}
