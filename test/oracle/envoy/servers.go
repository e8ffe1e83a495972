package envoy

import (
	"context"
	"io"
	"net"
	"strconv"
	"sync"

	auth "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	rpcstatus "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
)

// consulted remembers which requests asked which ext-authz provider. A request is known by its id header (HTTP) or by the
// address of its connection (TCP).
type consulted struct {
	mu sync.Mutex
	by map[string]map[string]bool
}

func (c *consulted) add(key, provider string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.by[key] == nil {
		c.by[key] = map[string]bool{}
	}
	c.by[key][provider] = true
}

// provider is an ext-authz server that always says yes.
type provider struct {
	auth.UnimplementedAuthorizationServer
	name string
	log  *consulted
}

// Check implements the ext-authz service.
func (p *provider) Check(_ context.Context, r *auth.CheckRequest) (*auth.CheckResponse, error) {
	a := r.GetAttributes()
	if id := a.GetRequest().GetHttp().GetHeaders()[idHeader]; id != "" {
		p.log.add(id, p.name)
	} else {
		s := a.GetSource().GetAddress().GetSocketAddress()
		p.log.add(net.JoinHostPort(s.GetAddress(), strconv.Itoa(int(s.GetPortValue()))), p.name)
	}
	return &auth.CheckResponse{
		Status:       &rpcstatus.Status{},
		HttpResponse: &auth.CheckResponse_OkResponse{OkResponse: &auth.OkHttpResponse{}},
	}, nil
}

// servers are the parts behind Envoy: an echo server and the ext-authz providers.
type servers struct {
	echo      net.Listener
	providers map[string]net.Listener
	grpc      []*grpc.Server
	log       *consulted
}

func startServers(names []string) (*servers, error) {
	s := &servers{providers: map[string]net.Listener{}, log: &consulted{by: map[string]map[string]bool{}}}
	var err error
	if s.echo, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		return nil, err
	}
	go func() {
		for {
			c, err := s.echo.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				_, _ = io.Copy(c, c)
			}()
		}
	}()
	for _, name := range names {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			s.stop()
			return nil, err
		}
		g := grpc.NewServer()
		auth.RegisterAuthorizationServer(g, &provider{name: name, log: s.log})
		s.providers[name], s.grpc = l, append(s.grpc, g)
		go func() { _ = g.Serve(l) }()
	}
	return s, nil
}

func (s *servers) stop() {
	_ = s.echo.Close()
	for _, g := range s.grpc {
		g.Stop()
	}
}

func portOf(l net.Listener) uint32 { return uint32(l.Addr().(*net.TCPAddr).Port) }
