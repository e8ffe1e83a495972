package plan

import (
	"strings"
	"testing"
)

func TestCallGraphsAreRead(t *testing.T) {
	for name, c := range map[string]struct {
		in   string
		want []Call
		err  string
	}{
		"a list": {
			in:   "calls:\n- from: {namespace: a, workload: x}\n  to: {namespace: b, workload: z}\n",
			want: []Call{{From: Peer{Namespace: "a", Workload: "x"}, To: Peer{Namespace: "b", Workload: "z"}}}},
		"an answer, without series that count nothing": {
			in: `{"status":"success","data":{"result":[
				{"metric":{"source_workload":"x","source_workload_namespace":"a","source_principal":"spiffe://td/ns/a/sa/x","destination_workload":"y","destination_workload_namespace":"b","destination_service_name":"svc"},"value":[1,"3"]},
				{"metric":{"source_workload":"z","source_workload_namespace":"a","destination_workload":"y","destination_workload_namespace":"b"},"value":[1,"0"]}]}}`,
			want: []Call{{From: Peer{Namespace: "a", Workload: "x", Principal: "td/ns/a/sa/x"}, To: Peer{Namespace: "b", Workload: "y"}, Service: "b/svc"}}},
		"a caller that metrics do not know is outside, and a call that no Service explains goes to the pods": {
			in:   `{"status":"success","data":{"result":[{"metric":{"source_workload":"unknown","destination_workload":"y","destination_workload_namespace":"b","destination_service_name":"InboundPassthroughCluster"},"values":[[1,"0"],[2,"NaN"]]}]}}`,
			want: []Call{{To: Peer{Namespace: "b", Workload: "y"}, PodIP: true}}},
		"an error of Prometheus":      {in: `{"status":"error","error":"too many samples"}`, err: "too many samples"},
		"series without destinations": {in: `{"status":"success","data":{"result":[{"metric":{"job":"x"},"value":[1,"1"]}]}}`, err: "sum by (source_workload"},
		"something else":              {in: "hello: world", err: "neither data"},
		"a field that is none":        {in: "calls:\n- form: {}\n  to: {namespace: b, workload: z}\n", err: "form"},
		"a call to nobody":            {in: "calls:\n- from: {}\n  to: {namespace: b}\n", err: "calls[0].to"},
		"a caller without namespace":  {in: "calls:\n- from: {workload: x}\n  to: {namespace: b, workload: z}\n", err: "has no namespace"},
	} {
		t.Run(name, func(t *testing.T) {
			g, err := ReadCalls([]byte(c.in), "file")
			if c.err != "" {
				if err == nil || !strings.Contains(err.Error(), c.err) || !strings.HasPrefix(err.Error(), "file: ") {
					t.Fatalf("error %v, want one with %q", err, c.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if len(g.Calls) != len(c.want) || len(c.want) > 0 && g.Calls[0] != c.want[0] {
				t.Errorf("got %+v, want %+v", g.Calls, c.want)
			}
		})
	}
}
