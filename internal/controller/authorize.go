package controller

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/go-logr/logr"
	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	authenticationclient "k8s.io/client-go/kubernetes/typed/authentication/v1"
	authorizationclient "k8s.io/client-go/kubernetes/typed/authorization/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/metrics/server"
)

// trustedFor is how long an answer of the API server about a token is relied on, as kube-rbac-proxy and the kubelet do by default.
const trustedFor = 10 * time.Second

// authorized serves metrics to those whose bearer token the API server knows and lets get the path as a nonResourceURL. It does what
// controller-runtime's own filter does, without the library of API servers that one brings.
func authorized(cfg *rest.Config, client *http.Client) (server.Filter, error) {
	authentication, err := authenticationclient.NewForConfigAndClient(cfg, client)
	if err != nil {
		return nil, err
	}
	authorization, err := authorizationclient.NewForConfigAndClient(cfg, client)
	if err != nil {
		return nil, err
	}
	g := &gatekeeper{
		who: func(ctx context.Context, token string) (authenticationv1.TokenReviewStatus, error) {
			r, err := authentication.TokenReviews().Create(ctx, &authenticationv1.TokenReview{Spec: authenticationv1.TokenReviewSpec{Token: token}}, metav1.CreateOptions{})
			if err != nil {
				return authenticationv1.TokenReviewStatus{}, err
			}
			return r.Status, nil
		},
		may: func(ctx context.Context, spec authorizationv1.SubjectAccessReviewSpec) (bool, error) {
			r, err := authorization.SubjectAccessReviews().Create(ctx, &authorizationv1.SubjectAccessReview{Spec: spec}, metav1.CreateOptions{})
			if err != nil {
				return false, err
			}
			return r.Status.Allowed, nil
		},
		now: time.Now, known: map[string]verdict{},
	}
	return func(log logr.Logger, next http.Handler) (http.Handler, error) { return g.guard(log, next), nil }, nil
}

// gatekeeper asks who a token is and what that may.
type gatekeeper struct {
	who func(context.Context, string) (authenticationv1.TokenReviewStatus, error)
	may func(context.Context, authorizationv1.SubjectAccessReviewSpec) (bool, error)
	now func() time.Time

	mu    sync.Mutex
	known map[string]verdict // by token and path
}

// verdict is the HTTP status for a token, until when it holds.
type verdict struct {
	code  int
	until time.Time
}

func (g *gatekeeper) guard(log logr.Logger, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		code, err := g.judge(r)
		if err != nil {
			log.Error(err, "ask the API server who reads metrics")
		}
		if code != http.StatusOK {
			http.Error(w, http.StatusText(code), code)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// judge gives 200 for a request that is let through, 401, 403, or 500 where the API server could not be asked.
func (g *gatekeeper) judge(r *http.Request) (int, error) {
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if token = strings.TrimSpace(token); !ok || token == "" {
		return http.StatusUnauthorized, nil
	}
	key := r.URL.Path + "\x00" + token
	g.mu.Lock()
	had, known := g.known[key]
	for k, v := range g.known {
		if g.now().After(v.until) {
			delete(g.known, k)
		}
	}
	g.mu.Unlock()
	if known && g.now().Before(had.until) {
		return had.code, nil
	}
	code, err := g.ask(r, token)
	if err == nil {
		g.mu.Lock()
		g.known[key] = verdict{code: code, until: g.now().Add(trustedFor)}
		g.mu.Unlock()
	}
	return code, err
}

func (g *gatekeeper) ask(r *http.Request, token string) (int, error) {
	who, err := g.who(r.Context(), token)
	if err != nil {
		return http.StatusInternalServerError, err
	}
	if !who.Authenticated {
		return http.StatusUnauthorized, nil
	}
	extra := map[string]authorizationv1.ExtraValue{}
	for k, v := range who.User.Extra {
		extra[k] = authorizationv1.ExtraValue(v)
	}
	may, err := g.may(r.Context(), authorizationv1.SubjectAccessReviewSpec{
		User: who.User.Username, UID: who.User.UID, Groups: who.User.Groups, Extra: extra,
		NonResourceAttributes: &authorizationv1.NonResourceAttributes{Path: r.URL.Path, Verb: strings.ToLower(r.Method)},
	})
	switch {
	case err != nil:
		return http.StatusInternalServerError, err
	case !may:
		return http.StatusForbidden, nil
	}
	return http.StatusOK, nil
}
