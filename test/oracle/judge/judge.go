// Package judge fills in a case's answers.
package judge

import (
	"net/netip"

	"github.com/sidestep-mesh/sidestep/test/oracle/corpus"
	"github.com/sidestep-mesh/sidestep/test/oracle/world"
	"github.com/sidestep-mesh/sidestep/test/oracle/ztunnel"
)

// All asks every judge about every request of the case.
func All(c *corpus.Case) error {
	w, err := world.Build(c)
	if err != nil {
		return err
	}
	c.Invalid = w.Invalid
	c.Answers = map[string][]string{corpus.Ztunnel: Ztunnel(w.Ztunnel, c.Requests)}
	return nil
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
