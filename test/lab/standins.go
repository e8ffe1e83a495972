package lab

import (
	"context"
	"errors"
	"net"
	"net/http"
	"time"

	"github.com/sidestep-mesh/sidestep/test/lab/cluster"
	"github.com/sidestep-mesh/sidestep/test/lab/standin"
)

// runStandIns is the process "stand-ins": the API proxy, istio-cni, kubelet faults, a GitOps tool, and the exporters.
func runStandIns(ctx context.Context, state *State) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	client, err := cluster.Connect(state.DirectKubeconfig)
	if err != nil {
		return err
	}
	control := standin.NewControl()
	world := standin.NewWorld(client)
	cni := &standin.CNI{World: world, Control: control}
	if err := cni.Prepare(); err != nil {
		return err
	}
	if err := world.Sync(ctx); err != nil {
		return err
	}
	proxy := &standin.Proxy{
		Addr: state.addr("apiproxy"), Upstream: state.APIServer, Control: control,
		CAFile: state.path("pki", "ca.crt"), CAKeyFile: state.path("pki", "ca.key"), CertFile: state.path("pki", "apiserver.crt"), KeyFile: state.path("pki", "apiserver.key"),
	}
	gitops := &standin.GitOps{World: world, Control: control}
	control.Before = gitops.Remember
	exporters := standin.NewExporters(world, control)
	mux := http.NewServeMux()
	mux.Handle("/faults", control)
	mux.Handle("/metrics", exporters)
	mux.HandleFunc("/rates", exporters.ServeRates)
	mux.HandleFunc("/ready", func(http.ResponseWriter, *http.Request) {})
	listener, err := net.Listen("tcp4", state.addr("metrics"))
	if err != nil {
		return err
	}
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	failed := make(chan error, 2)
	go func() { failed <- proxy.Run(ctx) }()
	go func() {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			failed <- err
		}
	}()
	go cni.Run(ctx)
	go (&standin.Kubelet{World: world, Control: control}).Run(ctx)
	go gitops.Run(ctx)
	go exporters.Run(ctx)
	select {
	case <-ctx.Done():
		server.Close()
		return nil
	case err := <-failed:
		return err
	}
}
