package promql

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/promql/promqltest"

	"github.com/sidestep-mesh/sidestep/internal/live"
	"github.com/sidestep-mesh/sidestep/internal/metric"
)

func collect(t *testing.T, script string) metric.Dump {
	t.Helper()
	srv := serve(t, promqltest.LoadedStorage(t, script), "3.11.3")
	p, err := live.NewProm(live.PromConfig{URL: srv.URL})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.CloseIdle)
	return p.Collect(context.Background(), params, metric.All())
}

func TestTheClientCollectsTheMatrixOverTheRealAPI(t *testing.T) {
	d := collect(t, matrix())
	if d.Failed != "" || d.Server != "prometheus 3.11.3" {
		t.Fatalf("%q from %q", d.Failed, d.Server)
	}
	for _, m := range metric.All() {
		r := d.Result(m.Name)
		if !r.Usable() {
			t.Errorf("%s: %s", m.Name, r.Why())
		}
		points := 0
		for _, s := range r.Series {
			points += len(s.Points)
			for _, p := range s.Points {
				if !metric.Finite(p.V) {
					t.Errorf("%s: %g was kept", m.Name, p.V)
				}
			}
		}
		if points == 0 {
			t.Errorf("%s: no points", m.Name)
		}
	}
	if n := d.Result("proxy_usage").Dropped; n != 2*6 {
		t.Errorf("%d values dropped, want the CPU and the memory of the one broken pod at each of six instants", n)
	}
	// What was recorded reads back the same.
	var b bytes.Buffer
	if err := d.Encode(&b); err != nil {
		t.Fatal(err)
	}
	again, err := metric.Decode(bytes.NewReader(b.Bytes()))
	if err != nil {
		t.Fatal(err)
	}
	x, _ := json.Marshal(d.Results)
	y, _ := json.Marshal(again.Results)
	if !bytes.Equal(x, y) {
		t.Error("the dump does not read back as it was recorded")
	}
}

func TestAnEmptyServerSaysSo(t *testing.T) {
	d := collect(t, "load 1m\n  up 1x120\n")
	for _, m := range metric.All() {
		if r := d.Result(m.Name); r.Usable() || !strings.HasPrefix(r.Why(), "no data: ") {
			t.Errorf("%s: usable %v, %q", m.Name, r.Usable(), r.Why())
		}
	}
}

func TestHalfTheExportersMissingIsToldByExporter(t *testing.T) {
	var kept []string
	for _, line := range strings.Split(matrix(), "\n") {
		if !strings.Contains(line, " container_") && !strings.Contains(line, " istio_") && !strings.Contains(line, " node_total") {
			kept = append(kept, line)
		}
	}
	d := collect(t, strings.Join(kept, "\n"))
	there := map[string]bool{}
	for _, s := range d.Result("presence").Series {
		there[s.Labels["source"]] = true
	}
	for source, want := range map[metric.Source]bool{metric.KubeStateMetrics: true, metric.Istiod: true, metric.CAdvisor: false,
		metric.IstioProxies: false, metric.Ztunnel: false, metric.OpenCost: false} {
		if there[string(source)] != want {
			t.Errorf("%s: there %v, want %v", source, there[string(source)], want)
		}
	}
	for name, want := range map[string]bool{"pod_role": true, "proxy_requests": true, "node_count": true, "proxy_usage": false, "edge_latency": false, "zone_bytes": false} {
		if d.Result(name).Usable() != want {
			t.Errorf("%s: usable %v, want %v", name, !want, want)
		}
	}
}

func TestDataThatHasStoppedIsNoticed(t *testing.T) {
	srv := serve(t, promqltest.LoadedStorage(t, matrix()), "3.11.3")
	p, err := live.NewProm(live.PromConfig{URL: srv.URL})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.CloseIdle)
	late := metric.Params{Start: params.End.Add(-2 * time.Hour), End: params.End.Add(10 * time.Hour)}
	d := p.Collect(context.Background(), late, metric.All())
	if d.Result("presence").Usable() {
		t.Error("nothing was scraped for ten hours, yet exporters count as present")
	}
	last := d.Result("node_count").Series[0].Points
	if at := time.Unix(last[len(last)-1].T, 0); !at.Before(params.End.Add(time.Hour)) {
		t.Errorf("the newest count is of %s", at)
	}
}
