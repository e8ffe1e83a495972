package authz

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"sort"
	"strconv"

	"istio.io/api/annotation"
	securityapi "istio.io/api/security/v1beta1"
	securityv1 "istio.io/client-go/pkg/apis/security/v1"
)

// CompileAuthorizationPolicy reads an AuthorizationPolicy. It never fails: a value
// that istiod would refuse is kept and read as istiod's converters read it when it
// gets past admission, and is named in the problems.
func CompileAuthorizationPolicy(obj *securityv1.AuthorizationPolicy) (AuthorizationPolicy, []Problem) {
	spec := &obj.Spec
	p := AuthorizationPolicy{
		Namespace: obj.Namespace,
		Name:      obj.Name,
		Attach:    compileAttachment(spec.GetSelector(), spec.GetTargetRef(), spec.GetTargetRefs()),
		Action:    Action(spec.GetAction().String()),
		Provider:  spec.GetProvider().GetName(),
	}
	v := validator{object: Ref{Kind: "AuthorizationPolicy", Namespace: obj.Namespace, Name: obj.Name}}
	if s := obj.Annotations[annotation.IoIstioDryRun.Name]; s != "" {
		dry, err := strconv.ParseBool(s)
		if err != nil {
			v.errorf("metadata.annotations["+annotation.IoIstioDryRun.Name+"]", "%q is not a boolean: the policy is enforced", s)
		}
		p.DryRun = dry
	}
	for _, r := range spec.GetRules() {
		p.Rules = append(p.Rules, compileRule(r))
	}
	if n := len(spec.ProtoReflect().GetUnknown()); n > 0 {
		p.Unmodelled = append(p.Unmodelled, "spec")
		v.errorf("spec", "holds %d bytes of fields that this version does not know: the effect is unknown", n)
	}
	v.authorizationPolicy(spec, &p)
	p.ports = p.namedPorts()
	p.digest = digestOf(p)
	return p, v.problems
}

func compileRule(r *securityapi.Rule) Rule {
	if r == nil {
		return Rule{Nil: true}
	}
	var out Rule
	for _, f := range r.GetFrom() {
		s := f.GetSource()
		out.From = append(out.From, Source{
			Principals: s.GetPrincipals(), NotPrincipals: s.GetNotPrincipals(),
			RequestPrincipals: s.GetRequestPrincipals(), NotRequestPrincipals: s.GetNotRequestPrincipals(),
			Namespaces: s.GetNamespaces(), NotNamespaces: s.GetNotNamespaces(),
			ServiceAccounts: s.GetServiceAccounts(), NotServiceAccounts: s.GetNotServiceAccounts(),
			TrustDomains: s.GetTrustDomains(), NotTrustDomains: s.GetNotTrustDomains(),
			IPBlocks: s.GetIpBlocks(), NotIPBlocks: s.GetNotIpBlocks(),
			RemoteIPBlocks: s.GetRemoteIpBlocks(), NotRemoteIPBlocks: s.GetNotRemoteIpBlocks(),
		})
	}
	for _, t := range r.GetTo() {
		o := t.GetOperation()
		out.To = append(out.To, Operation{
			Hosts: o.GetHosts(), NotHosts: o.GetNotHosts(),
			Ports: o.GetPorts(), NotPorts: o.GetNotPorts(),
			Methods: o.GetMethods(), NotMethods: o.GetNotMethods(),
			Paths: o.GetPaths(), NotPaths: o.GetNotPaths(),
		})
	}
	for _, c := range r.GetWhen() {
		out.When = append(out.When, Condition{Key: c.GetKey(), Values: c.GetValues(), NotValues: c.GetNotValues()})
	}
	return out
}

// CompileRequestAuthentication reads a RequestAuthentication.
func CompileRequestAuthentication(obj *securityv1.RequestAuthentication) (RequestAuthentication, []Problem) {
	spec := &obj.Spec
	p := RequestAuthentication{
		Namespace: obj.Namespace,
		Name:      obj.Name,
		Attach:    compileAttachment(spec.GetSelector(), spec.GetTargetRef(), spec.GetTargetRefs()),
	}
	v := validator{object: Ref{Kind: "RequestAuthentication", Namespace: obj.Namespace, Name: obj.Name}}
	v.attachment(p.Attach, spec.GetTargetRef() != nil, len(spec.GetTargetRefs()) > 0)
	for i, r := range spec.GetJwtRules() {
		field := fmt.Sprintf("spec.jwtRules[%d]", i)
		if r.GetIssuer() == "" {
			v.errorf(field+".issuer", "is empty")
		}
		if r.GetJwks() != "" && r.GetJwksUri() != "" {
			v.errorf(field, "has both jwks and jwksUri; jwks is used")
		}
		p.Rules = append(p.Rules, JWTRule{Issuer: r.GetIssuer(), Audiences: r.GetAudiences(),
			Material: jwtMaterial(r), Places: jwtPlaces(r), SpaceDelimited: r.GetSpaceDelimitedClaims(), Forward: r.GetForwardOriginalToken()})
	}
	p.digest = digestOf(p)
	return p, v.problems
}

// jwtMaterial digests what decides which tokens a rule accepts, other than the issuer
// and the audiences.
func jwtMaterial(r *securityapi.JWTRule) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%q %q", r.GetJwksUri(), r.GetJwks()))
	return hex.EncodeToString(sum[:6])
}

// jwtPlaces names the places of a rule with custom places.
func jwtPlaces(r *securityapi.JWTRule) []string {
	var out []string
	for _, h := range r.GetFromHeaders() {
		p := "header:" + asciiLower(h.GetName())
		if h.GetPrefix() != "" {
			p += ":" + h.GetPrefix()
		}
		out = append(out, p)
	}
	for _, p := range r.GetFromParams() {
		out = append(out, "param:"+p)
	}
	for _, c := range r.GetFromCookies() {
		out = append(out, "cookie:"+c)
	}
	return out
}

// CompilePeerAuthentication reads a PeerAuthentication.
func CompilePeerAuthentication(obj *securityv1.PeerAuthentication) (PeerAuthentication, []Problem) {
	spec := &obj.Spec
	p := PeerAuthentication{
		Namespace: obj.Namespace,
		Name:      obj.Name,
		Selected:  spec.GetSelector() != nil,
		Selector:  spec.GetSelector().GetMatchLabels(),
		Mode:      mtlsMode(spec.GetMtls()),
		Created:   obj.CreationTimestamp.Time,
	}
	v := validator{object: Ref{Kind: "PeerAuthentication", Namespace: obj.Namespace, Name: obj.Name}}
	ports := make([]uint32, 0, len(spec.GetPortLevelMtls()))
	for port := range spec.GetPortLevelMtls() {
		ports = append(ports, port)
	}
	sort.Slice(ports, func(i, j int) bool { return ports[i] < ports[j] })
	for _, port := range ports {
		if port == 0 || port > 65535 {
			v.errorf(fmt.Sprintf("spec.portLevelMtls[%d]", port), "is not a port: it is ignored")
			continue
		}
		if p.Ports == nil {
			p.Ports = map[uint16]MTLS{}
		}
		p.Ports[uint16(port)] = mtlsMode(spec.GetPortLevelMtls()[port])
	}
	if len(p.Ports) > 0 && len(p.Selector) == 0 {
		v.errorf("spec.portLevelMtls", "works only with a workload selector: it is ignored")
	}
	return p, v.problems
}

func mtlsMode(m *securityapi.PeerAuthentication_MutualTLS) MTLS {
	switch m.GetMode() {
	case securityapi.PeerAuthentication_MutualTLS_STRICT:
		return MTLSStrict
	case securityapi.PeerAuthentication_MutualTLS_PERMISSIVE:
		return MTLSPermissive
	case securityapi.PeerAuthentication_MutualTLS_DISABLE:
		return MTLSDisable
	}
	return MTLSUnset
}

// digestOf identifies a policy's meaning. Two worlds share compiled programs of equal
// digests. Marshalling plain values of strings cannot fail.
func digestOf(p any) string {
	b, err := json.Marshal(p)
	if err != nil {
		return fmt.Sprintf("%#v", p)
	}
	sum := sha256.Sum256(b)
	return string(sum[:16])
}
