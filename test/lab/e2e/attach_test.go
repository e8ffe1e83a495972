//go:build lab

package e2e

import (
	"context"
	"errors"
	"fmt"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sidestep-mesh/sidestep/internal/authz"
	"github.com/sidestep-mesh/sidestep/internal/live"
	"github.com/sidestep-mesh/sidestep/internal/mesh"
	"github.com/sidestep-mesh/sidestep/test/lab/cluster"
	"github.com/sidestep-mesh/sidestep/test/lab/scenario"
)

// What the model says about policies and bindings is what the real istiod writes
// into their status, for every Service and AuthorizationPolicy in the cluster. The model computes
// it from labels and specs: it reads no condition but those of Gateways.
// Wide scenarios are compared in TestWideScenarios.
func TestTheModelAgreesWithIstiodOnEveryAttachment(t *testing.T) {
	ctx, client := use(t)
	attachmentsAgree(ctx, t, client)
}

func attachmentsAgree(ctx context.Context, t *testing.T, client *cluster.Client) {
	t.Helper()
	facts := meshFacts(ctx, t)
	var want []scenario.Condition
	for _, s := range facts.Services {
		if s.Kind == "Service" {
			want = append(want, bindingCondition(s))
		}
	}
	compiled := map[string]*authz.AuthorizationPolicy{}
	for i := range facts.Authorization.Authorization {
		p := &facts.Authorization.Authorization[i]
		compiled[p.Namespace+"/"+p.Name] = p
	}
	policies := 0
	for _, p := range facts.Policies {
		if p.Kind == "AuthorizationPolicy" {
			policies++
			want = append(want, policyCondition(t, facts, p, compiled[p.Namespace+"/"+p.Name]))
		}
	}
	if len(facts.Services) < 400 || policies < 30 {
		t.Fatalf("the model sees %d services and %d policies", len(facts.Services), policies)
	}
	eventually(ctx, t, func(ctx context.Context) error {
		var all []error
		for _, c := range want {
			if err := hasCondition(ctx, client, c); err != nil {
				all = append(all, fmt.Errorf("the model says otherwise: %w", err))
			}
		}
		return errors.Join(all...)
	})
}

func meshFacts(ctx context.Context, t *testing.T) *mesh.Mesh {
	t.Helper()
	target, err := live.Config(shared.Kubeconfig, "")
	if err != nil {
		t.Fatal(err)
	}
	snap, err := live.Collect(ctx, target, live.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return mesh.Build(snap, mesh.Assume{})
}

func bindingCondition(s *mesh.Service) scenario.Condition {
	c := scenario.Condition{Kind: "Service", Namespace: s.Namespace, Name: s.Name, Type: "istio.io/WaypointBound"}
	switch {
	case s.Waypoint.Bound:
		c.Status, c.Reason = string(metav1.ConditionTrue), "WaypointAccepted"
	case s.Waypoint.Asked:
		c.Status, c.Reason = string(metav1.ConditionFalse), s.Waypoint.Refused
	default:
		c.Status = "absent"
	}
	return c
}

func policyCondition(t *testing.T, facts *mesh.Mesh, p *mesh.Policy, compiled *authz.AuthorizationPolicy) scenario.Condition {
	t.Helper()
	c := scenario.Condition{Kind: "AuthorizationPolicy", Namespace: p.Namespace, Name: p.Name}
	if len(p.Targets) > 0 {
		c.Type = "WaypointAccepted"
		accepted, refused := 0, ""
		for _, target := range p.Targets {
			switch {
			case !target.Accepted:
				refused = target.Refused
			case target.Kind == "Gateway" && facts.Waypoint(target.Ref) == nil:
				// An ingress gateway enforces it, yet this condition speaks of waypoints alone (istiod 1.31).
				refused = mesh.TargetNotFound
			default:
				accepted++
			}
		}
		switch accepted {
		case len(p.Targets):
			c.Status, c.Reason = "True", "Accepted"
		case 0:
			c.Status, c.Reason = "False", refused
		default:
			c.Status, c.Reason = "True", "PartiallyInvalid"
		}
		return c
	}
	c.Type, c.Status, c.Reason = "ZtunnelAccepted", "True", "Accepted"
	if p.DryRun || p.Action == string(authz.ActionCustom) || p.Action == string(authz.ActionAudit) {
		// istiod 1.31 keeps the status of one of these policies only, see t04.
		c.Status, c.Reason, c.Optional = "False", "UnsupportedValue", true
		return c
	}
	if compiled == nil {
		t.Fatalf("policy %s/%s is not compiled", p.Namespace, p.Name)
	}
	for _, f := range authz.ZtunnelFates(compiled) {
		if f.Fate != authz.FateKept {
			c.Reason = "UnsupportedValue"
		}
	}
	return c
}
