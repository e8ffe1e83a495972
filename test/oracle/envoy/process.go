package envoy

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	bootstrap "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	cluster "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpoint "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	listener "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	internallistener "github.com/envoyproxy/go-control-plane/envoy/extensions/bootstrap/internal_listener/v3"
	upstreamhttp "github.com/envoyproxy/go-control-plane/envoy/extensions/upstreams/http/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
)

// Process is a running Envoy.
type Process struct {
	cmd    *exec.Cmd
	dir    string
	stderr bytes.Buffer
	exited chan error
}

// Start writes the bootstrap as binary protobuf and runs Envoy on it until it is ready.
func Start(ctx context.Context, binary string, adminPort uint32, listeners []*listener.Listener, clusters []*cluster.Cluster) (*Process, error) {
	b := &bootstrap.Bootstrap{
		Node:  &core.Node{Id: "oracle", Cluster: "oracle"},
		Admin: &bootstrap.Admin{Address: loopback(adminPort)},
		StaticResources: &bootstrap.Bootstrap_StaticResources{
			Listeners: listeners, Clusters: clusters,
		},
		BootstrapExtensions: []*core.TypedExtensionConfig{{
			Name: "envoy.bootstrap.internal_listener", TypedConfig: mustAny(&internallistener.InternalListener{})}},
	}
	raw, err := proto.Marshal(b)
	if err != nil {
		return nil, err
	}
	p := &Process{exited: make(chan error, 1)}
	if p.dir, err = os.MkdirTemp("", "sidestep-oracle-"); err != nil {
		return nil, err
	}
	path := filepath.Join(p.dir, "bootstrap.pb")
	if err := os.WriteFile(path, raw, 0o600); err != nil {
		return nil, err
	}
	p.cmd = exec.CommandContext(ctx, binary, "--config-path", path, "--concurrency", "1",
		"--log-level", "warning", "--component-log-level", "misc:error", "--disable-hot-restart")
	p.cmd.Stderr = &p.stderr
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("envoy %s: %w", binary, err)
	}
	go func() { p.exited <- p.cmd.Wait() }()
	return p, p.waitReady(adminPort)
}

func (p *Process) waitReady(adminPort uint32) error {
	client := &http.Client{Timeout: time.Second}
	for deadline := time.Now().Add(180 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		select {
		case err := <-p.exited:
			p.exited <- err
			return fmt.Errorf("envoy ended before it was ready: %v\n%s", err, p.Tail())
		default:
		}
		resp, err := client.Get(fmt.Sprintf("http://127.0.0.1:%d/ready", adminPort))
		if err != nil {
			continue
		}
		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if resp.StatusCode == http.StatusOK && strings.HasPrefix(string(body), "LIVE") {
			return nil
		}
	}
	return fmt.Errorf("envoy was not ready after 180 seconds\n%s", p.Tail())
}

// Tail is the end of what Envoy said.
func (p *Process) Tail() string {
	s := p.stderr.String()
	return s[max(0, len(s)-4000):]
}

// Stop ends it.
func (p *Process) Stop() {
	if p.cmd.Process != nil {
		_ = p.cmd.Process.Kill()
		<-p.exited
	}
	_ = os.RemoveAll(p.dir)
}

func loopback(port uint32) *core.Address {
	return &core.Address{Address: &core.Address_SocketAddress{SocketAddress: &core.SocketAddress{
		Address: "127.0.0.1", PortSpecifier: &core.SocketAddress_PortValue{PortValue: port}}}}
}

// staticCluster leads to a server of this process.
func staticCluster(name string, port uint32, http2 bool) *cluster.Cluster {
	c := &cluster.Cluster{
		Name: name, ClusterDiscoveryType: &cluster.Cluster_Type{Type: cluster.Cluster_STATIC},
		LoadAssignment: &endpoint.ClusterLoadAssignment{ClusterName: name, Endpoints: []*endpoint.LocalityLbEndpoints{{
			LbEndpoints: []*endpoint.LbEndpoint{{HostIdentifier: &endpoint.LbEndpoint_Endpoint{
				Endpoint: &endpoint.Endpoint{Address: loopback(port)}}}}}}},
	}
	if http2 {
		c.TypedExtensionProtocolOptions = map[string]*anypb.Any{
			"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": mustAny(&upstreamhttp.HttpProtocolOptions{
				UpstreamProtocolOptions: &upstreamhttp.HttpProtocolOptions_ExplicitHttpConfig_{
					ExplicitHttpConfig: &upstreamhttp.HttpProtocolOptions_ExplicitHttpConfig{
						ProtocolConfig: &upstreamhttp.HttpProtocolOptions_ExplicitHttpConfig_Http2ProtocolOptions{
							Http2ProtocolOptions: &core.Http2ProtocolOptions{}}}}})}
	}
	return c
}
