package generate

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"

	authz "istio.io/api/security/v1beta1"
	typev1beta1 "istio.io/api/type/v1beta1"

	"istio.io/api/annotation"
)

// object is a policy on its way to JSON.
type object struct {
	kind, name, namespace string
	annotations           map[string]string
	spec                  json.Marshaler
}

// raw renders the object as Kubernetes JSON. order is its place in the case, which becomes its age.
func (o object) raw(order int) (json.RawMessage, error) {
	spec, err := o.spec.MarshalJSON()
	if err != nil {
		return nil, fmt.Errorf("%s %s/%s: %w", o.kind, o.namespace, o.name, err)
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, spec); err != nil {
		return nil, err
	}
	meta := map[string]any{
		"name": o.name, "namespace": o.namespace,
		"creationTimestamp": time.Date(2026, 1, 1, 0, 0, order, 0, time.UTC).Format(time.RFC3339),
	}
	if len(o.annotations) > 0 {
		meta["annotations"] = o.annotations
	}
	return json.Marshal(map[string]any{
		"apiVersion": "security.istio.io/v1", "kind": o.kind, "metadata": meta, "spec": json.RawMessage(compact.Bytes()),
	})
}

// source fills some fields of a source. l7 says whether HTTP-only fields may be among them.
func (d dice) source(l7 bool) *authz.Source {
	s := &authz.Source{}
	fields := []func(){
		func() { s.Principals = d.principals() },
		func() { s.Namespaces = d.patterns(2, namespaces) },
		func() { s.ServiceAccounts = d.accounts() },
		func() { s.IpBlocks = d.blocks(sourceIPs) },
		func() { s.NotPrincipals = d.principals() },
		func() { s.NotNamespaces = d.patterns(2, namespaces) },
		func() { s.NotServiceAccounts = d.accounts() },
		func() { s.NotIpBlocks = d.blocks(sourceIPs) },
	}
	if d.chance(10) {
		fields = append(fields, func() { s.TrustDomains = d.patterns(1, trustDomains) },
			func() { s.NotTrustDomains = d.patterns(1, trustDomains) })
	}
	if l7 {
		fields = append(fields,
			func() { s.RequestPrincipals = d.requestPrincipals() },
			func() { s.NotRequestPrincipals = d.requestPrincipals() },
			func() { s.RemoteIpBlocks = d.blocks(remoteIPs) },
			func() { s.NotRemoteIpBlocks = d.blocks(remoteIPs) })
	}
	d.fill(fields)
	if len(s.ServiceAccounts)+len(s.NotServiceAccounts) > 0 && d.chance(85) {
		// The API forbids these together; now and then they stay, as an invalid policy.
		s.Principals, s.NotPrincipals, s.Namespaces, s.NotNamespaces = nil, nil, nil, nil
	}
	return s
}

func (d dice) operation(l7 bool) *authz.Operation {
	o := &authz.Operation{}
	fields := []func(){
		func() { o.Ports = d.some(2, portNumbers) },
		func() { o.NotPorts = d.some(2, portNumbers) },
	}
	if l7 {
		fields = append(fields,
			func() { o.Methods = d.patterns(2, methods) },
			func() { o.Paths = d.pathPatterns() },
			func() { o.Hosts = d.patterns(2, hosts) },
			func() { o.Methods = d.some(2, methods) },
			func() { o.NotMethods = d.patterns(2, methods) },
			func() { o.NotPaths = d.pathPatterns() },
			func() { o.NotHosts = d.patterns(2, hosts) })
	}
	d.fill(fields)
	return o
}

// fill runs one to three of the setters.
func (d dice) fill(setters []func()) {
	n := 1
	if d.chance(40) {
		n = 2 + d.IntN(2)
	}
	for i, at := range d.Perm(len(setters)) {
		if i < n {
			setters[at]()
		}
	}
}

// condition makes one `when` entry over every key of the API.
func (d dice) condition(l7 bool) *authz.Condition {
	c := &authz.Condition{}
	type key struct {
		name   string
		values func() []string
	}
	keys := []key{
		{"source.ip", func() []string { return d.blocks(sourceIPs) }},
		{"source.namespace", func() []string { return d.patterns(2, namespaces) }},
		{"source.principal", d.principals},
		{"destination.ip", func() []string { return d.blocks([]string{"10.1.0.7", "10.96.0.7", "10.1.9.9"}) }},
		{"destination.port", func() []string { return d.some(2, portNumbers) }},
	}
	if l7 {
		keys = append(keys,
			key{"remote.ip", func() []string { return d.blocks(remoteIPs) }},
			key{"connection.sni", func() []string { return d.patterns(2, snis) }},
			key{"request.headers[" + d.pick(headerNames...) + "]", func() []string { return d.patterns(2, headerVals) }},
			key{"request.headers[X-User]", func() []string { return d.patterns(2, headerVals) }},
			key{"request.auth.principal", d.requestPrincipals},
			key{"request.auth.audiences", func() []string { return d.patterns(2, audiences) }},
			key{"request.auth.presenter", func() []string { return d.patterns(2, subjects) }},
			key{"request.auth.claims[groups]", func() []string { return d.patterns(2, groups) }},
			key{"request.auth.claims[realm][roles]", func() []string { return d.patterns(2, groups) }},
			key{"request.auth.claims[sub]", func() []string { return d.patterns(2, subjects) }},
			key{"request.auth.claims[scope]", func() []string { return d.patterns(2, scopes) }})
		if d.chance(5) {
			keys = []key{{"experimental.envoy.filters.network.mysql_proxy[db.table]", func() []string { return []string{"[update]"} }}}
		}
	}
	k := keys[d.IntN(len(keys))]
	c.Key = k.name
	switch {
	case d.chance(65):
		c.Values = k.values()
	case d.chance(70):
		c.NotValues = k.values()
	default:
		c.Values, c.NotValues = k.values(), k.values()
	}
	return c
}

func (d dice) rule() *authz.Rule {
	r := &authz.Rule{}
	l7 := d.chance(60)
	if d.chance(60) {
		for range 1 + d.IntN(2) {
			r.From = append(r.From, &authz.Rule_From{Source: d.source(l7 && d.chance(40))})
		}
	}
	if d.chance(60) {
		for range 1 + d.IntN(2) {
			r.To = append(r.To, &authz.Rule_To{Operation: d.operation(l7)})
		}
	}
	if d.chance(35) || len(r.From)+len(r.To) == 0 {
		for range 1 + d.IntN(2) {
			r.When = append(r.When, d.condition(l7))
		}
	}
	return r
}

// body is an AuthorizationPolicy without its scope.
func (d dice) body(providers []string) (*authz.AuthorizationPolicy, map[string]string) {
	p := &authz.AuthorizationPolicy{}
	var annotations map[string]string
	switch n := d.IntN(100); {
	case n < 46:
		p.Action = authz.AuthorizationPolicy_ALLOW
	case n < 88:
		p.Action = authz.AuthorizationPolicy_DENY
	case n < 96:
		p.Action = authz.AuthorizationPolicy_CUSTOM
		name := "authz-missing"
		if len(providers) > 0 && d.chance(90) {
			name = d.pick(providers...)
		}
		p.ActionDetail = &authz.AuthorizationPolicy_Provider{Provider: &authz.AuthorizationPolicy_ExtensionProvider{Name: name}}
	default:
		p.Action = authz.AuthorizationPolicy_AUDIT
	}
	switch n := d.IntN(100); {
	case n < 4: // no rules: an ALLOW that never matches
	case n < 8:
		p.Rules = []*authz.Rule{{}}
	default:
		for range 1 + d.IntN(3)*d.IntN(2) {
			p.Rules = append(p.Rules, d.rule())
		}
	}
	if d.chance(6) {
		annotations = map[string]string{annotation.IoIstioDryRun.Name: d.pick("true", "true", "false", "maybe")}
	}
	return p, annotations
}

func selector(labels map[string]string) *typev1beta1.WorkloadSelector {
	return &typev1beta1.WorkloadSelector{MatchLabels: labels}
}
