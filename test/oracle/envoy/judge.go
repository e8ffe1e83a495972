package envoy

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"

	cluster "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	listener "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"

	"golang.org/x/net/http2"
	"istio.io/istio/pilot/pkg/model"
	"istio.io/istio/pilot/pkg/networking/core"

	"github.com/sidestep-mesh/sidestep/test/oracle/corpus"
	"github.com/sidestep-mesh/sidestep/test/oracle/world"
)

const (
	adminPort     = 19000
	terminatePort = 19008
	firstSidecar  = 20000
	// workers share the requests of a batch; the machine is small and each request is a TLS handshake.
	workers = 6
)

// Subject is a case with what istiod made of it.
type Subject struct {
	Case  *corpus.Case
	World *world.World
}

// Judge runs batches of cases in Envoy.
type Judge struct {
	Binary string
	PKI    *PKI
}

// Batch fills in the sidecar and waypoint answers of all subjects, with one Envoy process.
func (j *Judge) Batch(ctx context.Context, subjects []Subject) error {
	providers, root := providerNames(subjects)
	srv, err := startServers(providers)
	if err != nil {
		return err
	}
	defer srv.stop()
	var listeners []*listener.Listener
	clusters := []*cluster.Cluster{staticCluster(echoCluster, portOf(srv.echo), false)}
	for _, name := range providers {
		clusters = append(clusters, staticCluster(
			fmt.Sprintf("outbound|%d||%s.%s.svc.cluster.local", world.AuthzPort, name, root), portOf(srv.providers[name]), true))
	}
	var internals []string
	for i, s := range subjects {
		side, err := cutSidecar(named(s.World.Sidecar, model.VirtualInboundListenerName), firstSidecar+uint32(i), j.PKI)
		if err != nil {
			return fmt.Errorf("case %s: %w", s.Case.ID, err)
		}
		internal := internalName(i)
		way, err := cutInternal(named(s.World.Waypoint, core.MainInternalName), internal, j.PKI)
		if err != nil {
			return fmt.Errorf("case %s: %w", s.Case.ID, err)
		}
		tunnelled, err := cutInternal(named(s.World.Sidecar, core.MainInternalName), tunnelledName(i), j.PKI)
		if err != nil {
			return fmt.Errorf("case %s: %w", s.Case.ID, err)
		}
		internals = append(internals, internal, tunnelledName(i))
		listeners = append(listeners, side, way, tunnelled)
		clusters = append(clusters, internalCluster(core.GetMainInternalCluster(), internal),
			internalCluster(core.GetMainInternalCluster(), tunnelledName(i)))
	}
	terminate, err := cutTerminate(named(subjects[0].World.Waypoint, core.ConnectTerminate), terminatePort, internals, j.PKI)
	if err != nil {
		return err
	}
	p, err := Start(ctx, j.Binary, adminPort, append(listeners, terminate), clusters)
	if p != nil {
		defer p.Stop()
	}
	if err != nil {
		return err
	}
	if err := j.askAll(subjects, srv); err != nil {
		return fmt.Errorf("%w\nenvoy said: %s", err, p.Tail())
	}
	return nil
}

func internalName(i int) string  { return fmt.Sprintf("waypoint-%d", i) }
func tunnelledName(i int) string { return fmt.Sprintf("tunnelled-%d", i) }

func named(ls []*listener.Listener, name string) *listener.Listener {
	for _, l := range ls {
		if l.Name == name {
			return l
		}
	}
	panic("istiod built no listener " + name)
}

func providerNames(subjects []Subject) (names []string, rootNamespace string) {
	for _, s := range subjects {
		rootNamespace = s.Case.Mesh.RootNamespace
		for _, p := range s.Case.Mesh.ExtensionProviders {
			if !slices.Contains(names, p) {
				names = append(names, p)
			}
		}
	}
	slices.Sort(names)
	return names, rootNamespace
}

func (j *Judge) askAll(subjects []Subject, srv *servers) error {
	next := make(chan int)
	errs := make(chan error, workers)
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			t := &tunnels{port: terminatePort, pki: j.PKI, conns: map[string]*http2.ClientConn{}}
			defer t.close()
			var failed error
			for i := range next {
				if failed == nil {
					failed = j.askCase(subjects[i], i, t, srv)
				}
			}
			if failed != nil {
				errs <- failed
			}
		})
	}
	for i := range subjects {
		next <- i
	}
	close(next)
	wg.Wait()
	close(errs)
	return <-errs
}

func (j *Judge) askCase(s Subject, i int, t *tunnels, srv *servers) error {
	n := len(s.Case.Requests)
	side, tun, way := make([]string, n), make([]string, n), make([]string, n)
	for at := range s.Case.Requests {
		r := &s.Case.Requests[at]
		var err error
		if side[at], err = j.sidecar(s, r, i, at, srv); err != nil {
			return fmt.Errorf("case %s, request %d, sidecar: %w: %+v", s.Case.ID, at, err, *r)
		}
		id := fmt.Sprintf("t-%d-%d", i, at)
		if tun[at], err = tunnelAnswer(r, fmt.Sprintf("%s:%d", r.DestinationIP, r.DestinationPort), tunnelledName(i), id, t, srv); err != nil {
			return fmt.Errorf("case %s, request %d, sidecar through a tunnel: %w: %+v", s.Case.ID, at, err, *r)
		}
		id = fmt.Sprintf("w-%d-%d", i, at)
		if way[at], err = tunnelAnswer(r, fmt.Sprintf("%s:%d", s.Case.Service.IP, r.ServicePort), internalName(i), id, t, srv); err != nil {
			return fmt.Errorf("case %s, request %d, waypoint: %w: %+v", s.Case.ID, at, err, *r)
		}
	}
	s.Case.Answers[corpus.Sidecar], s.Case.Answers[corpus.SidecarHBONE], s.Case.Answers[corpus.Waypoint] = side, tun, way
	return nil
}

func (j *Judge) sidecar(s Subject, r *corpus.Request, i, at int, srv *servers) (string, error) {
	l := named(s.World.Sidecar, model.VirtualInboundListenerName)
	if r.SourcePrincipal != "" && !hasTLS(l, r.DestinationPort) {
		return corpus.NotApplicable, nil // mTLS is off on this port: no peer can have an identity
	}
	conn, closed, err := toSidecar(r, firstSidecar+uint32(i), j.PKI)
	if err != nil {
		return "", err
	}
	if closed {
		return corpus.Deny, nil
	}
	defer conn.Close()
	local := conn.LocalAddr().String()
	if r.Protocol == "tcp" {
		ok, err := askTCP(conn, []byte(payload))
		return srv.answer(ok, local), err
	}
	id := fmt.Sprintf("s-%d-%d", i, at)
	status, err := askHTTP(conn, r, id)
	if err != nil {
		return "", err
	}
	return srv.httpAnswer(status, id)
}

// tunnelAnswer asks one internal listener.
func tunnelAnswer(r *corpus.Request, authority, internal, id string, t *tunnels, srv *servers) (string, error) {
	if r.SourcePrincipal == "" {
		return corpus.NotApplicable, nil // a tunnel has an identity
	}
	conn, local, err := t.open(r, authority, internal, r.Protocol == "tcp")
	if err != nil {
		return "", err
	}
	defer conn.Close()
	if r.Protocol == "tcp" {
		data := []byte(payload)
		if r.SNI != "" {
			data = helloBytes(r.SNI)
		}
		ok, err := askTCP(conn, data)
		return srv.answer(ok, local), err
	}
	status, err := askHTTP(conn, r, id)
	if err != nil {
		return "", err
	}
	return srv.httpAnswer(status, id)
}

// httpAnswer reads a status: 200 comes from the route, 400 from the codec, 401 and 403 from the filters, 0 is a closed
// connection.
func (s *servers) httpAnswer(status int, id string) (string, error) {
	switch status {
	case 400:
		return corpus.NotApplicable, nil // the HTTP codec refuses such a request before any policy
	case 200:
		return s.answer(true, id), nil
	case 0, 401, 403:
		return s.answer(false, id), nil
	}
	return "", fmt.Errorf("status %s is no answer", strconv.Itoa(status))
}

func (s *servers) answer(ok bool, key string) string {
	s.log.mu.Lock()
	defer s.log.mu.Unlock()
	out := corpus.Deny
	if ok {
		out = corpus.Allow
	}
	if by := s.log.by[key]; len(by) > 0 {
		var names []string
		for n := range by {
			names = append(names, n)
		}
		slices.Sort(names)
		out = "custom:" + strings.Join(names, "+") + ":" + out
	}
	return out
}
