package controller

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
)

func TestMetricsAreForThoseWhomTheAPIServerLets(t *testing.T) {
	now := time.Unix(0, 0)
	asked := 0
	g := &gatekeeper{
		who: func(_ context.Context, token string) (authenticationv1.TokenReviewStatus, error) {
			asked++
			if token == "broken" {
				return authenticationv1.TokenReviewStatus{}, errors.New("no API server")
			}
			return authenticationv1.TokenReviewStatus{Authenticated: token != "nobody", User: authenticationv1.UserInfo{Username: token}}, nil
		},
		may: func(_ context.Context, s authorizationv1.SubjectAccessReviewSpec) (bool, error) {
			return s.User == "prometheus" && s.NonResourceAttributes.Path == "/metrics" && s.NonResourceAttributes.Verb == "get", nil
		},
		now: func() time.Time { return now }, known: map[string]verdict{},
	}
	h := g.guard(logr.Discard(), http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) }))
	get := func(header, path string) int {
		r := httptest.NewRequest(http.MethodGet, path, nil)
		r.Header.Set("Authorization", header)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w.Code
	}
	for name, test := range map[string]struct {
		header, path string
		want         int
	}{
		"nobody":                         {"", "/metrics", http.StatusUnauthorized},
		"another scheme":                 {"Basic prometheus", "/metrics", http.StatusUnauthorized},
		"a token that is none":           {"Bearer nobody", "/metrics", http.StatusUnauthorized},
		"who may not":                    {"Bearer shop", "/metrics", http.StatusForbidden},
		"who may, elsewhere":             {"Bearer prometheus", "/debug", http.StatusForbidden},
		"who may":                        {"Bearer prometheus", "/metrics", http.StatusOK},
		"an API server that answers not": {"Bearer broken", "/metrics", http.StatusInternalServerError},
	} {
		if have := get(test.header, test.path); have != test.want {
			t.Errorf("%s: %d, want %d", name, have, test.want)
		}
	}
	before := asked
	get("Bearer prometheus", "/metrics")
	if asked != before {
		t.Error("the API server is asked again at once")
	}
	now = now.Add(trustedFor + time.Second)
	get("Bearer prometheus", "/metrics")
	if asked != before+1 {
		t.Error("an answer is relied on for ever")
	}
	get("Bearer broken", "/metrics")
	if get("Bearer broken", "/metrics"); asked != before+3 {
		t.Error("an error is remembered as an answer")
	}
}

func TestRequestsAreCountedByVerbAndResource(t *testing.T) {
	for target, want := range map[string][2]string{
		"GET /api/v1/pods?watch=true":                                            {"watch", "pods"},
		"GET /api/v1/pods?limit=500":                                             {"list", "pods"},
		"GET /api/v1/namespaces":                                                 {"list", "namespaces"},
		"GET /api/v1/namespaces/a":                                               {"get", "namespaces"},
		"GET /apis/apps/v1/namespaces/a/deployments/d":                           {"get", "deployments"},
		"PATCH /apis/apps/v1/namespaces/a/deployments/d":                         {"patch", "deployments"},
		"PUT /apis/sidestep.dev/v1alpha1/migrations/m/status":                    {"update", "migrations/status"},
		"POST /apis/events.k8s.io/v1/namespaces/a/events":                        {"create", "events"},
		"DELETE /apis/security.istio.io/v1/namespaces/a/authorizationpolicies/p": {"delete", "authorizationpolicies"},
		"GET /apis": {"discover", ""},
		"GET /api":  {"discover", ""},
	} {
		method, path, _ := strings.Cut(target, " ")
		verb, resource := asked(httptest.NewRequest(method, path, nil))
		if [2]string{verb, resource} != want {
			t.Errorf("%s: %s %s, want %v", target, verb, resource, want)
		}
	}
}
