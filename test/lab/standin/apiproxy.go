package standin

// Stands in for: the network between a client and the API server, and for an API
// server under stress. It passes every request on, watches included, and can add
// latency, errors and cut connections, and, for clock.go, a wrong clock.
//
// Differs: it ends TLS, so client certificates do not pass (bearer tokens do);
// requests that upgrade the connection (exec, port-forward) are not supported,
// which no simulated pod could answer anyway.

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"
)

// APIFault is what the proxy does to requests that match.
type APIFault struct {
	Latency Duration `json:"latency"` // before the request is passed on
	// ErrorRate is the share of requests, 0 to 1, that are answered with ErrorCode instead.
	ErrorRate float64 `json:"errorRate"`
	ErrorCode int     `json:"errorCode"` // 503 when not given; 0 with Cut
	Cut       bool    `json:"cut"`       // cut the connection instead of answering
	// Resources narrow the fault (plural names such as "authorizationpolicies"). Empty: all.
	Resources []string `json:"resources"`
}

func (f APIFault) validate() error {
	if f.ErrorRate < 0 || f.ErrorRate > 1 {
		return fmt.Errorf("a share of requests is from 0 to 1, not %v", f.ErrorRate)
	}
	if f.ErrorCode != 0 && (f.ErrorCode < 400 || f.ErrorCode > 599) {
		return fmt.Errorf("an error's code is from 400 to 599, not %d", f.ErrorCode)
	}
	return nil
}

func (f APIFault) matches(r *http.Request) bool {
	if len(f.Resources) == 0 {
		return true
	}
	return slices.ContainsFunc(strings.Split(r.URL.Path, "/"), func(part string) bool { return slices.Contains(f.Resources, part) })
}

// Proxy is the fault proxy before one API server.
type Proxy struct {
	Addr, Upstream string // host:port, https URL
	// The lab's authority and the serving certificate, as PEM files.
	CAFile, CAKeyFile, CertFile, KeyFile string

	Control *Control
}

// Run serves until ctx ends.
func (p *Proxy) Run(ctx context.Context) error {
	upstream, err := url.Parse(p.Upstream)
	if err != nil {
		return err
	}
	ca, err := os.ReadFile(p.CAFile)
	if err != nil {
		return err
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(ca)
	forward := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(upstream)
			if p.Control.Faults().Clock.API != 0 {
				askForJSON(r.Out)
			}
		},
		FlushInterval: -1, // watch events pass at once
		Transport: &http.Transport{
			TLSClientConfig:     &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12},
			MaxIdleConnsPerHost: 64, ForceAttemptHTTP2: true, DisableCompression: true,
		},
		ModifyResponse: func(r *http.Response) error {
			if skew := time.Duration(p.Control.Faults().Clock.API); skew != 0 {
				return moveTimes(r, skew)
			}
			return nil
		},
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
			if !errors.Is(err, context.Canceled) {
				http.Error(w, "lab API proxy: "+err.Error(), http.StatusBadGateway)
			}
		},
		ErrorLog: log.New(os.Stderr, "apiproxy: ", log.LstdFlags),
	}
	certs := &certificates{}
	if certs.authority, err = tls.LoadX509KeyPair(p.CAFile, p.CAKeyFile); err != nil {
		return err
	}
	if certs.right, err = tls.LoadX509KeyPair(p.CertFile, p.KeyFile); err != nil {
		return err
	}
	server := &http.Server{
		TLSConfig: &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			return certs.serve(p.Control.Faults().Clock)
		}},
		ReadHeaderTimeout: 30 * time.Second,
		ErrorLog:          log.New(os.Stderr, "apiproxy: ", log.LstdFlags),
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if !p.hit(w, r) {
				forward.ServeHTTP(w, r)
			}
		}),
	}
	listener, err := net.Listen("tcp4", p.Addr)
	if err != nil {
		return fmt.Errorf("API proxy: %w", err)
	}
	go func() {
		<-ctx.Done()
		server.Close()
	}()
	if err := server.ServeTLS(listener, "", ""); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("API proxy: %w", err)
	}
	return nil
}

// hit applies the fault and says whether the request was answered by it.
func (p *Proxy) hit(w http.ResponseWriter, r *http.Request) bool {
	f := p.Control.Faults().API
	if !f.matches(r) {
		return false
	}
	if f.Latency > 0 {
		select {
		case <-time.After(time.Duration(f.Latency)):
		case <-r.Context().Done():
			return true
		}
	}
	if rand.Float64() >= f.ErrorRate {
		return false
	}
	if f.Cut {
		panic(http.ErrAbortHandler) // how net/http is told to cut the connection
	}
	code := f.ErrorCode
	if code == 0 {
		code = http.StatusServiceUnavailable
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	fmt.Fprintf(w, `{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"fault set in the lab","reason":"%s","code":%d}`,
		strings.ReplaceAll(http.StatusText(code), " ", ""), code)
	return true
}
