package authz_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"testing"

	"github.com/sidestep-mesh/sidestep/internal/authz"
	"github.com/sidestep-mesh/sidestep/internal/authz/policytest"
)

// corpusLine is one line of the corpus: policies, requests, and what the judges answered.
// testdata/corpus/README.md describes it.
type corpusLine struct {
	ID       string            `json:"id"`
	Policies []json.RawMessage `json:"policies"`
	Mesh     struct {
		RootNamespace      string   `json:"rootNamespace"`
		TrustDomain        string   `json:"trustDomain"`
		TrustDomainAliases []string `json:"trustDomainAliases"`
		ExtensionProviders []string `json:"extensionProviders"`
	} `json:"mesh"`
	Workload struct {
		Namespace      string            `json:"namespace"`
		Labels         map[string]string `json:"labels"`
		ServiceAccount string            `json:"serviceAccount"`
		IP             string            `json:"ip"`
	} `json:"workload"`
	Service struct {
		Name       string `json:"name"`
		Namespace  string `json:"namespace"`
		Port       uint16 `json:"port"`
		TargetPort uint16 `json:"targetPort"`
		IP         string `json:"ip"`
	} `json:"service"`
	Waypoint struct {
		Name      string `json:"name"`
		Namespace string `json:"namespace"`
	} `json:"waypoint"`
	GatewayClass string              `json:"gatewayClass"`
	Requests     []corpusRequest     `json:"requests"`
	Answers      map[string][]string `json:"answers"`
}

type corpusRequest struct {
	Protocol        string            `json:"protocol"`
	SourcePrincipal string            `json:"sourcePrincipal"`
	SourceIP        string            `json:"sourceIP"`
	RemoteIP        string            `json:"remoteIP"`
	DestinationIP   string            `json:"destinationIP"`
	DestinationPort uint16            `json:"destinationPort"`
	ServicePort     uint16            `json:"servicePort"`
	SNI             string            `json:"sni"`
	Method          string            `json:"method"`
	Path            string            `json:"path"`
	Host            string            `json:"host"`
	Headers         map[string]string `json:"headers"`
	JWT             json.RawMessage   `json:"jwt"`
	JWTState        string            `json:"jwtState"`
	JWTFrom         string            `json:"jwtFrom"`
}

// world is the policies and nothing else: points are asked one by one.
func (l *corpusLine) world() (*authz.World, error) {
	w := &authz.World{Config: authz.Config{
		RootNamespace: l.Mesh.RootNamespace, TrustDomain: l.Mesh.TrustDomain, TrustDomainAliases: l.Mesh.TrustDomainAliases,
		ExtensionProviders: []authz.ExtensionProvider{},
	}}
	for _, p := range l.Mesh.ExtensionProviders {
		w.Config.ExtensionProviders = append(w.Config.ExtensionProviders, authz.ExtensionProvider{Name: p, TCP: true})
	}
	for _, p := range l.Policies {
		if _, err := policytest.AddPolicy(&w.Policies, p); err != nil {
			return nil, err
		}
	}
	return w, nil
}

// request is a corpus request in this package's terms.
func (r *corpusRequest) request(l *corpusLine) (authz.Request, error) {
	out := authz.Request{
		From: authz.Caller{Principal: r.SourcePrincipal}, Protocol: authz.Protocol(r.Protocol),
		Method: r.Method, Path: r.Path, Host: r.Host, Headers: r.Headers, SNI: r.SNI,
		SourceIP: r.SourceIP, RemoteIP: r.RemoteIP, PodIP: r.DestinationIP, VIP: l.Service.IP,
	}
	if out.RemoteIP == "" || r.Protocol == "tcp" {
		out.RemoteIP = r.SourceIP
	}
	if r.SourcePrincipal == "" {
		out.SNI = ""
	}
	if len(r.JWT) > 0 && string(r.JWT) != "null" {
		tok, err := policytest.ParseToken(r.JWT)
		if err != nil {
			return out, err
		}
		tok.Valid = r.JWTState == ""
		tok.Place = r.JWTFrom
		out.JWT = tok
	}
	return out, nil
}

// question names a point of a line.
func (l *corpusLine) question(point string) *authz.PointQuestion {
	at := &authz.PointQuestion{
		Workload: authz.Workload{Ref: authz.Ref{Namespace: l.Workload.Namespace, Name: "workload"}, Labels: l.Workload.Labels,
			ServiceAccount: l.Workload.ServiceAccount, Role: authz.RoleApplication},
	}
	switch point {
	case "sidecar", "sidecar-hbone":
		at.Point = authz.PointServerSidecar
		at.Tunnel = point == "sidecar-hbone"
	case "ztunnel":
		at.Point = authz.PointZtunnel
	case "waypoint":
		at.Point = authz.PointWaypoint
		at.Waypoint = authz.Waypoint{Namespace: l.Waypoint.Namespace, Name: l.Waypoint.Name, Class: l.GatewayClass}
		at.Service = &authz.Service{Namespace: l.Service.Namespace, Name: l.Service.Name}
	}
	return at
}

// answer asks one point and says it in the corpus's words.
func (l *corpusLine) answer(ps *authz.Points, at *authz.PointQuestion, point string, r *corpusRequest) (string, error) {
	req, err := r.request(l)
	if err != nil {
		return "", err
	}
	at.Port = r.DestinationPort
	if point == "waypoint" {
		at.Port = r.ServicePort
	}
	ask := func(refused []string) authz.Hop {
		req.Refused = refused
		return ps.Ask(at, &req)
	}
	plain := ask(nil)
	decision := string(plain.Decision)
	for _, r := range plain.Reasons {
		if strings.HasPrefix(r.Why, "mTLS is STRICT") {
			return decision, nil // no filter chain, so nobody is consulted
		}
	}
	var consulted []string
	for _, p := range l.Mesh.ExtensionProviders {
		for _, reason := range ask([]string{p}).Reasons {
			if reason.Effect == authz.EffectDenied && strings.HasPrefix(reason.Why, "the external authorizer") {
				consulted = append(consulted, p)
				break
			}
		}
	}
	if len(consulted) > 0 {
		sort.Strings(consulted)
		return "custom:" + strings.Join(consulted, "+") + ":" + decision, nil
	}
	return decision, nil
}

// TestCorpus replays every recorded answer. The hand-checked lines are always there;
// those of the judges lie in a folder per Istio minor.
func TestCorpus(t *testing.T) {
	files, err := filepath.Glob("testdata/corpus/*/*.jsonl.gz")
	if err != nil {
		t.Fatal(err)
	}
	hand, err := filepath.Glob("testdata/hand/*.jsonl")
	if err != nil || len(hand) == 0 {
		t.Fatalf("the hand-checked corpus is gone: %v", err)
	}
	asked := map[string]int{}
	failures := 0
	kinds := map[string]int{}
	for _, f := range append(files, hand...) {
		err := eachLine(f, func(l *corpusLine) {
			w, err := l.world()
			if err != nil {
				t.Errorf("%s %s: %v", f, l.ID, err)
				return
			}
			ps := authz.NewPoints(w)
			for _, point := range []string{"sidecar", "sidecar-hbone", "ztunnel", "waypoint"} {
				at := l.question(point)
				for i, want := range l.Answers[point] {
					if want == "n/a" {
						continue
					}
					got, err := l.answer(ps, at, point, &l.Requests[i])
					if err != nil {
						t.Errorf("%s %s: %v", f, l.ID, err)
						continue
					}
					asked[point]++
					if got != want {
						kinds[fmt.Sprintf("%s: %s, ours %s", point, want, got)]++
						failures++
						if kinds[fmt.Sprintf("%s: %s, ours %s", point, want, got)] == 1 {
							b, _ := json.Marshal(l.Requests[i])
							t.Errorf("%s %s: %s answers %s, we answer %s\n request %s\n policies\n  %s", filepath.Base(f), l.ID, point, want, got, b, strings.Join(l.brief(), "\n  "))
						}
					}
				}
			}
		})
		if err != nil {
			t.Fatalf("%s: %v", f, err)
		}
	}
	total := 0
	for _, n := range asked {
		total += n
	}
	t.Logf("%d answers (%v), %d disagree", total, asked, failures)
	if failures > 0 {
		t.Errorf("%d of %d answers disagree: %v", failures, total, kinds)
	}
}

// brief gives the policies without what no reader needs.
func (l *corpusLine) brief() []string {
	var out []string
	for _, p := range l.Policies {
		var o struct {
			Kind     string
			Metadata struct {
				Name, Namespace string
				Annotations     map[string]string
			}
			Spec json.RawMessage
		}
		if err := json.Unmarshal(p, &o); err != nil {
			out = append(out, err.Error())
			continue
		}
		spec := string(o.Spec)
		if i := strings.Index(spec, `"jwks":`); i >= 0 {
			spec = spec[:i] + "..."
		}
		out = append(out, fmt.Sprintf("%s %s/%s %v %s", o.Kind, o.Metadata.Namespace, o.Metadata.Name, o.Metadata.Annotations, spec))
	}
	return out
}

func eachLine(file string, f func(*corpusLine)) error {
	r, err := os.Open(file)
	if err != nil {
		return err
	}
	defer func() { _ = r.Close() }() // only read
	var in io.Reader = r
	if strings.HasSuffix(file, ".gz") {
		if in, err = gzip.NewReader(r); err != nil {
			return err
		}
	}
	sc := bufio.NewScanner(in)
	sc.Buffer(nil, 16<<20)
	for n := 1; sc.Scan(); n++ {
		if len(bytes.TrimSpace(sc.Bytes())) == 0 {
			continue
		}
		var l corpusLine
		if err := json.Unmarshal(sc.Bytes(), &l); err != nil {
			return fmt.Errorf("line %d: %w", n, err)
		}
		f(&l)
	}
	return sc.Err()
}
