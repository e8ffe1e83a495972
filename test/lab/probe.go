package lab

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/sidestep-mesh/sidestep/test/lab/cluster"
)

// probeClient asks processes of this machine that were started a moment ago
// whether they are ready; their self-signed certificates are not checked for that.
var probeClient = &http.Client{
	Timeout:   2 * time.Second,
	Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}},
}

func httpOK(url string) func(context.Context) error {
	return func(ctx context.Context) error {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		response, err := probeClient.Do(request)
		if err != nil {
			return err
		}
		defer response.Body.Close()
		body, _ := io.ReadAll(io.LimitReader(response.Body, 300))
		if response.StatusCode != http.StatusOK {
			return fmt.Errorf("GET %s: %s: %s", url, response.Status, strings.TrimSpace(string(body)))
		}
		return nil
	}
}

func (s *supervisor) apiserverReady(ctx context.Context) error {
	client, err := cluster.Connect(s.state.DirectKubeconfig)
	if err != nil {
		return err
	}
	_, err = client.Kube.Discovery().RESTClient().Get().AbsPath("/readyz").DoRaw(ctx)
	return err
}
