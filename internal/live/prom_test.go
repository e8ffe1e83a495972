package live

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sidestep-mesh/sidestep/internal/metric"
)

func promParams() metric.Params {
	return metric.Params{Start: time.Unix(0, 0), End: time.Unix(0, 0).Add(14 * 24 * time.Hour)}
}

// promServer answers every query with body after build information of the given kind.
func promServer(t *testing.T, build, body string, status int, seen func(*http.Request)) *httptest.Server {
	t.Helper()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if seen != nil {
			seen(r)
		}
		w.Header().Set("Content-Type", "application/json")
		if strings.HasSuffix(r.URL.Path, "/status/buildinfo") {
			if build == "" {
				w.WriteHeader(http.StatusNotFound)
				return
			}
			_, _ = io.WriteString(w, `{"status":"success","data":`+build+`}`)
			return
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}))
	t.Cleanup(srv.Close)
	return srv
}

const (
	buildPrometheus = `{"version":"3.11.3","revision":"x"}`
	emptyVector     = `{"status":"success","data":{"resultType":"vector","result":[]}}`
)

func promCollect(t *testing.T, c PromConfig) metric.Dump {
	t.Helper()
	p, err := NewProm(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.CloseIdle)
	return p.Collect(context.Background(), promParams(), metric.All())
}

func TestPromBackendsAreTold(t *testing.T) {
	for name, c := range map[string]struct {
		build string
		want  Server
		err   string
	}{
		"Prometheus":                    {buildPrometheus, Server{Prometheus, "3.11.3"}, ""},
		"Thanos":                        {`{"version":"0.41.0","revision":"abc"}`, Server{Thanos, "0.41.0"}, ""},
		"Mimir":                         {`{"application":"Grafana Mimir","version":"2.17.0","revision":"abc"}`, Server{Mimir, "2.17.0"}, ""},
		"VictoriaMetrics":               {`{"version":"2.24.0"}`, Server{VictoriaMetrics, ""}, ""},
		"a server without the endpoint": {"", Server{OtherBackend, ""}, ""},
		"a Prometheus that is too old":  {`{"version":"2.11.1","revision":"abc"}`, Server{Prometheus, "2.11.1"}, "too old"},
	} {
		p, err := NewProm(PromConfig{URL: promServer(t, c.build, emptyVector, 200, nil).URL})
		if err != nil {
			t.Fatal(err)
		}
		got, err := p.Detect(context.Background())
		if got != c.want || (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
			t.Errorf("%s: %v, %v; want %v", name, got, err, c.want)
		}
	}
}

func TestPromFailuresAreOneLineThatSaysWhatToDo(t *testing.T) {
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	gone := "http://" + closed.Addr().String()
	if err := closed.Close(); err != nil {
		t.Fatal(err)
	}
	page := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = io.WriteString(w, "<html>log in</html>")
	}))
	t.Cleanup(page.Close)
	locked := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnauthorized) }))
	t.Cleanup(locked.Close)
	for name, c := range map[string]struct {
		url, want string
		server    bool // the whole server fails, rather than its queries
	}{
		"nobody listens":          {gone, "cannot be reached (connection refused)", true},
		"wrong credentials":       {locked.URL, "refuses the credentials (HTTP 401)", true},
		"a login page":            {page.URL, "web page", true},
		"too many samples":        {promServer(t, buildPrometheus, `{"status":"error","errorType":"execution","error":"query processing would load too many samples into memory in query execution"}`, 422, nil).URL, "shorter --window", false},
		"a query it cannot parse": {promServer(t, buildPrometheus, `{"status":"error","errorType":"bad_data","error":"unknown function"}`, 400, nil).URL, "does not understand", false},
	} {
		t.Run(name, func(t *testing.T) {
			d := promCollect(t, PromConfig{URL: c.url})
			why := d.Failed
			if !c.server {
				if d.Failed != "" {
					t.Fatalf("the server as a whole failed: %s", d.Failed)
				}
				why = d.Results[0].Failed
			}
			if !strings.Contains(why, c.want) || strings.Contains(why, "\n") {
				t.Errorf("%q, want one line with %q", why, c.want)
			}
			for _, m := range metric.All() {
				if r := d.Result(m.Name); r.Usable() || r.Why() == "" {
					t.Errorf("%s is usable, or does not say why not: %+v", m.Name, r)
				}
			}
		})
	}
}

func TestPromPartialAnswersAndOddValuesAreNotTakenForNumbers(t *testing.T) {
	partial := `{"status":"success","warnings":["store 10.0.0.7: deadline exceeded"],"data":{"resultType":"vector","result":[{"metric":{"source":"cAdvisor"},"value":[1,"5"]}]}}`
	d := promCollect(t, PromConfig{URL: promServer(t, buildPrometheus, partial, 200, nil).URL})
	if r := d.Result("presence"); r.Usable() || !strings.Contains(r.Why(), "deadline exceeded") {
		t.Errorf("a partial answer: usable %v, %s", r.Usable(), r.Why())
	}
	noted := strings.Replace(partial, `"warnings"`, `"infos"`, 1)
	d = promCollect(t, PromConfig{URL: promServer(t, buildPrometheus, noted, 200, nil).URL})
	if r := d.Result("presence"); !r.Usable() {
		t.Errorf("a note on the query is no partial answer: %s", r.Why())
	}
	odd := `{"status":"success","data":{"resultType":"vector","result":[{"metric":{"a":"1"},"value":[1,"NaN"]},{"metric":{"a":"2"},"value":[1,"+Inf"]},{"metric":{"a":"3"},"value":[1,"0"]}]}}`
	d = promCollect(t, PromConfig{URL: promServer(t, buildPrometheus, odd, 200, nil).URL})
	if r := d.Result("presence"); len(r.Series) != 1 || r.Dropped != 2 {
		t.Errorf("%d series, %d dropped; want the zero kept and two dropped", len(r.Series), r.Dropped)
	}
}

func TestPromAsksTwoAtATimeWithCredentialsAndTenant(t *testing.T) {
	var now, most, asked atomic.Int64
	var wrong atomic.Value
	srv := promServer(t, `{"version":"0.41.0","revision":"abc"}`, emptyVector, 200, func(r *http.Request) {
		n := now.Add(1)
		defer now.Add(-1)
		for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
		}
		if strings.HasSuffix(r.URL.Path, "buildinfo") {
			return
		}
		asked.Add(1)
		if r.Header.Get("Authorization") != "Bearer secret" || r.Header.Get("X-Scope-OrgID") != "team-a" || r.URL.Query().Get("partial_response") != "false" {
			wrong.Store(fmt.Sprint(r.Header, r.URL))
		}
	})
	promCollect(t, PromConfig{URL: srv.URL, Bearer: "secret", Tenant: "team-a"})
	if w := wrong.Load(); w != nil {
		t.Errorf("a query went out without credentials, tenant or Thanos' parameters: %v", w)
	}
	want := 0
	for _, m := range metric.All() {
		if !m.NeedsInstrument(metric.Params{}) { // the server knows no gateway
			want += max(1, m.Samples)
		}
	}
	if n := int(asked.Load()); n > metric.MaxQueries || n != want {
		t.Errorf("%d requests, want %d", n, want)
	}
	if m := most.Load(); m > 2 {
		t.Errorf("%d queries at once, at most 2", m)
	}
}

func TestPromRangesAreCutBelowTheServersLimit(t *testing.T) {
	var points []int64
	done := make(chan struct{}, 1)
	done <- struct{}{}
	srv := promServer(t, buildPrometheus, `{"status":"success","data":{"resultType":"matrix","result":[]}}`, 200, func(r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "query_range") {
			var start, end, step float64
			for name, v := range map[string]*float64{"start": &start, "end": &end, "step": &step} {
				if _, err := fmt.Sscan(r.FormValue(name), v); err != nil {
					t.Errorf("%s of a range query: %v", name, err)
				}
			}
			<-done
			points = append(points, int64((end-start)/step)+1)
			done <- struct{}{}
		}
	})
	p, err := NewProm(PromConfig{URL: srv.URL})
	if err != nil {
		t.Fatal(err)
	}
	m, _ := metric.Lookup("node_count")
	m.Step = time.Minute
	d := p.Collect(context.Background(), promParams(), []metric.Metric{m})
	if d.Results[0].Failed != "" {
		t.Fatal(d.Results[0].Failed)
	}
	total := int64(0)
	for _, n := range points {
		total += n
		if n > 11_000 {
			t.Errorf("%d points in one query", n)
		}
	}
	if want := int64(14 * 24 * 60); total != want || len(points) != 3 {
		t.Errorf("%d points in %d queries, want %d in 3 that do not overlap", total, len(points), want)
	}
}

func TestPromAddressesAndCredentialsAreChecked(t *testing.T) {
	for name, c := range map[string]PromConfig{
		"no scheme": {URL: "localhost:9090"}, "no host": {URL: "http://"}, "password in the address": {URL: "http://a:b@localhost"},
		"token and user": {URL: "http://localhost", Bearer: "x", User: "y"}, "a CA that is not there": {URL: "https://localhost", CAFile: "/nonexistent"},
		"half a client certificate": {URL: "https://localhost", CertFile: "/nonexistent"}, "a proxy without host": {URL: "http://localhost", Proxy: "nowhere"},
	} {
		if _, err := NewProm(c); err == nil {
			t.Errorf("%s was accepted", name)
		}
	}
}
