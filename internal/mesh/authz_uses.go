package mesh

import (
	"fmt"
	"slices"
	"strings"

	apisecurity "istio.io/api/security/v1beta1"
	securityv1 "istio.io/client-go/pkg/apis/security/v1"
)

// l4Conditions are the only "when" keys that ztunnel evaluates; every other key is an HTTP attribute to
// it (pilot/pkg/serviceregistry/ambient/authorization.go).
var l4Conditions = []string{"source.ip", "source.namespace", "source.principal", "destination.ip", "destination.port"}

// authzFeatures reads what an AuthorizationPolicy asks of the proxy that enforces it.
func authzFeatures(p *Policy, o *securityv1.AuthorizationPolicy) []found {
	g := gather{object: p.Ref}
	if p.DryRun {
		g.see(DryRunAuthz, Inbound, annotationField(AnnotationDryRun), o.Annotations[AnnotationDryRun])
	}
	switch o.Spec.GetAction() {
	case apisecurity.AuthorizationPolicy_CUSTOM:
		g.see(ExtAuthz, Inbound, "spec.action", "CUSTOM "+o.Spec.GetProvider().GetName())
		return g.list
	case apisecurity.AuthorizationPolicy_AUDIT:
		g.see(AuditAuthz, Inbound, "spec.action", "AUDIT")
		return g.list
	}
	before := len(g.list)
	for i, r := range o.Spec.GetRules() {
		for j, f := range r.GetFrom() {
			sourceFeatures(&g, fmt.Sprintf("spec.rules[%d].from[%d].source.", i, j), f.GetSource())
		}
		for j, t := range r.GetTo() {
			operationFeatures(&g, fmt.Sprintf("spec.rules[%d].to[%d].operation.", i, j), t.GetOperation())
		}
		for j, c := range r.GetWhen() {
			conditionFeatures(&g, fmt.Sprintf("spec.rules[%d].when[%d]", i, j), c)
		}
	}
	if len(g.list) == before {
		g.see(L4Authz, Inbound, "spec.rules", "")
	}
	return g.list
}

// sourceFeatures finds the L7 attributes of a source. Trust domains are an L4 attribute to Envoy, but
// ztunnel drops them without a word up to 1.31, so they need a proxy that knows them.
func sourceFeatures(g *gather, path string, s *apisecurity.Source) {
	seeList(g, path+"requestPrincipals", s.GetRequestPrincipals())
	seeList(g, path+"notRequestPrincipals", s.GetNotRequestPrincipals())
	seeList(g, path+"remoteIpBlocks", s.GetRemoteIpBlocks())
	seeList(g, path+"notRemoteIpBlocks", s.GetNotRemoteIpBlocks())
	seeList(g, path+"trustDomains", s.GetTrustDomains())
	seeList(g, path+"notTrustDomains", s.GetNotTrustDomains())
}

func operationFeatures(g *gather, path string, o *apisecurity.Operation) {
	seeList(g, path+"hosts", o.GetHosts())
	seeList(g, path+"notHosts", o.GetNotHosts())
	seeList(g, path+"methods", o.GetMethods())
	seeList(g, path+"notMethods", o.GetNotMethods())
	seeList(g, path+"paths", o.GetPaths())
	seeList(g, path+"notPaths", o.GetNotPaths())
}

func conditionFeatures(g *gather, path string, c *apisecurity.Condition) {
	key := c.GetKey()
	if slices.Contains(l4Conditions, key) {
		return
	}
	g.see(L7Authz, Inbound, path+".key", key)
	if strings.Contains(strings.ToLower(key), xfccHeader) {
		g.see(ForwardedClientCert, Inbound, path+".key", key)
	}
}

func seeList(g *gather, field string, values []string) {
	if len(values) > 0 {
		g.see(L7Authz, Inbound, field, strings.Join(values, ", "))
	}
}
