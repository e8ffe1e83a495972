package authz

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	securityapi "istio.io/api/security/v1beta1"
)

// validator collects the problems of one object: what istiod's admission would refuse
// (pkg/config/validation), with what happens when it is in the cluster all the same.
type validator struct {
	object   Ref
	problems []Problem
	// action decides what a bad value costs: an ALLOW policy the rule, others the value.
	action Action
}

func (v *validator) errorf(field, format string, args ...any) {
	v.problems = append(v.problems, Problem{Object: v.object, Field: field, Message: fmt.Sprintf(format, args...)})
}

func (v *validator) warnf(field, format string, args ...any) {
	v.problems = append(v.problems, Problem{Object: v.object, Field: field, Message: fmt.Sprintf(format, args...), Warning: true})
}

// effect says what becomes of a rule with a value that cannot be read.
func (v *validator) effect() string {
	if v.action == ActionAllow {
		return "sidecars and waypoints leave out the rule, ztunnel the value"
	}
	return "the value is left out, which widens the rule or empties it"
}

func (v *validator) attachment(a Attachment, single, many bool) {
	if a.Selected && len(a.Targets) > 0 {
		v.errorf("spec", "has both selector and targetRefs; targetRefs count and the selector does not")
	}
	if single && many {
		v.errorf("spec", "has both targetRef and targetRefs; targetRefs count")
	}
	if a.Selected && len(a.Selector) == 0 {
		v.warnf("spec.selector", "is empty: sidecars take it for the whole namespace, ambient mode attaches it to nothing")
	}
	for _, k := range sortedKeys(a.Selector) {
		if strings.Contains(k+a.Selector[k], "*") {
			v.errorf("spec.selector.matchLabels["+k+"]", "has a wildcard, which no label equals: it selects nothing")
		}
	}
	if len(a.Targets) > 16 {
		v.errorf("spec.targetRefs", "has more than 16 entries")
	}
	for i, t := range a.Targets {
		field := fmt.Sprintf("spec.targetRefs[%d]", i)
		switch {
		case t.targetKind() == "":
			v.errorf(field, "%s %q in group %q is nothing that a policy can target: it attaches to nothing", t.Kind, t.Name, t.Group)
		case t.Name == "":
			v.errorf(field+".name", "is empty: it attaches to nothing")
		case t.Namespace != "" && t.Namespace != v.object.Namespace:
			v.errorf(field+".namespace", "names another namespace, which is not supported")
		case t.targetKind() == kindGatewayClass && t.Name != waypointClass:
			v.errorf(field+".name", "only GatewayClass %s can be targeted: it attaches to nothing", waypointClass)
		}
	}
}

func (v *validator) authorizationPolicy(spec *securityapi.AuthorizationPolicy, p *AuthorizationPolicy) {
	v.action = p.Action
	v.attachment(p.Attach, spec.GetTargetRef() != nil, len(spec.GetTargetRefs()) > 0)
	switch {
	case p.Action == ActionCustom && p.Provider == "":
		v.errorf("spec.provider.name", "is empty on a CUSTOM policy: what it matches is denied")
	case p.Action != ActionCustom && p.Provider != "":
		v.errorf("spec.provider", "is only for CUSTOM policies: it is ignored")
	}
	if len(spec.GetRules()) == 0 && (p.Action == ActionDeny || p.Action == ActionCustom) {
		v.errorf("spec.rules", "is empty: a %s policy without rules does nothing; an empty rule {} matches every request", p.Action)
	}
	for i, r := range spec.GetRules() {
		v.rule(fmt.Sprintf("spec.rules[%d]", i), r, p)
	}
}

func (v *validator) rule(field string, r *securityapi.Rule, p *AuthorizationPolicy) {
	if r == nil {
		v.errorf(field, "is null: sidecars and waypoints leave it out")
		return
	}
	for i, f := range r.GetFrom() {
		v.source(fmt.Sprintf("%s.from[%d].source", field, i), f.GetSource(), p)
	}
	for i, t := range r.GetTo() {
		v.operation(fmt.Sprintf("%s.to[%d].operation", field, i), t.GetOperation())
	}
	for i, c := range r.GetWhen() {
		v.condition(fmt.Sprintf("%s.when[%d]", field, i), c, p)
	}
}

// list is a named list of values with the check for one of them; the check returns what
// is wrong or nothing.
type list struct {
	name   string
	values []string
	check  func(string) string
}

func anyValue(string) string { return "" }

func (v *validator) lists(field string, ls []list) (found bool) {
	for _, l := range ls {
		for i, s := range l.values {
			found = true
			f := fmt.Sprintf("%s.%s[%d]", field, l.name, i)
			if s == "" {
				v.errorf(f, "is empty")
			} else if bad := l.check(s); bad != "" {
				v.errorf(f, "%s; %s", bad, v.effect())
			}
		}
	}
	return found
}

func (v *validator) source(field string, s *securityapi.Source, p *AuthorizationPolicy) {
	found := v.lists(field, []list{
		{"principals", s.GetPrincipals(), anyValue}, {"notPrincipals", s.GetNotPrincipals(), anyValue},
		{"requestPrincipals", s.GetRequestPrincipals(), anyValue}, {"notRequestPrincipals", s.GetNotRequestPrincipals(), anyValue},
		{"namespaces", s.GetNamespaces(), anyValue}, {"notNamespaces", s.GetNotNamespaces(), anyValue},
		{"serviceAccounts", s.GetServiceAccounts(), badServiceAccount}, {"notServiceAccounts", s.GetNotServiceAccounts(), badServiceAccount},
		{"trustDomains", s.GetTrustDomains(), badTrustDomain}, {"notTrustDomains", s.GetNotTrustDomains(), badTrustDomain},
		{"ipBlocks", s.GetIpBlocks(), badAddress}, {"notIpBlocks", s.GetNotIpBlocks(), badAddress},
		{"remoteIpBlocks", s.GetRemoteIpBlocks(), badAddress}, {"notRemoteIpBlocks", s.GetNotRemoteIpBlocks(), badAddress},
	})
	if !found {
		v.errorf(field, "is empty: sidecars and waypoints take it for any caller, ztunnel for none")
	}
	if len(s.GetServiceAccounts())+len(s.GetNotServiceAccounts()) > 0 &&
		len(s.GetPrincipals())+len(s.GetNotPrincipals())+len(s.GetNamespaces())+len(s.GetNotNamespaces()) > 0 {
		v.errorf(field, "has serviceAccounts beside principals or namespaces; all of them must match")
	}
	if p.Action == ActionCustom && len(s.GetPrincipals())+len(s.GetNotPrincipals())+len(s.GetNamespaces())+len(s.GetNotNamespaces())+
		len(s.GetRequestPrincipals())+len(s.GetNotRequestPrincipals())+len(s.GetServiceAccounts())+len(s.GetNotServiceAccounts())+
		len(s.GetTrustDomains())+len(s.GetNotTrustDomains()) > 0 {
		v.errorf(field, "identities are not supported with CUSTOM; request principals never match there, since tokens are read later")
	}
}

func (v *validator) operation(field string, o *securityapi.Operation) {
	found := v.lists(field, []list{
		{"hosts", o.GetHosts(), anyValue}, {"notHosts", o.GetNotHosts(), anyValue},
		{"ports", o.GetPorts(), badPort}, {"notPorts", o.GetNotPorts(), badPort},
		{"methods", o.GetMethods(), anyValue}, {"notMethods", o.GetNotMethods(), anyValue},
	})
	for _, l := range []list{{"paths", o.GetPaths(), nil}, {"notPaths", o.GetNotPaths(), nil}} {
		for i, s := range l.values {
			found = true
			f := fmt.Sprintf("%s.%s[%d]", field, l.name, i)
			switch bad := badTemplate(s); {
			case s == "":
				v.errorf(f, "is empty")
			case bad != "":
				v.errorf(f, "path template %q: %s; Envoy refuses the whole listener, so the effect is unknown", s, bad)
			case isTemplate(s) && strings.ContainsAny(strings.NewReplacer("/"+templateOne+"/", "//", "/"+templateAny+"/", "//").Replace(s+"/"), "{}"):
				v.errorf(f, "path template %q has an operator that is not a whole segment, which admission refuses", s)
			case !isTemplate(s) && strings.ContainsAny(s, "{}"):
				v.errorf(f, "%q has braces and is no path template: it is compared as it stands", s)
			}
		}
	}
	if !found {
		v.errorf(field, "is empty: sidecars and waypoints take it for any request, ztunnel for none")
	}
}

func (v *validator) condition(field string, c *securityapi.Condition, p *AuthorizationPolicy) {
	k := c.GetKey()
	if len(c.GetValues()) == 0 && len(c.GetNotValues()) == 0 {
		v.errorf(field, "has neither values nor notValues: it asks nothing")
	}
	check := anyValue
	switch {
	case k == keySourceIP, k == keyRemoteIP, k == keyDestinationIP:
		check = badAddress
	case k == keyDestinationPort:
		check = badPort
	case k == keySourceSA:
		check = badServiceAccount
	case k == keySourceTD, k == keySourceNamespace, k == keySourcePrincipal, k == keyRequestPrincipal, k == keyAudiences, k == keyPresenter, k == keySNI:
	case strings.HasPrefix(k, keyRequestHeader), strings.HasPrefix(k, keyClaims), strings.HasPrefix(k, keyExperimental):
		if open := strings.Index(k, "["); !strings.HasSuffix(k, "]") || open <= 0 || open >= len(k)-2 {
			v.errorf(field+".key", "%q: expected the form a[b]; %s", k, v.effect())
		}
	default:
		v.errorf(field+".key", "unknown key %q: sidecars and waypoints leave out the whole rule, also of a DENY; at ztunnel it never matches", k)
	}
	if p.Action == ActionCustom && (strings.HasPrefix(k, "request.auth.") || k == keySourceNamespace || k == keySourcePrincipal || k == keySourceSA || k == keySourceTD) {
		v.errorf(field+".key", "%q is not supported with CUSTOM", k)
	}
	v.lists(field, []list{{"values", c.GetValues(), check}, {"notValues", c.GetNotValues(), check}})
}

func badPort(s string) string {
	if p, err := strconv.ParseUint(s, 10, 32); err != nil || p > 65535 {
		return fmt.Sprintf("%q is not a port", s)
	}
	return ""
}

func badAddress(s string) string {
	if strings.Contains(s, "/") {
		if _, err := netip.ParsePrefix(s); err != nil {
			return fmt.Sprintf("%q is not an address range", s)
		}
		return ""
	}
	if _, err := netip.ParseAddr(s); err != nil {
		return fmt.Sprintf("%q is not an address", s)
	}
	return ""
}

func badServiceAccount(s string) string {
	ns, sa, ok := strings.Cut(s, "/")
	switch {
	case strings.Contains(s, "*"):
		return fmt.Sprintf("%q: wildcards are not allowed in serviceAccounts", s)
	case ok && (ns == "" || sa == "" || strings.Contains(sa, "/")):
		return fmt.Sprintf("%q: expected NAME or NAMESPACE/NAME", s)
	case len(s) > 320:
		return "is longer than 320 characters"
	}
	return ""
}

func badTrustDomain(s string) string {
	switch {
	case strings.Contains(s, "/"):
		return fmt.Sprintf("%q: a trust domain has no slash", s)
	case strings.Count(s, "*") > 1, strings.Contains(strings.Trim(s, "*"), "*"):
		return fmt.Sprintf("%q: a wildcard may only stand at one end", s)
	}
	return ""
}
