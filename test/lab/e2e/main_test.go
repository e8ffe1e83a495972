//go:build lab

// Package e2e holds the tests that run on a real control plane. They share one
// lab, which comes up in TestMain and goes down with the test process,
// however that ends. To try them against a lab that stays, set SIDESTEP_LAB to its folder.
package e2e

import (
	"context"
	"flag"
	"fmt"
	"os"
	"testing"
	"time"

	lab "github.com/sidestep-mesh/sidestep/test/lab"
	"github.com/sidestep-mesh/sidestep/test/lab/cluster"
	"github.com/sidestep-mesh/sidestep/test/lab/scenario"
)

var (
	// shared is the lab of this package, with every scenario loaded.
	shared *lab.Lab
	// built is the folder for what these tests build.
	built string
)

func TestMain(m *testing.M) {
	lab.MainIfRole()
	ownIfAsked()
	flag.Parse()
	code, err := runTests(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "lab:", err)
		code = 1
	}
	os.Exit(code)
}

func runTests(m *testing.M) (int, error) {
	var err error
	if built, err = os.MkdirTemp("", "sidestep-bin-"); err != nil {
		return 1, err
	}
	defer os.RemoveAll(built)
	dir, attached := os.LookupEnv("SIDESTEP_LAB")
	if !attached {
		if dir, err = os.MkdirTemp("", "sidestep-lab-"); err != nil {
			return 1, err
		}
		defer os.RemoveAll(dir)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 40*time.Minute) // a cold build is 13 minutes of it
	defer cancel()
	l, err := lab.Up(ctx, lab.Options{Dir: dir, Log: os.Stderr, Owned: !attached})
	if err != nil {
		return 1, err
	}
	shared = l
	if !attached {
		defer func() {
			if err := l.Down(); err != nil {
				fmt.Fprintln(os.Stderr, "lab:", err)
			}
		}()
	}
	if err := loadAll(ctx, l); err != nil {
		return 1, err
	}
	return m.Run(), nil
}

// loadAll loads every wanted scenario but the wide ones, all at once: they live in namespaces of their own.
func loadAll(ctx context.Context, l *lab.Lab) error {
	ctx, cancel := context.WithTimeout(ctx, 8*time.Minute)
	defer cancel()
	ctx, stop := l.Watch(ctx)
	defer stop()
	client, err := l.Client()
	if err != nil {
		return err
	}
	began := time.Now()
	var all []*scenario.Scenario
	for _, name := range wanted {
		s, err := scenario.Load(name)
		if err != nil {
			return err
		}
		if s.Mesh.Wide {
			continue
		}
		if err := s.Apply(ctx, client); err != nil {
			return fmt.Errorf("scenario %s: %w", name, err)
		}
		all = append(all, s)
	}
	for _, s := range all {
		if err := s.Wait(ctx, client); err != nil {
			return fmt.Errorf("scenario %s: %w", s.Name, err)
		}
	}
	fmt.Fprintf(os.Stderr, "lab: %d scenarios loaded in %s\n", len(all), time.Since(began).Round(time.Second))
	return nil
}

// use returns the shared lab's client and a context that ends with the test, or
// as soon as a lab process dies; the test then fails with that process's name.
func use(t *testing.T) (context.Context, *cluster.Client) {
	t.Helper()
	return useLab(t, shared)
}

func useLab(t *testing.T, l *lab.Lab) (context.Context, *cluster.Client) {
	t.Helper()
	ctx, stop := l.Watch(t.Context())
	t.Cleanup(func() {
		if exit := l.Failure(); exit != nil {
			t.Errorf("during this test: %v", exit)
		}
		stop()
	})
	client, err := l.Client()
	if err != nil {
		t.Fatal(err)
	}
	return ctx, client
}

// loadWide loads a scenario that the whole mesh feels, until the test ends.
func loadWide(ctx context.Context, t *testing.T, client *cluster.Client, s *scenario.Scenario) {
	t.Helper()
	t.Cleanup(func() {
		if err := s.Unload(context.WithoutCancel(ctx), client); err != nil {
			t.Error(err)
		}
	})
	if _, err := s.Load(ctx, client); err != nil {
		t.Fatal(err)
	}
}

// eventually retries check until it succeeds; two minutes is far beyond what anything here takes.
func eventually(ctx context.Context, t *testing.T, check func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	if err := cluster.Poll(ctx, 200*time.Millisecond, check); err != nil {
		t.Fatal(err)
	}
}
