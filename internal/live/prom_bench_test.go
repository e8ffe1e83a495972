package live

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/sidestep-mesh/sidestep/internal/metric"
)

// What a collection costs on this side at 10,000 pods: answers of the size that Prometheus gives, without Prometheus.
func BenchmarkCollect10kPods(b *testing.B) {
	var vector, matrix bytes.Buffer
	vector.WriteString(`{"status":"success","data":{"resultType":"vector","result":[`)
	for i := range 20_000 {
		fmt.Fprintf(&vector, `%s{"metric":{"namespace":"ns-%03d","pod":"web-%02d-5f7d-%05d","resource":"%s"},"value":[1790000000,"%g"]}`,
			comma(i), i/2/100, i/2%20, i/2, []string{"cpu", "memory"}[i%2], float64(i)/7)
	}
	vector.WriteString(`]}}`)
	matrix.WriteString(`{"status":"success","data":{"resultType":"matrix","result":[`)
	for i := range 2_000 {
		fmt.Fprintf(&matrix, `%s{"metric":{"namespace":"ns-%03d","le":"%d"},"values":[`, comma(i), i/20, i%20)
		for h := range 168 {
			fmt.Fprintf(&matrix, `%s[%d,"%g"]`, comma(h), 1790000000+h*3600, float64(i%20*(h+1))/13)
		}
		matrix.WriteString(`]}`)
	}
	matrix.WriteString(`]}}`)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		answer := []byte(emptyVector)
		switch query := r.FormValue("query"); {
		case strings.HasSuffix(r.URL.Path, "buildinfo"):
			answer = []byte(buildPrometheus)
		case strings.Contains(query, "_bucket") && strings.HasSuffix(r.URL.Path, "range"):
			answer = matrix.Bytes()
		case strings.HasSuffix(r.URL.Path, "range"):
			answer = []byte(`{"status":"success","data":{"resultType":"matrix","result":[]}}`)
		case strings.Contains(query, "container_memory_working_set_bytes{container=~"):
			answer = vector.Bytes()
		}
		_, _ = w.Write(answer)
	}))
	defer srv.Close()
	p, err := NewProm(PromConfig{URL: srv.URL})
	if err != nil {
		b.Fatal(err)
	}
	defer p.CloseIdle()
	end := time.Unix(1_790_000_000, 0)
	b.ReportAllocs()
	for b.Loop() {
		d := p.Collect(context.Background(), metric.Params{Start: end.AddDate(0, 0, -14), End: end}, metric.All())
		if r := d.Result("proxy_usage"); len(r.Series) != 20_000 || len(r.Series[0].Points) != 6 {
			b.Fatalf("%d series: %s", len(r.Series), r.Why())
		}
	}
}

func comma(i int) string {
	if i == 0 {
		return ""
	}
	return ","
}
