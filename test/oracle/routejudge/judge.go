package routejudge

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	cluster "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	listener "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"

	"github.com/sidestep-mesh/sidestep/test/oracle/envoy"
	"github.com/sidestep-mesh/sidestep/test/oracle/routecorpus"
	"github.com/sidestep-mesh/sidestep/test/oracle/routeworld"
)

const (
	adminPort = 19000
	firstPort = 20000
	workers   = 8
	patience  = 30 * time.Second
	// hangs is how long a caller waits for a backend that does not answer; shorter limits have then ended the call.
	hangs = time.Second
)

// Subject is a case with what istiod made of it.
type Subject struct {
	Case  *routecorpus.Case
	World *routeworld.World
}

// Batch fills in the answers of all calls, with one Envoy process.
func Batch(ctx context.Context, binary string, subjects []Subject) error {
	b, err := startBackends()
	if err != nil {
		return err
	}
	defer b.stop()
	var listeners []*listener.Listener
	var clusters []*cluster.Cluster
	dealt := 0
	markers := func() string {
		dealt++
		return fmt.Sprintf("127.100.%d.%d", dealt>>8, dealt&255)
	}
	byCall := map[*routecorpus.Call]*prepared{}
	n := 0
	for _, s := range subjects {
		ready := map[string]*prepared{}
		for _, p := range s.World.Proxies {
			one, err := prepare(p, s.World, n, markers)
			if err != nil {
				return fmt.Errorf("case %s, %s %s: %w", s.Case.ID, p.Point, p.Name, err)
			}
			n++
			ready[p.Point+" "+p.Name] = one
			listeners, clusters = append(listeners, one.listener), append(clusters, one.clusters...)
		}
		for i := range s.Case.Calls {
			c := &s.Case.Calls[i]
			byCall[c] = ready[c.Point+" "+c.By]
		}
	}
	p, err := envoy.Start(ctx, binary, adminPort, listeners, clusters)
	if p != nil {
		defer p.Stop()
	}
	if err != nil {
		return err
	}
	if err := askAll(subjects, byCall, b); err != nil {
		return fmt.Errorf("%w\nenvoy said: %s", err, p.Tail())
	}
	return nil
}

func askAll(subjects []Subject, ready map[*routecorpus.Call]*prepared, b *backends) error {
	type job struct {
		id   string
		call *routecorpus.Call
	}
	next := make(chan job)
	errs := make(chan error, workers)
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			var failed error
			for j := range next {
				if failed == nil {
					if err := ready[j.call].ask(j.call, j.id, b); err != nil {
						failed = fmt.Errorf("%s: %w: %+v", j.id, err, *j.call)
					}
				}
			}
			if failed != nil {
				errs <- failed
			}
		})
	}
	for _, s := range subjects {
		for i := range s.Case.Calls {
			next <- job{fmt.Sprintf("%s/%d", s.Case.ID, i), &s.Case.Calls[i]}
		}
	}
	close(next)
	wg.Wait()
	close(errs)
	return <-errs
}

// attempts is how often a connection is made that was closed without a word, before that counts as the answer.
const attempts = 3

// ask makes one call and reads its answer.
func (p *prepared) ask(c *routecorpus.Call, id string, b *backends) error {
	for range attempts - 1 {
		if err := p.once(c, id, b); err != nil || c.Protocol == "http" || len(c.Answer.To) > 0 {
			return err
		}
	}
	return p.once(c, id, b)
}

func (p *prepared) once(c *routecorpus.Call, id string, b *backends) error {
	conn, err := net.DialTimeout("tcp", fmt.Sprintf("127.0.0.1:%d", p.port), patience)
	if err != nil {
		return err
	}
	defer conn.Close()
	wait := patience
	if c.Probe == routecorpus.Hangs {
		wait = hangs
	}
	_ = conn.SetDeadline(time.Now().Add(wait))
	to := p.world.Addresses[c.To]
	if to == "" {
		to = "10.251.0.1"
	}
	if _, err := fmt.Fprintf(conn, "PROXY TCP4 10.99.0.1 %s 40000 %d\r\n", to, c.Port); err != nil {
		return err
	}
	if c.Protocol != "http" {
		return p.askConnection(c, conn)
	}
	return p.askHTTP(c, conn, id, b)
}

// askConnection finds the chain that a connection meets.
func (p *prepared) askConnection(c *routecorpus.Call, conn net.Conn) error {
	first := []byte("\x00\x01oracle\n")
	if c.Protocol == "tls" {
		first = hello(c.SNI)
	}
	if _, err := conn.Write(first); err != nil {
		return closed(err)
	}
	line, err := bufio.NewReader(conn).ReadString('\n')
	if line == "" {
		return closed(err)
	}
	f, ok := p.chains[strings.TrimSpace(line)]
	if !ok {
		return fmt.Errorf("the connection reached %q, which no chain leads to", line)
	}
	c.Answer.To = shares(f)
	return nil
}

// closed takes a connection that was closed for an answer.
func closed(err error) error {
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		return err
	}
	return nil
}

// hello is the first message of a TLS connection.
func hello(sni string) []byte {
	a, b := net.Pipe()
	go func() {
		_ = tls.Client(a, &tls.Config{ServerName: sni, InsecureSkipVerify: true}).Handshake() //nolint:gosec // nobody answers
	}()
	buf := make([]byte, 4096)
	n, _ := b.Read(buf)
	_ = b.Close()
	_ = a.Close()
	return buf[:n]
}

// shares leaves out destinations without weight.
func shares(f facts) []routecorpus.Share {
	return slices.DeleteFunc(slices.Clone(f.to), func(s routecorpus.Share) bool { return s.Weight == 0 })
}

func (p *prepared) askHTTP(c *routecorpus.Call, conn net.Conn, id string, b *backends) error {
	random := 0
	for _, r := range id {
		random = random*31 + int(r)
	}
	random = (random%1000 + 1000) % 1000
	var req strings.Builder
	fmt.Fprintf(&req, "%s %s HTTP/1.1\r\nhost: %s\r\n%s: %s\r\n%s: %d\r\n", c.Method, c.Path, c.Authority, idHeader, id, randomHeader, random)
	if c.Probe != "" {
		fmt.Fprintf(&req, "%s: %s\r\n", probeHeader, c.Probe)
	}
	for _, name := range slices.Sorted(maps.Keys(c.Headers)) {
		fmt.Fprintf(&req, "%s: %s\r\n", name, c.Headers[name])
	}
	req.WriteString("content-length: 0\r\n\r\n")
	if _, err := io.WriteString(conn, req.String()); err != nil {
		return closed(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: c.Method})
	var timeout net.Error
	switch {
	case errors.As(err, &timeout) && timeout.Timeout() && c.Probe == routecorpus.Hangs:
		c.Answer.Tries = b.count(id)
		return nil
	case err != nil:
		return closed(err)
	}
	defer resp.Body.Close()
	return p.read(c, resp, random, id, b)
}

func (p *prepared) read(c *routecorpus.Call, resp *http.Response, random int, id string, b *backends) error {
	a := &c.Answer
	a.Status = resp.StatusCode
	a.Location = resp.Header.Get("location")
	var f facts
	if n, err := strconv.Atoi(resp.Header.Get(routeHeader)); err == nil {
		f = p.routes[n]
	}
	a.To, a.Timeout, a.Retries, a.Mirrors, a.Fault, a.CORS, a.Hash = shares(f), f.timeout, f.retries, f.mirrors, f.fault, f.cors, f.hash
	if c.Probe != "" {
		a.Tries = b.count(id)
	}
	text := resp.Header.Get(echoHeader)
	if text == "" {
		body, _ := io.ReadAll(resp.Body)
		if len(f.to) == 0 {
			a.Body = string(body)
		}
		return nil
	}
	var e echo
	if err := json.Unmarshal([]byte(text), &e); err != nil {
		return err
	}
	if e.Path != c.Path {
		a.Path = e.Path
	}
	if e.Authority != c.Authority {
		a.Authority = e.Authority
	}
	a.Seen, a.HTTP2 = e.Seen, e.Proto == "HTTP/2.0"
	for _, name := range routecorpus.Watched {
		if v := resp.Header.Values(name); len(v) > 0 {
			a.Back = append(a.Back, name+": "+strings.Join(v, ","))
		}
	}
	return p.reached(f, a, e, random)
}

// reached holds the backend that answered against the destinations of the route, and marks the one that was chosen.
func (p *prepared) reached(f facts, a *routecorpus.Answer, e echo, random int) error {
	if !f.weighted {
		if len(f.to) != 1 || !p.has(f.to[0], e.IP) {
			return fmt.Errorf("%s:%d answered, which %v does not lead to", e.IP, e.Port, f.to)
		}
		return nil
	}
	var total uint32
	for _, s := range f.to {
		total += s.Weight
	}
	at := uint32(random) % total
	k := 0
	for i, s := range f.to {
		if at < s.Weight {
			if !p.has(s, e.IP) {
				return fmt.Errorf("%s:%d answered, which %v does not lead to", e.IP, e.Port, s)
			}
			a.Chosen = k
			return nil
		}
		at -= s.Weight
		if f.to[i].Weight > 0 {
			k++
		}
	}
	return nil
}
