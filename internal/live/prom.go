package live

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/prometheus/client_golang/api"
	promv1 "github.com/prometheus/client_golang/api/prometheus/v1"
)

// PromConfig says how to reach a server that speaks the Prometheus HTTP API: Prometheus itself, Thanos, Mimir, Cortex,
// VictoriaMetrics or a managed service.
type PromConfig struct {
	// URL is the base address, with the prefix the server needs (Mimir: /prometheus).
	URL string
	// At most one of Bearer token, BearerFile (read at every request, since projected tokens rotate) and basic auth is set.
	Bearer, BearerFile string
	User, Password     string
	// CAFile, CertFile and KeyFile are PEM files; the latter two for mutual TLS.
	CAFile, CertFile, KeyFile string
	Insecure                  bool
	// Tenant is sent as X-Scope-OrgID.
	Tenant string
	// Proxy overrides the proxy of the environment.
	Proxy string
	// Timeout bounds one query, on the server too. Zero means a minute.
	Timeout time.Duration
	// Concurrency is how many queries are under way at once. Zero means 2: the server has other users.
	Concurrency int
}

// Prom asks one server. Backend is known after Detect.
type Prom struct {
	api         promv1.API
	client      api.Client
	transport   *promTransport
	timeout     time.Duration
	concurrency int
	host        string
}

// NewProm prepares a client; it does not connect yet.
func NewProm(c PromConfig) (*Prom, error) {
	u, err := url.Parse(c.URL)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, fmt.Errorf("prometheus address %q: want http(s)://host[:port][/prefix]", c.URL)
	}
	if u.User != nil {
		return nil, errors.New("prometheus address: give user and password by their flags, not in the address, where logs would keep them")
	}
	ways := 0
	for _, set := range []bool{c.Bearer != "", c.BearerFile != "", c.User != ""} {
		if set {
			ways++
		}
	}
	if ways > 1 {
		return nil, errors.New("prometheus credentials: give a token, a token file or a user, not several")
	}
	base, err := baseTransport(c)
	if err != nil {
		return nil, err
	}
	t := &promTransport{next: base, config: c}
	client, err := api.NewClient(api.Config{Address: strings.TrimSuffix(c.URL, "/"), RoundTripper: t})
	if err != nil {
		return nil, fmt.Errorf("prometheus address %q: %w", c.URL, err)
	}
	p := &Prom{api: promv1.NewAPI(client), client: client, transport: t, timeout: c.Timeout, concurrency: c.Concurrency, host: u.Host}
	if p.timeout <= 0 {
		p.timeout = time.Minute
	}
	if p.concurrency <= 0 {
		p.concurrency = 2
	}
	return p, nil
}

func baseTransport(c PromConfig) (*http.Transport, error) {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.MaxIdleConnsPerHost = 4
	t.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: c.Insecure} //nolint:gosec // the user's own flag
	if c.CAFile != "" {
		pem, err := os.ReadFile(c.CAFile)
		if err != nil {
			return nil, fmt.Errorf("prometheus CA: %w", err)
		}
		pool := x509.NewCertPool()
		if !pool.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("prometheus CA: %s holds no PEM certificate", c.CAFile)
		}
		t.TLSClientConfig.RootCAs = pool
	}
	if c.CertFile != "" || c.KeyFile != "" {
		cert, err := tls.LoadX509KeyPair(c.CertFile, c.KeyFile)
		if err != nil {
			return nil, fmt.Errorf("prometheus client certificate: %w", err)
		}
		t.TLSClientConfig.Certificates = []tls.Certificate{cert}
	}
	if c.Proxy != "" {
		u, err := url.Parse(c.Proxy)
		if err != nil || u.Host == "" {
			return nil, fmt.Errorf("prometheus proxy %q: want scheme://host:port", c.Proxy)
		}
		t.Proxy = http.ProxyURL(u)
	}
	return t, nil
}

// maxAnswer bounds one answer; the catalogue's largest is a few megabytes at 10,000 pods.
const maxAnswer = 64 << 20

// promTransport adds credentials, tenant and backend parameters, and turns refusals into typed errors.
type promTransport struct {
	next   http.RoundTripper
	config PromConfig
	// params are added to every query once the backend is known.
	params url.Values
}

// RoundTrip implements http.RoundTripper.
func (t *promTransport) RoundTrip(in *http.Request) (*http.Response, error) {
	req := in.Clone(in.Context())
	token := t.config.Bearer
	if t.config.BearerFile != "" {
		raw, err := os.ReadFile(t.config.BearerFile)
		if err != nil {
			return nil, fmt.Errorf("prometheus token file: %w", err)
		}
		token = strings.TrimSpace(string(raw))
	}
	switch {
	case token != "":
		req.Header.Set("Authorization", "Bearer "+token)
	case t.config.User != "":
		req.SetBasicAuth(t.config.User, t.config.Password)
	}
	if t.config.Tenant != "" {
		req.Header.Set("X-Scope-OrgID", t.config.Tenant)
	}
	if len(t.params) > 0 {
		q := req.URL.Query()
		for k, v := range t.params {
			q[k] = v
		}
		req.URL.RawQuery = q.Encode()
	}
	resp, err := t.next.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	switch resp.StatusCode {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusProxyAuthRequired:
		resp.Body.Close()
		return nil, &refusedError{resp.StatusCode}
	}
	if kind := resp.Header.Get("Content-Type"); strings.HasPrefix(kind, "text/html") {
		resp.Body.Close()
		return nil, &notPrometheusError{resp.StatusCode}
	}
	resp.Body = http.MaxBytesReader(nil, resp.Body, maxAnswer)
	return resp, nil
}

// CloseIdle closes connections that wait for the next query.
func (p *Prom) CloseIdle() {
	if t, ok := p.transport.next.(*http.Transport); ok {
		t.CloseIdleConnections()
	}
}
