package standin

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
)

func TestOnlyTheServersOwnTimesMove(t *testing.T) {
	answer := func(query, contentType, body string) string {
		t.Helper()
		r := &http.Response{
			Header:  http.Header{"Content-Type": {contentType}},
			Body:    io.NopCloser(strings.NewReader(body)),
			Request: httptest.NewRequest(http.MethodGet, "/api/v1/pods"+query, nil),
		}
		if err := moveTimes(r, time.Hour); err != nil {
			t.Fatal(err)
		}
		said, err := http.ParseTime(r.Header.Get("Date"))
		if err != nil || time.Until(said) < 50*time.Minute {
			t.Errorf("the Date is %s", r.Header.Get("Date"))
		}
		moved, err := io.ReadAll(r.Body)
		if err != nil {
			t.Fatal(err)
		}
		return string(moved)
	}
	const times = `{"metadata":{"creationTimestamp":"2026-03-01T23:30:00Z","managedFields":[{"time":"2026-03-01T23:30:00Z"}]},` +
		`"status":{"conditions":[{"lastTransitionTime":"2026-03-01T23:30:00Z"}],"text":"at 2026-03-01T23:30:00Z"}}`
	const moved = `{"metadata":{"creationTimestamp":"2026-03-02T00:30:00Z","managedFields":[{"time":"2026-03-02T00:30:00Z"}]},` +
		`"status":{"conditions":[{"lastTransitionTime":"2026-03-01T23:30:00Z"}],"text":"at 2026-03-01T23:30:00Z"}}`
	for name, c := range map[string]struct{ query, contentType, body, want string }{
		"a list":                         {"", "application/json", times, moved},
		"a watch stays true":             {"?watch=true", "application/json", times, times},
		"what is not JSON stays":         {"", "application/vnd.kubernetes.protobuf", times, times},
		"a time that is none stays":      {"", "application/json", `{"time":"2026-13-77T00:00:00Z"}`, `{"time":"2026-13-77T00:00:00Z"}`},
		"a missing time (null) stays so": {"", "application/json", `{"creationTimestamp":null}`, `{"creationTimestamp":null}`},
	} {
		t.Run(name, func(t *testing.T) {
			if have := answer(c.query, c.contentType, c.body); have != c.want {
				t.Errorf("have %s\nwant %s", have, c.want)
			}
		})
	}
}

func TestSamplesOfCadvisorBearTheTimeOfTheirNode(t *testing.T) {
	x := &exposition{
		now: time.Unix(1000, 0), elapsed: 1, model: published, counters: map[string]*counter{}, round: 1,
		mesh:  &mesh{pods: []*podView{view("client", "sidecar"), view("server", "sidecar")}, nodes: []*corev1.Node{}},
		clock: ClockFault{Node: Duration(5 * time.Minute), Nodes: []string{"n-client"}},
	}
	x.all()
	ahead, others := 0, 0
	for _, line := range strings.Split(string(x.text()), "\n") {
		stamped := strings.HasSuffix(line, " 1300000")
		switch {
		case strings.HasPrefix(line, "container_") && strings.Contains(line, `node="n-client"`):
			ahead++
			if !stamped {
				t.Errorf("not ahead: %s", line)
			}
		case line != "":
			others++
			if stamped {
				t.Errorf("ahead: %s", line)
			}
		}
	}
	if ahead == 0 || others == 0 {
		t.Errorf("%d series of the node that is ahead, %d others", ahead, others)
	}
}

func TestFaultsThatDoNotExistAreRefused(t *testing.T) {
	for name, body := range map[string]string{
		"a way in which a certificate is not wrong": `{"clock":{"certificate":"revoked"}}`,
		"a way in which istio-cni does not fail":    `{"cni":{"fail":"sometimes"}}`,
		"a model that is none":                      `{"metrics":{"model":"great"}}`,
		"an exporter that is none":                  `{"metrics":{"missing":["zipkin"]}}`,
		"a share above 1":                           `{"api":{"errorRate":2}}`,
		"a code of success":                         `{"api":{"errorRate":1,"errorCode":200}}`,
		"a field that is none":                      `{"weather":{}}`,
	} {
		t.Run(name, func(t *testing.T) {
			w := httptest.NewRecorder()
			control := NewControl()
			control.ServeHTTP(w, httptest.NewRequest(http.MethodPut, "/faults", strings.NewReader(body)))
			if w.Code != http.StatusBadRequest {
				t.Errorf("status %d: %s", w.Code, w.Body)
			}
		})
	}
}
