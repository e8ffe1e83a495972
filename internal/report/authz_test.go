package report

import (
	"bytes"
	"encoding/json"
	"io"
	"testing"

	"github.com/sidestep-mesh/sidestep/internal/authz"
	security "istio.io/api/security/v1beta1"
	istiotype "istio.io/api/type/v1beta1"
	securityv1 "istio.io/client-go/pkg/apis/security/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// shop is a mesh in which cart calls api, whose policy admits GET alone.
func shop(apiMode authz.Mode) *authz.World {
	policy := &securityv1.AuthorizationPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: "pay", Name: "get-only"}}
	policy.Spec.Selector = &istiotype.WorkloadSelector{MatchLabels: map[string]string{"app": "api"}}
	policy.Spec.Rules = []*security.Rule{{To: []*security.Rule_To{{Operation: &security.Operation{Methods: []string{"GET"}}}}}}
	compiled, _ := authz.CompileAuthorizationPolicy(policy)
	cart := authz.Ref{Kind: "Deployment", Namespace: "shop", Name: "cart"}
	api := authz.Ref{Kind: "Deployment", Namespace: "pay", Name: "api"}
	return &authz.World{
		Policies: authz.Policies{Authorization: []authz.AuthorizationPolicy{compiled}},
		Workloads: []authz.Workload{
			{Ref: cart, Labels: map[string]string{"app": "cart"}, ServiceAccount: "cart", Mode: authz.ModeSidecar, HBONE: true, Role: authz.RoleApplication},
			{Ref: api, Labels: map[string]string{"app": "api"}, ServiceAccount: "api", Mode: apiMode, HBONE: true, Role: authz.RoleApplication,
				Ports: []authz.Port{{Number: 8080, Protocol: authz.ProtocolHTTP}}},
		},
		Services: []authz.Service{{Namespace: "pay", Name: "api", Workloads: []authz.Pods{{Ref: api}},
			Ports: []authz.ServicePort{{Name: "http", Port: 80, TargetPort: 8080, Protocol: authz.ProtocolHTTP}}}},
	}
}

func TestRenderingsOfAuthorization(t *testing.T) {
	world := shop(authz.ModeSidecar)
	var answers []CallAnswer
	for _, method := range []string{"GET", "DELETE"} {
		r := authz.Request{Method: method, Path: "/",
			From: authz.Caller{Workload: &authz.Pods{Ref: world.Workloads[0].Ref}, Mode: authz.ModeSidecar},
			To:   authz.Destination{Service: "pay/api", Addressing: authz.ByService, ServicePort: 80}}
		a, err := authz.Can(world, r)
		if err != nil {
			t.Fatal(err)
		}
		answers = append(answers, CallAnswer{Request: r, Answer: a})
	}
	one, all := NewAuthzAnswer(answers[1:]), NewAuthzAnswer(answers)
	moved := authz.Diff(world, shop(authz.ModeAmbient), authz.Options{})
	same := authz.Diff(world, world, authz.Options{})
	everybody, err := authz.AllCallers(world, authz.Destination{Workload: world.Workloads[1].Pods(), Port: 8080})
	if err != nil {
		t.Fatal(err)
	}
	list := NewAuthzAccess(everybody)
	for name, render := range map[string]func(io.Writer) error{
		"authz-can.txt":       func(w io.Writer) error { return one.Text(w, TextOptions{}) },
		"authz-can-all.txt":   func(w io.Writer) error { return all.Text(w, TextOptions{}) },
		"authz-can-wide.txt":  func(w io.Writer) error { return all.Text(w, TextOptions{Wide: true}) },
		"authz-can.json":      one.JSON,
		"authz-access.txt":    func(w io.Writer) error { return list.Text(w, TextOptions{}) },
		"authz-access.json":   list.JSON,
		"authz-diff.txt":      func(w io.Writer) error { return AuthzDiffText(w, moved, TextOptions{}) },
		"authz-diff-wide.txt": func(w io.Writer) error { return AuthzDiffText(w, moved, TextOptions{Wide: true}) },
		"authz-diff.json":     func(w io.Writer) error { return AuthzDiffJSON(w, moved) },
		"authz-same.txt":      func(w io.Writer) error { return AuthzDiffText(w, same, TextOptions{}) },
	} {
		t.Run(name, func(t *testing.T) {
			var b bytes.Buffer
			if err := render(&b); err != nil {
				t.Fatal(err)
			}
			golden(t, name, b.Bytes())
		})
	}
}

// The names that other programs rely on.
func TestAuthzDiffKeepsItsNames(t *testing.T) {
	var b bytes.Buffer
	if err := AuthzDiffJSON(&b, authz.Diff(shop(authz.ModeSidecar), shop(authz.ModeAmbient), authz.Options{})); err != nil {
		t.Fatal(err)
	}
	var doc struct {
		APIVersion, Kind string
		Equivalent       *bool
		Divergences      []struct {
			Kind          string
			Request       map[string]any
			Before, After struct{ Decision, By *string }
		}
	}
	if err := json.Unmarshal(b.Bytes(), &doc); err != nil {
		t.Fatal(err)
	}
	if doc.APIVersion != APIVersion || doc.Kind != "AuthzDiff" || doc.Equivalent == nil || *doc.Equivalent || len(doc.Divergences) == 0 {
		t.Fatalf("%s", b.String())
	}
	for _, d := range doc.Divergences {
		if d.Kind != "weaker" && d.Kind != "stricter" || len(d.Request) == 0 || d.Before.Decision == nil || d.Before.By == nil || d.After.Decision == nil {
			t.Errorf("%+v", d)
		}
	}
}
