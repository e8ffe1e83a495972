// Package judge fills in the answers of cases.
package judge

import (
	"context"
	"fmt"
	"net/netip"
	"sync"

	"github.com/sidestep-mesh/sidestep/test/oracle/corpus"
	"github.com/sidestep-mesh/sidestep/test/oracle/envoy"
	"github.com/sidestep-mesh/sidestep/test/oracle/world"
	"github.com/sidestep-mesh/sidestep/test/oracle/ztunnel"
)

// batch is how many cases share an Envoy.
const batch = 100

// All asks every judge about every request of the cases. progress is called after each batch.
func All(ctx context.Context, cases []*corpus.Case, e *envoy.Judge, progress func(done int)) error {
	for from := 0; from < len(cases); from += batch {
		part := cases[from:min(from+batch, len(cases))]
		subjects, err := build(part)
		if err != nil {
			return err
		}
		if err := e.Batch(ctx, subjects); err != nil {
			return fmt.Errorf("cases %s to %s: %w", part[0].ID, part[len(part)-1].ID, err)
		}
		progress(from + len(part))
	}
	return nil
}

// build makes the worlds, two at a time.
func build(cases []*corpus.Case) ([]envoy.Subject, error) {
	subjects := make([]envoy.Subject, len(cases))
	errs := make([]error, len(cases))
	next := make(chan int)
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			for i := range next {
				c := cases[i]
				w, err := world.Build(c)
				if err != nil {
					errs[i] = err
					continue
				}
				c.Invalid = w.Invalid
				c.Answers = map[string][]string{corpus.Ztunnel: Ztunnel(w.Ztunnel, c.Requests)}
				subjects[i] = envoy.Subject{Case: c, World: w}
			}
		})
	}
	for i := range cases {
		next <- i
	}
	close(next)
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return nil, err
		}
	}
	return subjects, nil
}

// Ztunnel replays ztunnel's decision.
func Ztunnel(s ztunnel.State, requests []corpus.Request) []string {
	out := make([]string, len(requests))
	for i, r := range requests {
		out[i] = corpus.Deny
		if s.Allowed(ztunnel.Connection{
			Source:      netip.MustParseAddr(r.SourceIP),
			Destination: netip.AddrPortFrom(netip.MustParseAddr(r.DestinationIP), uint16(r.DestinationPort)),
			Identity:    r.SourcePrincipal,
		}) {
			out[i] = corpus.Allow
		}
	}
	return out
}
