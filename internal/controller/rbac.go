package controller

import (
	"slices"

	"github.com/sidestep-mesh/sidestep/internal/live"
	rbacv1 "k8s.io/api/rbac/v1"
	"sigs.k8s.io/yaml"
)

// Rules are what the controller needs, in three parts that are granted apart.
type Rules struct {
	// Watch is for every mode, in the whole cluster: to look, and to say what was seen.
	Watch []rbacv1.PolicyRule
	// Enforce is what mode Enforce writes besides.
	Enforce []rbacv1.PolicyRule
	// Own is for the controller's own namespace.
	Own []rbacv1.PolicyRule
}

// RequiredRules lists what the controller asks of the API server. The chart and the kustomization are made of it.
func RequiredRules() Rules {
	rule := func(group string, verbs []string, resources ...string) rbacv1.PolicyRule {
		return rbacv1.PolicyRule{APIGroups: []string{group}, Resources: resources, Verbs: verbs}
	}
	watch, apply := []string{"get", "list", "watch"}, []string{"get", "patch"}
	write := []string{"create", "delete", "get", "patch", "update"}
	var out Rules
	for _, r := range live.RequiredRole().Rules {
		r.Verbs = []string{"list", "watch"}
		out.Watch = append(out.Watch, r)
	}
	out.Watch = append(out.Watch,
		rule("apiextensions.k8s.io", []string{"list", "watch"}, "customresourcedefinitions"),
		rule("sidestep.dev", watch, "migrations"),
		rule("sidestep.dev", []string{"update"}, "migrations/status"),
		rule("events.k8s.io", []string{"create", "patch"}, "events"),
		rule("", []string{"create", "patch"}, "events"),
		rule("authentication.k8s.io", []string{"create"}, "tokenreviews"),
		rule("authorization.k8s.io", []string{"create"}, "subjectaccessreviews"),
	)
	out.Enforce = []rbacv1.PolicyRule{
		// The record of a migration stands where it writes.
		rule("", []string{"create", "delete", "get", "list", "update"}, "configmaps"),
		rule("", apply, "namespaces", "services"),
		rule("apps", apply, "daemonsets", "deployments", "replicasets", "statefulsets"),
		rule("batch", []string{"create", "delete", "get", "patch"}, "cronjobs", "jobs"),
		rule("argoproj.io", apply, "rollouts"),
		rule("autoscaling", write, "horizontalpodautoscalers"),
		rule("policy", write, "poddisruptionbudgets"),
		rule("gateway.networking.k8s.io", write, "gateways", "grpcroutes", "httproutes", "tcproutes", "tlsroutes"),
		rule("networking.istio.io", write, "destinationrules", "serviceentries", "virtualservices"),
		rule("security.istio.io", write, "authorizationpolicies", "peerauthentications", "requestauthentications"),
		rule("telemetry.istio.io", write, "telemetries"),
		rule("extensions.istio.io", write, "trafficextensions", "wasmplugins"),
	}
	out.Own = []rbacv1.PolicyRule{
		rule("coordination.k8s.io", []string{"create", "get", "update"}, "leases"),
		rule("", []string{"create", "get", "patch", "update"}, "configmaps"),
	}
	return out
}

// Text renders rules as they stand below rules: in a role.
func Text(rules []rbacv1.PolicyRule) (string, error) {
	for i := range rules {
		slices.Sort(rules[i].Resources)
	}
	text, err := yaml.Marshal(rules)
	return string(text), err
}
