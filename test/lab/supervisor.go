package lab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/sidestep-mesh/sidestep/test/lab/proc"
)

// A lab's own processes are this same program again, told by these variables
// what to be. So a test binary can supervise a lab without a labctl beside it.
const (
	roleVariable = "SIDESTEP_LAB_ROLE"
	dirVariable  = "SIDESTEP_LAB_DIR"
	// ownerFD is the pipe whose closing tells the supervisor that its owner is gone.
	ownerVariable = "SIDESTEP_LAB_OWNED"
	ownerFD       = 3
)

// MainIfRole must be the first call of main or TestMain in a program that
// starts labs. In a process that was started as part of a lab it does not return.
func MainIfRole() {
	role := os.Getenv(roleVariable)
	if role == "" {
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	state, err := loadState(os.Getenv(dirVariable))
	if err == nil {
		switch role {
		case SupervisorName:
			err = supervise(ctx, state, os.Getenv(ownerVariable) != "")
		case StandIns:
			err = runStandIns(ctx, state)
		default:
			err = fmt.Errorf("no lab process has the role %q", role)
		}
	}
	if err != nil {
		log.Print(err)
		os.Exit(1)
	}
	os.Exit(0)
}

// supervisor is the parent of all processes of one lab.
type supervisor struct {
	state *State

	mu      sync.Mutex
	running map[string]*proc.Process
	stopped map[string]bool // on request, so their end is no failure
	// exits holds what ended by itself and has not been started again.
	exits []proc.ExitError
}

// startOrder is also the reverse of the order in which a lab is taken down.
var startOrder = []string{Etcd, APIServer, ControllerManager, Scheduler, Kwok, StandIns, Istiod, Prometheus}

func supervise(ctx context.Context, state *State, owned bool) error {
	me, err := proc.Identify(os.Getpid())
	if err != nil {
		return err
	}
	if err := me.WriteFile(state.pidFile(SupervisorName)); err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	if owned {
		go func() { // the owner never writes: this returns when it is gone
			_, _ = io.Copy(io.Discard, os.NewFile(ownerFD, "owner"))
			cancel(errOwnerGone)
		}()
	}
	s := &supervisor{state: state, running: map[string]*proc.Process{}, stopped: map[string]bool{}}
	listener, err := net.Listen("tcp4", state.addr("supervisor"))
	if err != nil {
		return err
	}
	server := &http.Server{Handler: s.handler(), ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = server.Serve(listener) }()

	err = s.bringUp(ctx)
	s.report(err)
	if err == nil {
		<-ctx.Done()
	}
	server.Close()
	s.takeDown()
	if errors.Is(context.Cause(ctx), errOwnerGone) {
		return os.RemoveAll(state.Dir) // nobody is left to do it
	}
	return err
}

// errOwnerGone is why a lab ends whose owner has ended, however that happened.
var errOwnerGone = errors.New("the owner of this lab is gone")

// outcome is the file that tells the starting command how bring-up went.
type outcome struct {
	Error string `json:"error,omitempty"`
}

func (s *supervisor) report(err error) {
	var o outcome
	if err != nil {
		o.Error = err.Error()
	}
	if err := s.state.writeJSON("outcome.json", o); err != nil {
		log.Print(err)
	}
}

// start starts a named process, records it, and watches it to its end.
func (s *supervisor) start(name string) (*proc.Process, error) {
	spec, err := s.state.spec(name)
	if err != nil {
		return nil, err
	}
	p, err := proc.Start(spec)
	if err != nil {
		return nil, err
	}
	if err := p.WriteFile(s.state.pidFile(name)); err != nil {
		return nil, err
	}
	s.mu.Lock()
	s.running[name] = p
	delete(s.stopped, name)
	s.exits = slices.DeleteFunc(s.exits, func(e proc.ExitError) bool { return e.Name == name })
	s.recordExits()
	s.mu.Unlock()
	go func() {
		<-p.Done()
		s.mu.Lock()
		defer s.mu.Unlock()
		_ = os.Remove(s.state.pidFile(name))
		delete(s.running, name)
		if !s.stopped[name] {
			log.Print(p.Exit())
			s.exits = append(s.exits, p.Exit())
			s.recordExits()
		}
	}()
	return p, nil
}

// recordExits writes the file that Lab.Failure reads. The caller holds the lock.
func (s *supervisor) recordExits() {
	if err := s.state.writeJSON("exits.json", s.exits); err != nil {
		log.Print(err)
	}
}

// stop ends a named process on purpose.
func (s *supervisor) stop(name string) error {
	if !slices.Contains(startOrder, name) {
		return fmt.Errorf("no process is called %q; there are %s", name, strings.Join(startOrder, ", "))
	}
	s.mu.Lock()
	p := s.running[name]
	s.stopped[name] = true
	s.mu.Unlock()
	if p == nil {
		return nil
	}
	return p.Stop(gracePeriod(name))
}

// gracePeriod is short: a lab's data is thrown away.
func gracePeriod(name string) time.Duration {
	if name == Prometheus {
		return 10 * time.Second // it may be stopped as a fault and must find its data again
	}
	return 2 * time.Second
}

func (s *supervisor) takeDown() {
	for _, name := range slices.Backward(startOrder) {
		if err := s.stop(name); err != nil {
			log.Print(err)
		}
	}
}

// handler serves POST /stop/NAME and /start/NAME, for faults that take a part away.
func (s *supervisor) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /stop/{name}", func(w http.ResponseWriter, r *http.Request) {
		answer(w, s.stop(r.PathValue("name")))
	})
	mux.HandleFunc("POST /start/{name}", func(w http.ResponseWriter, r *http.Request) {
		answer(w, s.restart(r.Context(), r.PathValue("name")))
	})
	return mux
}

func (s *supervisor) restart(ctx context.Context, name string) error {
	s.mu.Lock()
	_, runs := s.running[name]
	s.mu.Unlock()
	if runs {
		return fmt.Errorf("%s is running", name)
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	return s.startReady(ctx, name)
}

func answer(w http.ResponseWriter, err error) {
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
	}
}

// startReady starts a process and waits until it answers.
func (s *supervisor) startReady(ctx context.Context, name string) error {
	began := time.Now()
	p, err := s.start(name)
	if err != nil {
		return err
	}
	if err := p.WaitReady(ctx, s.probe(name)); err != nil {
		return err
	}
	log.Printf("%s is ready after %.1fs (pid %d)", name, time.Since(began).Seconds(), p.PID)
	return nil
}

// probe returns the readiness question for a process.
func (s *supervisor) probe(name string) func(context.Context) error {
	switch name {
	case Etcd:
		return httpOK("http://" + s.state.addr("etcd-client") + "/readyz")
	case APIServer:
		return s.apiserverReady
	case ControllerManager:
		return httpOK("https://" + s.state.addr("controller-manager") + "/healthz")
	case Scheduler:
		return httpOK("https://" + s.state.addr("scheduler") + "/readyz")
	case Kwok:
		return httpOK("http://" + s.state.addr("kwok") + "/healthz")
	case Istiod:
		return httpOK(s.state.IstiodHTTP + "/ready")
	case Prometheus:
		return httpOK(s.state.Prometheus + "/-/ready")
	case StandIns:
		return httpOK(s.state.Metrics + "/ready")
	}
	return func(context.Context) error { return errors.New("no probe for " + name) }
}
