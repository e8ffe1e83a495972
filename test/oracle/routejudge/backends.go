package routejudge

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/sidestep-mesh/sidestep/test/oracle/routecorpus"
)

const (
	idHeader    = "x-oracle-id"
	probeHeader = "x-oracle-probe"
	echoHeader  = "x-oracle-echo"
)

// backendPorts are those that pods and hosts outside listen on.
var backendPorts = []int{80, 81, 443, 3306, 8000, 8080, 8081, 8443, 9000}

// echo is what a backend saw.
type echo struct {
	IP, Path, Authority, Proto string
	Port                       int
	Seen                       []string
}

// backends answer at every address of the oracle's network namespace.
type backends struct {
	mu        sync.Mutex
	tries     map[string]int
	listeners []net.Listener
	server    *http.Server
}

func startBackends() (*backends, error) {
	b := &backends{tries: map[string]int{}}
	protocols := &http.Protocols{}
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	b.server = &http.Server{Handler: b, Protocols: protocols, ReadHeaderTimeout: time.Minute}
	for _, port := range backendPorts {
		l, err := net.Listen("tcp", fmt.Sprintf("0.0.0.0:%d", port))
		if err != nil {
			return nil, err
		}
		b.listeners = append(b.listeners, l)
		go func() { _ = b.server.Serve(l) }()
	}
	l, err := net.Listen("tcp", fmt.Sprintf("0.0.0.0:%d", markerPort))
	if err != nil {
		return nil, err
	}
	b.listeners = append(b.listeners, l)
	go serveMarkers(l)
	return b, nil
}

// serveMarkers tells connections which address they were made to.
func serveMarkers(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer c.Close()
			_ = c.SetDeadline(time.Now().Add(patience))
			first := make([]byte, 4096)
			if _, err := c.Read(first); err == nil {
				_, _ = fmt.Fprintf(c, "%s\n", c.LocalAddr().(*net.TCPAddr).IP)
				_, _ = io.Copy(io.Discard, c) // until the caller has read it: closing at once would reset the connection
			}
		}()
	}
}

func (b *backends) stop() {
	_ = b.server.Close()
	for _, l := range b.listeners {
		_ = l.Close()
	}
}

// ServeHTTP tells what was seen, or fails as the probe asks.
func (b *backends) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	local := r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr)
	if strings.Contains(r.Host, "-shadow") {
		return // a mirrored request
	}
	b.mu.Lock()
	b.tries[r.Header.Get(idHeader)]++
	b.mu.Unlock()
	switch r.Header.Get(probeHeader) {
	case routecorpus.Hangs:
		select {
		case <-r.Context().Done():
		case <-time.After(3 * time.Second):
		}
		return
	case routecorpus.Reset:
		panic(http.ErrAbortHandler)
	}
	e := echo{IP: local.IP.String(), Port: local.Port, Path: r.RequestURI, Authority: r.Host, Proto: r.Proto}
	for _, name := range routecorpus.Watched {
		if v := r.Header.Values(name); len(v) > 0 {
			e.Seen = append(e.Seen, name+": "+strings.Join(v, ","))
		}
	}
	text, err := json.Marshal(e)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set(echoHeader, string(text))
	w.Header().Set("x-from", "backend")
	w.Header().Set("x-secret", "one")
	if r.Header.Get(probeHeader) == routecorpus.Fails {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
}

func (b *backends) count(id string) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.tries[id]
}
