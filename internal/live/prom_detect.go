package live

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// Backend is the kind of server behind the Prometheus API.
type Backend string

// Backends whose differences matter here. VictoriaMetrics does not extrapolate rate() and looks before the window, so its rates differ by up to
// a scrape interval in the window; Thanos answers in part unless told not to; Mimir and Cortex need a tenant.
const (
	Prometheus      Backend = "prometheus"
	Thanos          Backend = "thanos"
	Mimir           Backend = "mimir"
	VictoriaMetrics Backend = "victoriametrics"
	OtherBackend    Backend = "unknown"
)

// Server is what was found out about a server.
type Server struct {
	Backend Backend
	Version string
}

func (s Server) String() string { return strings.TrimSpace(string(s.Backend) + " " + s.Version) }

// Detect asks which server this is. A server without build information is tolerated as unknown; one that refuses or cannot be
// reached is an error in one line.
func (p *Prom) Detect(ctx context.Context) (Server, error) {
	ctx, cancel := context.WithTimeout(ctx, p.timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.client.URL("/api/v1/status/buildinfo", nil).String(), nil)
	if err != nil {
		return Server{}, err
	}
	resp, body, err := p.client.Do(ctx, req)
	if err != nil {
		why, _ := p.whyFailed(err)
		return Server{}, fmt.Errorf("prometheus: %s", why)
	}
	s := Server{Backend: OtherBackend}
	var info struct {
		Data struct {
			Application string `json:"application"`
			Version     string `json:"version"`
			Revision    string `json:"revision"`
			Branch      string `json:"branch"`
		} `json:"data"`
	}
	if resp.StatusCode == http.StatusOK && json.Unmarshal(body, &info) == nil {
		s = identify(info.Data.Application, info.Data.Version, info.Data.Revision)
	}
	if s.Backend == Thanos {
		// An answer in part must be an error, never a smaller number.
		p.transport.params = url.Values{"partial_response": {"false"}, "dedup": {"true"}}
	}
	if s.Backend == Prometheus && tooOld(s.Version) {
		return s, fmt.Errorf("prometheus %s is too old: the queries need 2.20 (June 2020) or later", s.Version)
	}
	return s, nil
}

// identify names the backend from its build information. VictoriaMetrics calls itself version 2.24.0 and nothing else; Thanos counts
// 0.x.
func identify(application, version, revision string) Server {
	app := strings.ToLower(application)
	switch {
	case strings.Contains(app, "mimir"), strings.Contains(app, "cortex"):
		return Server{Mimir, version}
	case strings.Contains(app, "thanos"), strings.HasPrefix(version, "0.") && revision != "":
		return Server{Thanos, version}
	case strings.Contains(app, "victoria"), version == "2.24.0" && revision == "":
		return Server{VictoriaMetrics, ""}
	case version != "":
		return Server{Prometheus, version}
	}
	return Server{Backend: OtherBackend}
}

// tooOld tells a Prometheus before 2.20, which lacks the group aggregation. A version that cannot be read is taken as new.
func tooOld(version string) bool {
	parts := strings.SplitN(strings.TrimPrefix(version, "v"), ".", 3)
	if len(parts) < 2 {
		return false
	}
	major, err1 := strconv.Atoi(parts[0])
	minor, err2 := strconv.Atoi(parts[1])
	if err1 != nil || err2 != nil {
		return false
	}
	return major < 2 || major == 2 && minor < 20
}
