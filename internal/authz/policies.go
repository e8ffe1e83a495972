package authz

import (
	"time"

	typev1beta1 "istio.io/api/type/v1beta1"
)

// Policies are the compiled policies of a mesh.
type Policies struct {
	Authorization  []AuthorizationPolicy
	Authentication []RequestAuthentication
	Peer           []PeerAuthentication
}

// Problem is something in a policy object that its author should know.
type Problem struct {
	// Object has the kind, namespace and name.
	Object Ref `json:"object"`
	// Field is a path such as spec.rules[0].to[1].operation.ports.
	Field string `json:"field"`
	// Message says what is wrong and how istiod treats it.
	Message string `json:"message"`
	// Warning marks what istiod accepts but its author hardly wants.
	Warning bool `json:"warning,omitempty"`
}

// Action of an AuthorizationPolicy.
type Action string

// Actions.
const (
	ActionAllow  Action = "ALLOW"
	ActionDeny   Action = "DENY"
	ActionAudit  Action = "AUDIT"
	ActionCustom Action = "CUSTOM"
)

// Target is one targetRef.
type Target struct {
	Group, Kind, Namespace, Name string
}

// Attachment is how a policy chooses what it applies to.
type Attachment struct {
	// Selected says that spec.selector is present, even when it is empty: ztunnel
	// scopes an empty selector to workloads, not to the namespace.
	Selected bool
	// Selector are its matchLabels.
	Selector map[string]string
	// Targets are the targetRefs, or the single legacy targetRef.
	Targets []Target
}

// AuthorizationPolicy is one AuthorizationPolicy, read completely. Build it with
// CompileAuthorizationPolicy; the values are those of the object, since each
// enforcement point reads them in its own way.
type AuthorizationPolicy struct {
	Namespace, Name string
	Attach          Attachment
	Action          Action
	// Provider of a CUSTOM policy.
	Provider string
	DryRun   bool
	Rules    []Rule
	// Unmodelled lists the fields that this package does not know: the policy's effect is
	// then unknown wherever it attaches.
	Unmodelled []string
	// ports are those that its rules name.
	ports []uint16
	// digest identifies the meaning (everything but nothing of the object's history).
	digest string
}

// Key gives namespace/name.
func (p *AuthorizationPolicy) Key() string { return p.Namespace + "/" + p.Name }

// Rule is one rule: any From, any To and every When must match.
type Rule struct {
	From []Source
	To   []Operation
	When []Condition
	// Nil says that the list held a null instead of a rule.
	Nil bool
}

// Source is one `from`.
type Source struct {
	Principals, NotPrincipals               []string
	RequestPrincipals, NotRequestPrincipals []string
	Namespaces, NotNamespaces               []string
	ServiceAccounts, NotServiceAccounts     []string
	TrustDomains, NotTrustDomains           []string
	IPBlocks, NotIPBlocks                   []string
	RemoteIPBlocks, NotRemoteIPBlocks       []string
}

// Operation is one `to`.
type Operation struct {
	Hosts, NotHosts     []string
	Ports, NotPorts     []string
	Methods, NotMethods []string
	Paths, NotPaths     []string
}

// Condition is one `when`.
type Condition struct {
	Key               string
	Values, NotValues []string
}

// RequestAuthentication is one RequestAuthentication.
type RequestAuthentication struct {
	Namespace, Name string
	Attach          Attachment
	Rules           []JWTRule
	digest          string
}

// Key gives namespace/name.
func (p *RequestAuthentication) Key() string { return p.Namespace + "/" + p.Name }

// JWTRule is what one jwtRule accepts, without what it only forwards.
type JWTRule struct {
	Issuer    string
	Audiences []string
	// Material digests where the keys and the token come from: two rules of one issuer
	// accept the same tokens when it is equal.
	Material string
	// Places are where the token is looked for: header:NAME, header:NAME:PREFIX,
	// param:NAME, cookie:NAME. None means the default, the Authorization header and the
	// access_token parameter.
	Places []string
	// SpaceDelimited are further claims whose text is a list separated by spaces, as scope
	// and permission always are.
	SpaceDelimited []string
	// Forward keeps the token in the request; otherwise the next proxy does not see it.
	Forward bool
}

// MTLS is a PeerAuthentication mode.
type MTLS string

// Modes; MTLSUnset inherits.
const (
	MTLSUnset      MTLS = ""
	MTLSStrict     MTLS = "STRICT"
	MTLSPermissive MTLS = "PERMISSIVE"
	MTLSDisable    MTLS = "DISABLE"
)

// PeerAuthentication is one PeerAuthentication.
type PeerAuthentication struct {
	Namespace, Name string
	Selected        bool
	Selector        map[string]string
	Mode            MTLS
	Ports           map[uint16]MTLS
	// Created decides between two of the same scope: the oldest wins.
	Created time.Time
}

// Key gives namespace/name.
func (p *PeerAuthentication) Key() string { return p.Namespace + "/" + p.Name }

func compileAttachment(sel *typev1beta1.WorkloadSelector, ref *typev1beta1.PolicyTargetReference, refs []*typev1beta1.PolicyTargetReference) Attachment {
	a := Attachment{Selected: sel != nil, Selector: sel.GetMatchLabels()}
	if len(refs) == 0 && ref != nil {
		refs = []*typev1beta1.PolicyTargetReference{ref}
	}
	for _, r := range refs {
		a.Targets = append(a.Targets, Target{Group: r.GetGroup(), Kind: r.GetKind(), Namespace: r.GetNamespace(), Name: r.GetName()})
	}
	return a
}
