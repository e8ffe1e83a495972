package route_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/sidestep-mesh/sidestep/internal/mesh"
	"github.com/sidestep-mesh/sidestep/internal/meshtest"
	"github.com/sidestep-mesh/sidestep/internal/route"
)

var corpusFile = flag.String("corpus", "testdata/corpus/istio-1.31.jsonl.gz", "corpus that TestCorpus replays")
var corpusShown = flag.Int("shown", 0, "how many disagreements of each point TestCorpus shows")

// corpusCase is a line of the corpus; testdata/corpus/README.md describes it.
type corpusCase struct {
	ID      string            `json:"id"`
	Objects []json.RawMessage `json:"objects"`
	Calls   []corpusCall      `json:"calls"`
}

type corpusCall struct {
	Point, By, To, Protocol, Method, Path, Authority, SNI, Probe string
	Port                                                         uint32
	Headers                                                      map[string]string
	Answer                                                       corpusAnswer
}

type corpusAnswer struct {
	Status, Chosen, Tries                                                int
	Location, Body, Path, Authority, Timeout, Retries, Fault, CORS, Hash string
	To                                                                   []corpusShare
	Seen, Back, Mirrors                                                  []string
	HTTP2                                                                bool
}

type corpusShare struct {
	To     string
	Weight uint32
	Policy map[string]string
}

func readCorpus(t testing.TB, path string) []corpusCase {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	zr, err := gzip.NewReader(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	var out []corpusCase
	for dec := json.NewDecoder(bufio.NewReaderSize(zr, 1<<20)); ; {
		var c corpusCase
		if err := dec.Decode(&c); errors.Is(err, io.EOF) {
			return out
		} else if err != nil {
			t.Fatal(err)
		}
		out = append(out, c)
	}
}

// TestCorpus holds the evaluators against what istiod's configuration and a stock Envoy made of the same calls.
func TestCorpus(t *testing.T) {
	base, err := os.ReadFile("testdata/corpus/base.yaml")
	if err != nil {
		t.Fatal(err)
	}
	calls, wrong := map[string]int{}, map[string]int{}
	for _, c := range readCorpus(t, *corpusFile) {
		var text strings.Builder
		text.Write(base)
		for _, o := range c.Objects {
			text.WriteString("---\n" + string(o) + "\n")
		}
		m := mesh.Build(meshtest.Load(t, text.String()), mesh.Assume{})
		w := mesh.RouteWorld(m)
		for i := range c.Calls {
			call := &c.Calls[i]
			calls[call.Point]++
			model, ok := call.ask(t, &w)
			if !ok {
				t.Fatalf("case %s, call %d: the model does not know %s:%d", c.ID, i, call.To, call.Port)
			}
			if diff := differences(call.judged(), model); len(diff) > 0 {
				for _, d := range diff {
					field, _, _ := strings.Cut(d, ":")
					wrong[call.Point+" "+field]++
				}
				if wrong[call.Point]++; wrong[call.Point] <= *corpusShown {
					t.Logf("case %s, call %d: %s %s calls %s:%d %s %s %s%s %v %s\n  %s", c.ID, i, call.Point, call.By, call.To, call.Port, call.Protocol, call.Method,
						call.Authority, call.Path, call.Headers, call.Probe, strings.Join(diff, "\n  "))
				}
			}
		}
	}
	for _, k := range slices.Sorted(maps.Keys(calls)) {
		t.Logf("%s: %d calls, %d answered otherwise", k, calls[k], wrong[k])
		delete(wrong, k)
	}
	for _, k := range slices.Sorted(maps.Keys(wrong)) {
		if wrong[k] > openDisagreements[k] {
			t.Errorf("%s: %d answers differ from the judges', %d are known to: run with -args -shown 50", k, wrong[k], openDisagreements[k])
		}
	}
	for _, k := range slices.Sorted(maps.Keys(openDisagreements)) {
		if wrong[k] < openDisagreements[k] {
			t.Errorf("%s: %d answers differ from the judges', fewer than the %d that are known: write the lower number", k, wrong[k], openDisagreements[k])
		}
	}
}

// openDisagreements counts the answers, by point and part, in which model and judges still differ; docs/semantics.md says what they
// are. The numbers may only fall.
var openDisagreements = map[string]int{
	"sidecar authority":  38,
	"sidecar back":       33,
	"sidecar body":       5,
	"sidecar hash":       19,
	"sidecar http2":      31,
	"sidecar location":   12,
	"sidecar mirrors":    5,
	"sidecar path":       31,
	"sidecar policy":     319,
	"sidecar retries":    6,
	"sidecar seen":       31,
	"sidecar status":     66,
	"sidecar timeout":    3,
	"sidecar to":         243,
	"sidecar tries":      31,
	"waypoint authority": 61,
	"waypoint back":      58,
	"waypoint hash":      53,
	"waypoint http2":     58,
	"waypoint mirrors":   16,
	"waypoint path":      58,
	"waypoint policy":    227,
	"waypoint retries":   50,
	"waypoint seen":      58,
	"waypoint status":    62,
	"waypoint timeout":   26,
	"waypoint to":        135,
	"waypoint tries":     28,
}

func differences(judged, model map[string]string) []string {
	var out []string
	for _, k := range slices.Sorted(maps.Keys(judged)) {
		if judged[k] != model[k] {
			out = append(out, fmt.Sprintf("%s: the judges say %q, the model %q", k, judged[k], model[k]))
		}
	}
	for _, k := range slices.Sorted(maps.Keys(model)) {
		if _, ok := judged[k]; !ok {
			out = append(out, fmt.Sprintf("%s: the judges say nothing, the model %q", k, model[k]))
		}
	}
	return out
}

// behindAddress is what stands behind the addresses of Services, where a proxy passes calls on to the address they were made to.
var behindAddress = map[string]string{
	"web.a.svc.cluster.local:80": "a/web-v1,a/web-v2:8080", "web.a.svc.cluster.local:81": "a/web-v1,a/web-v2:8081",
	"web.a.svc.cluster.local:3306": "a/web-v1,a/web-v2:3306", "web.a.svc.cluster.local:443": "a/web-v1,a/web-v2:8443",
	"web.a.svc.cluster.local:8000": "a/web-v1,a/web-v2:8000", "api.b.svc.cluster.local:80": "b/api-v1,b/api-v2:8080",
	"api.b.svc.cluster.local:9000": "b/api-v1,b/api-v2:9000", "api.b.svc.cluster.local:3306": "b/api-v1,b/api-v2:3306",
	"api.b.svc.cluster.local:443": "b/api-v1,b/api-v2:8443", "outside.example.com:80": "name outside.example.com:80", "outside.example.com:443": "name outside.example.com:443",
}

// judged writes an answer of the judges, part by part.
func (c *corpusCall) judged() map[string]string {
	a := &c.Answer
	out := parts{}
	var to, policy []share
	for _, s := range a.To {
		if pods, ok := behindAddress[fmt.Sprintf("%s:%d", c.To, c.Port)]; ok && s.To == "original destination" {
			s.To = pods // the address of the Service
		}
		to = append(to, share{s.To, s.Weight})
		if s.Policy["tls"] == "ISTIO_MUTUAL" && strings.Contains(s.To, "/") {
			delete(s.Policy, "tls") // what happens anyway inside of the mesh
		}
		delete(s.Policy, "balance") // read with the hash
		if s.To != "" && s.To != "original destination" {
			policy = append(policy, share{s.To + " " + mapText(s.Policy), s.Weight})
		}
	}
	out.put("to", spreadText(to))
	out.put("policy", spreadText(policy))
	if c.Protocol != "http" {
		if len(to) == 0 {
			out.put("to", "1 of no cluster")
		}
		return out
	}
	out.put("status", fmt.Sprint(a.Status))
	if c.Probe != "" {
		out.put("tries", fmt.Sprint(a.Tries))
	}
	switch {
	case a.Status == 0: // the caller gave up: which route it was, nobody says
		delete(out, "to")
		return out
	case out["to"] == "1 of no cluster":
		return out
	}
	out.put("timeout", a.Timeout)
	out.put("retries", a.Retries)
	out.put("mirrors", strings.Join(a.Mirrors, "; "))
	out.put("fault", a.Fault)
	out.put("cors", a.CORS)
	out.put("hash", a.Hash)
	out.put("location", a.Location)
	if len(a.To) == 0 {
		out.put("body", a.Body)
	}
	if a.Seen != nil { // a backend answered
		out.put("path", orWord(a.Path, c.Path))
		out.put("authority", orWord(a.Authority, c.Authority))
		out.put("seen", strings.Join(a.Seen, "; "))
		out.put("back", strings.Join(a.Back, "; "))
		out.put("http2", fmt.Sprint(a.HTTP2))
	}
	return out
}

type parts map[string]string

func (p parts) put(name, value string) {
	if value != "" {
		p[name] = value
	}
}

func (p parts) with(name, value string) parts {
	p.put(name, value)
	return p
}

func orWord(s, other string) string {
	if s != "" {
		return s
	}
	return other
}

type share struct {
	to     string
	weight uint32
}

// spreadText adds up the weights of one thing, in lowest terms.
func spreadText(list []share) string {
	sums := map[string]uint32{}
	var common uint32
	for _, s := range list {
		to := s.to
		if to == "" {
			to = "no cluster"
		}
		sums[to] += s.weight
	}
	for _, n := range sums {
		for b := n; b != 0; {
			common, b = b, common%b
		}
	}
	var out []string
	for _, to := range slices.Sorted(maps.Keys(sums)) {
		out = append(out, fmt.Sprintf("%d of %s", sums[to]/common, to))
	}
	return strings.Join(out, " + ")
}

func mapText(m map[string]string) string {
	var out []string
	for _, k := range slices.Sorted(maps.Keys(m)) {
		out = append(out, k+"="+m[k])
	}
	return strings.Join(out, ",")
}

// ask puts the call to the model.
func (c *corpusCall) ask(t testing.TB, w *route.World) (map[string]string, bool) {
	t.Helper()
	ns, name, _ := strings.Cut(c.By, "/")
	var x route.Workload
	for i := range w.Workloads {
		if r := w.Workloads[i].Ref; r.Namespace == ns && (r.Name == name || c.Point == "waypoint") {
			x = w.Workloads[i]
		}
	}
	if c.Point == "waypoint" {
		x.Mode = route.Ambient
	}
	r := route.Request{Speech: route.Speech(c.Protocol), Method: c.Method, Authority: c.Authority, SNI: c.SNI, Headers: map[string]string{}, Query: map[string]string{}}
	var query string
	r.Path, query, _ = strings.Cut(c.Path, "?")
	for _, q := range strings.Split(query, "&") {
		if name, value, _ := strings.Cut(q, "="); name != "" {
			r.Query[name] = value
		}
	}
	maps.Copy(r.Headers, c.Headers)
	for i := range w.Services {
		s := &w.Services[i]
		if !slices.Contains(s.Hosts, c.To) {
			continue
		}
		for _, p := range s.Ports {
			if p.Number == c.Port {
				table := w.Table(&x, s, c.To, p, r.Speech)
				var a *route.Action
				if n := table.Route(&r); n >= 0 {
					a = table.Rules[n].Action
				}
				return c.answer(t, a, &r), true
			}
		}
	}
	return nil, false
}

// answer writes what the model says, as judged does.
func (c *corpusCall) answer(t testing.TB, a *route.Action, r *route.Request) map[string]string {
	t.Helper()
	if a == nil {
		a = &route.Action{Kind: route.Refuse, Status: http.StatusNotFound}
	}
	out := parts{}
	var to, policy []share
	for _, d := range a.Destinations {
		name := behind(d)
		to = append(to, share{name, d.Weight})
		if name != "" && name != "original destination" {
			policy = append(policy, share{name + " " + mapText(policyParts(t, d.Policy)), d.Weight})
		}
	}
	out.put("to", spreadText(to))
	out.put("policy", spreadText(policy))
	if c.Protocol != "http" {
		if len(to) == 0 {
			out.put("to", "1 of no cluster")
		}
		return out
	}
	out.put("location", a.Location(r, c.Path))
	out.put("cors", corsText(t, a.CORS))
	fault, abort := faultText(t, a.Fault)
	out.put("fault", fault)
	switch {
	case abort != 0:
		out.put("status", fmt.Sprint(abort))
	case a.Kind != route.Forward:
		out.put("status", fmt.Sprint(a.Status))
	}
	if a.Kind == route.Respond {
		out.put("body", a.Text)
	}
	if a.Kind != route.Forward {
		if c.Probe != "" {
			out.put("tries", "0")
		}
		if a.Kind == route.Refuse && a.Status != http.StatusNotFound && a.Status != http.StatusBadGateway {
			return parts{"to": "1 of no cluster", "status": fmt.Sprint(a.Status)}.with("tries", out["tries"])
		}
		return out
	}
	c.forwarded(t, out, a, abort)
	if c.Answer.Status == 0 && out["status"] == "0" {
		return parts{"status": "0"}.with("tries", out["tries"])
	}
	return out
}
