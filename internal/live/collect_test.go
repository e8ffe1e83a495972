package live_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/sidestep-mesh/sidestep/internal/live"
	"github.com/sidestep-mesh/sidestep/internal/snapshot"
	"github.com/sidestep-mesh/sidestep/internal/snapshot/manifest"
	"github.com/sidestep-mesh/sidestep/internal/snapshot/redact"
	securityv1 "istio.io/client-go/pkg/apis/security/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

var (
	podKind    = snapshot.Kind{Kind: "Pod"}
	policyKind = snapshot.Kind{Group: "security.istio.io", Kind: "AuthorizationPolicy"}
)

func collect(t *testing.T, a *apiServer, opts live.Options) *snapshot.Snapshot {
	t.Helper()
	s, err := live.Collect(context.Background(), a.cluster(), opts)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestCollectReadsAllPagesOfEveryKind(t *testing.T) {
	a := serve(t, namespacesAndPods(25))
	s := collect(t, a, live.Options{PageSize: 10, Cost: true})
	if n := len(snapshot.All[*snapshot.Pod](s)); n != 25 {
		t.Errorf("%d pods of 25", n)
	}
	p, _ := snapshot.Get[*snapshot.Pod](s, "b", "p001")
	if p == nil || p.Spec.Volumes != nil || p.Spec.Containers[0].Env[0].Value != "" || p.GetObjectKind().GroupVersionKind().Kind != "Pod" {
		t.Errorf("a pod as lean as one from a file was expected: %+v", p)
	}
	ap, _ := snapshot.Get[*securityv1.AuthorizationPolicy](s, "a", "p")
	if fields := s.UnknownFields(ap); len(fields) != 1 || fields[0] != "spec.rules[0].from[0].source.planets" {
		t.Errorf("unknown fields: %v", fields)
	}
	if len(s.Unknown()) != 0 || len(s.Problems()) != 0 || s.Len() != a.objects.Len() {
		t.Errorf("%d objects of %d, unknown %v, problems %v", s.Len(), a.objects.Len(), s.Unknown(), s.Problems())
	}
}

func TestCollectOnlyReadsAndNeverAsksForSecrets(t *testing.T) {
	a := serve(t, namespacesAndPods(3))
	collect(t, a, live.Options{})
	collect(t, a, live.Options{Namespaces: []string{"a"}})
	for _, r := range a.requests {
		if !strings.HasPrefix(r, "GET ") || strings.Contains(r, "secrets") || strings.Contains(r, "watch") {
			t.Errorf("request %s", r)
		}
	}
}

func TestCollectReadsWhatOnlyCostDependsOnWhenAsked(t *testing.T) {
	a := serve(t, namespacesAndPods(3))
	pv := snapshot.Kind{Kind: "PersistentVolume"}
	s := collect(t, a, live.Options{})
	if k := s.Knowledge(pv); k.State != snapshot.Hidden || len(s.Unknown()) != 0 {
		t.Errorf("not asked for: %+v; unknown to verdicts: %v", k, s.Unknown())
	}
	for _, r := range a.requests {
		if strings.Contains(r, "persistentvolume") {
			t.Errorf("request %s", r)
		}
	}
	if k := collect(t, a, live.Options{Cost: true}).Knowledge(pv); k.State != snapshot.Known {
		t.Errorf("asked for: %+v", k)
	}
}

func TestCollectAgreesWithTheFilesTheClusterWasMadeOf(t *testing.T) {
	a := serve(t, namespacesAndPods(7))
	var live_, files strings.Builder
	if err := manifest.WriteArchive(&live_, redact.Redact(collect(t, a, live.Options{PageSize: 2, Cost: true}), nil)); err != nil {
		t.Fatal(err)
	}
	if err := manifest.WriteArchive(&files, redact.Redact(a.objects, nil)); err != nil {
		t.Fatal(err)
	}
	if live_.String() != files.String() {
		t.Error("the archive of the cluster and the archive of its manifests differ (redaction drops where they were read)")
	}
}

func TestCollectSaysWhatItCouldNotSee(t *testing.T) {
	for name, c := range map[string]struct {
		fault func(w http.ResponseWriter, r *http.Request) bool
		lacks []string
		kind  snapshot.Kind
		state snapshot.KnowledgeState
		why   string
	}{
		"a kind that RBAC hides": {
			fault: on("authorizationpolicies", func(w http.ResponseWriter, _ *http.Request) {
				refuse(w, 403, metav1.StatusReasonForbidden, "user \"eve\" cannot list resource")
			}), kind: policyKind, state: snapshot.Hidden,
			why: `may not list authorizationpolicies.security.istio.io: user "eve" cannot list resource`},
		"a kind that the cluster does not serve": {
			lacks: []string{"authorizationpolicies"}, kind: policyKind, state: snapshot.NotServed,
			why: "the cluster serves no authorizationpolicies.security.istio.io"},
		"a listing without an answer": {
			fault: on("/pods", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }),
			kind:  podKind, state: snapshot.Hidden, why: "list pods: no answer within 300ms"},
		"an answer that is none": {
			fault: on("authorizationpolicies", func(w http.ResponseWriter, _ *http.Request) { send(w, 200, map[string]any{"kind": "Pod"}) }),
			kind:  policyKind, state: snapshot.Hidden, why: "an object could not be read: the answer is no list of authorizationpolicies"},
		"a listing that fails half way": {
			fault: func(w http.ResponseWriter, r *http.Request) bool {
				if !strings.HasSuffix(r.URL.Path, "/pods") || r.URL.Query().Get("continue") == "" {
					return false
				}
				refuse(w, 400, metav1.StatusReasonBadRequest, "no more")
				return true
			}, kind: podKind, state: snapshot.Hidden, why: "list pods: no more"},
	} {
		t.Run(name, func(t *testing.T) {
			a := serve(t, namespacesAndPods(5))
			a.fault, a.lacks = c.fault, c.lacks
			s := collect(t, a, live.Options{PageSize: 2, Timeout: 300 * time.Millisecond})
			if got := s.Knowledge(c.kind); got.State != c.state || got.Reason != c.why {
				t.Errorf("got %+v, want %v because %s", got, c.state, c.why)
			}
			if len(snapshot.All[*corev1.Namespace](s)) != 2 {
				t.Error("the rest got lost")
			}
		})
	}
}

func TestCollectStartsAgainWhenTheServerForgetsTheList(t *testing.T) {
	a := serve(t, namespacesAndPods(9))
	a.fault = func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Query().Get("continue") != "4" {
			return false
		}
		refuse(w, http.StatusGone, metav1.StatusReasonExpired, "the provided continue parameter is too old")
		return true
	}
	s := collect(t, a, live.Options{PageSize: 2})
	if n := len(snapshot.All[*snapshot.Pod](s)); n != 9 || s.Knowledge(podKind).State != snapshot.Known {
		t.Errorf("%d pods of 9, %v", n, s.Knowledge(podKind))
	}
}

func TestCollectInNamespaces(t *testing.T) {
	a := serve(t, namespacesAndPods(8))
	a.fault = func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path != "/api/v1/namespaces" && r.URL.Path != "/api/v1/namespaces/istio-system/pods" {
			return false
		}
		refuse(w, 403, metav1.StatusReasonForbidden, "no")
		return true
	}
	s := collect(t, a, live.Options{Namespaces: []string{"a", "istio-system"}})
	if n := len(snapshot.All[*snapshot.Pod](s)); n != 4 {
		t.Errorf("%d pods of 4", n)
	}
	if n := len(snapshot.All[*corev1.Namespace](s)); n != 1 {
		t.Errorf("%d namespaces; those asked for are read one by one", n)
	}
	for ns, want := range map[string]snapshot.KnowledgeState{"a": snapshot.Known, "b": snapshot.Hidden, "istio-system": snapshot.Hidden} {
		if got := s.KnowledgeIn(podKind, ns); got.State != want {
			t.Errorf("pods in %s: %v", ns, got)
		}
	}
}

func TestCollectGivesUpInOneClearLine(t *testing.T) {
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	for name, c := range map[string]struct {
		fault func(w http.ResponseWriter, r *http.Request) bool
		url   string
		want  []string
	}{
		"when the cluster is out of reach": {url: gone.URL,
			want: []string{"cluster test (http://127.0.0.1:", "discover the API: ", "connection refused", "is the cluster reachable"}},
		"when the token has expired": {fault: on("/api", unauthorized),
			want: []string{"cluster test", "discover the API: ", "log in again"}},
		"when the token expires on the way": {fault: on("/pods", unauthorized),
			want: []string{"cluster test", "list pods: ", "log in again"}},
		"when nothing may be listed": {fault: func(w http.ResponseWriter, r *http.Request) bool {
			if r.URL.Query().Get("limit") == "" {
				return false
			}
			refuse(w, 403, metav1.StatusReasonForbidden, "no")
			return true
		}, want: []string{"cluster test", "list ", "--print-rbac"}},
	} {
		t.Run(name, func(t *testing.T) {
			a := serve(t, namespacesAndPods(1))
			a.fault = c.fault
			cluster := a.cluster()
			if c.url != "" {
				cluster.Config.Host = c.url
			}
			_, err := live.Collect(context.Background(), cluster, live.Options{})
			if err == nil {
				t.Fatal("no error")
			}
			for _, part := range c.want {
				if !strings.Contains(err.Error(), part) || strings.Contains(err.Error(), "\n") {
					t.Errorf("no %q in %q", part, err)
				}
			}
		})
	}
}

func TestCollectStopsWhenAsked(t *testing.T) {
	a := serve(t, namespacesAndPods(1))
	ctx, cancel := context.WithCancel(context.Background())
	a.fault = on("/pods", func(http.ResponseWriter, *http.Request) { cancel() })
	if _, err := live.Collect(ctx, a.cluster(), live.Options{}); err == nil || !strings.Contains(err.Error(), "canceled") {
		t.Errorf("got %v", err)
	}
}

func TestRequiredRoleListsWhatVerdictsNeedAndNothingElse(t *testing.T) {
	granted := map[string]bool{}
	for _, rule := range live.RequiredRole().Rules {
		if len(rule.Verbs) != 1 || rule.Verbs[0] != "list" || len(rule.APIGroups) != 1 {
			t.Errorf("rule %v", rule)
		}
		for _, r := range rule.Resources {
			granted[rule.APIGroups[0]+"/"+r] = true
		}
	}
	needed := 0
	for _, k := range snapshot.ServedKinds() {
		if k.CostOnly {
			continue
		}
		needed++
		if !granted[k.Group+"/"+k.Resource] {
			t.Errorf("%s may not be listed", k.Resource)
		}
	}
	if len(granted) != needed || granted["/secrets"] || granted["/persistentvolumes"] {
		t.Errorf("granted: %v", granted)
	}
}

// on answers requests whose path ends in or holds part.
func on(part string, answer http.HandlerFunc) func(w http.ResponseWriter, r *http.Request) bool {
	return func(w http.ResponseWriter, r *http.Request) bool {
		if !strings.HasSuffix(r.URL.Path, part) {
			return false
		}
		answer(w, r)
		return true
	}
}

func unauthorized(w http.ResponseWriter, _ *http.Request) {
	refuse(w, 401, metav1.StatusReasonUnauthorized, "Unauthorized")
}
