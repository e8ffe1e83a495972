//go:build lab

package e2e

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	lab "github.com/sidestep-mesh/sidestep/test/lab"
	"github.com/sidestep-mesh/sidestep/test/lab/proc"
)

// A test that works with a lab whose process is killed is told so, by name,
// while it waits for something that will never come.
func TestAKilledProcessIsNamedAndALabThatLostItsSupervisorLeavesNothingBehind(t *testing.T) {
	l, err := lab.Up(t.Context(), lab.Options{Dir: filepath.Join(t.TempDir(), "lab"), Log: t.Output(), Owned: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Down(); err != nil {
			t.Error(err)
		}
	})
	for _, name := range l.ProcessNames() {
		if name == lab.SupervisorName {
			continue // last, below: everything dies with it
		}
		t.Run(name, func(t *testing.T) {
			exit := killAndWait(t, l, name)
			for _, want := range []string{name, "signal: killed", l.LogFile(name)} {
				if !strings.Contains(exit.Error(), want) {
					t.Errorf("the error lacks %q: %v", want, exit)
				}
			}
			if err := l.Start(t.Context(), name); err != nil {
				t.Fatal(err)
			}
		})
	}
	t.Run(lab.SupervisorName, func(t *testing.T) {
		processes := everyProcess(t, l)
		exit := killAndWait(t, l, lab.SupervisorName)
		if exit.Name != lab.SupervisorName {
			t.Errorf("named %v", exit)
		}
		if err := l.Down(); err != nil {
			t.Fatal(err)
		}
		if err := nothingLeft(l, processes); err != nil {
			t.Error(err)
		}
	})
}

func everyProcess(t *testing.T, l *lab.Lab) []proc.ID {
	t.Helper()
	var all []proc.ID
	for _, name := range l.ProcessNames() {
		id, err := l.Process(name)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, id)
	}
	return all
}

// nothingLeft says what is left of a lab: processes, files, ports in use.
func nothingLeft(l *lab.Lab, processes []proc.ID) error {
	var left []error
	for _, id := range processes {
		if id.Alive() {
			left = append(left, fmt.Errorf("pid %d outlived its lab", id.PID))
		}
	}
	if _, err := os.Stat(l.Dir); !errors.Is(err, os.ErrNotExist) {
		left = append(left, fmt.Errorf("%s is still there: %w", l.Dir, err))
	}
	for name, port := range l.Ports {
		listener, err := net.Listen("tcp4", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			left = append(left, fmt.Errorf("port %s: %w", name, err))
			continue
		}
		listener.Close()
	}
	return errors.Join(left...)
}

// killAndWait kills a process and returns the cause with which the watch ends.
func killAndWait(t *testing.T, l *lab.Lab, name string) proc.ExitError {
	t.Helper()
	ctx, stop := l.Watch(t.Context())
	defer stop()
	id, err := l.Process(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(id.PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	limit, cancel := context.WithTimeout(ctx, 10*time.Second) // what the lab promises
	defer cancel()
	<-limit.Done()
	var exit proc.ExitError
	if !errors.As(context.Cause(ctx), &exit) {
		t.Fatalf("%s was killed, and after 10 seconds the watch says %v", name, context.Cause(ctx))
	}
	return exit
}

func TestIstioCNIFollowsLabelsLive(t *testing.T) {
	ctx, client := use(t)
	const ns = "cni-live"
	loadWorkload(ctx, t, client, ns)
	setLabel := func(value any) {
		t.Helper()
		if err := patchLabel(ctx, client, ns, "istio.io/dataplane-mode", value); err != nil {
			t.Fatal(err)
		}
	}
	wait := func(mode string) {
		t.Helper()
		eventually(ctx, t, func(ctx context.Context) error {
			pods, err := client.Kube.CoreV1().Pods(ns).List(ctx, metav1.ListOptions{})
			if err != nil {
				return err
			}
			for _, pod := range pods.Items {
				if have := podMode(&pod); have != mode {
					return fmt.Errorf("pod %s: want %s, have %s", pod.Name, mode, have)
				}
			}
			if len(pods.Items) == 0 {
				return errors.New("no pods")
			}
			return nil
		})
	}
	wait("none")
	setLabel("ambient")
	wait("ambient")
	// The real istiod believes it: it would tell ztunnel to expect HBONE there.
	eventually(ctx, t, func(ctx context.Context) error { return ambientzSays(ctx, ns, "HBONE") })
	setLabel(nil)
	wait("none")
}
