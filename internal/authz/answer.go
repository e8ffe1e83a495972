package authz

// Decision is what happens to a request.
type Decision string

// Decisions. Unknown counts as weaker than anything it is compared with. A call that
// cannot get through at all is a Deny by Unreachable.
const (
	Allow           Decision = "allow"
	Deny            Decision = "deny"
	DecisionUnknown Decision = "unknown"
)

// Point is a place where policy is enforced.
type Point string

// Enforcement points. Nobody means that no proxy that could deny has seen the call.
const (
	PointServerSidecar Point = "server sidecar"
	PointGateway       Point = "gateway"
	PointZtunnel       Point = "ztunnel"
	PointWaypoint      Point = "waypoint"
	PointNobody        Point = "nobody"
	// PointNetwork stands for a connection that fails before any policy is asked.
	PointNetwork Point = "network"
)

// Request is one call, in the attributes that policies can match. Empty strings and
// nil maps mean that the attribute is absent.
type Request struct {
	From Caller      `json:"from"`
	To   Destination `json:"to"`
	// Protocol is what the caller speaks: http or tcp.
	Protocol Protocol          `json:"protocol"`
	Method   string            `json:"method,omitempty"`
	Path     string            `json:"path,omitempty"`
	Host     string            `json:"host,omitempty"`
	Headers  map[string]string `json:"headers,omitempty"`
	JWT      *Token            `json:"jwt,omitempty"`
	SNI      string            `json:"sni,omitempty"`
	// SourceIP is the address of the peer of the connection, RemoteIP the original
	// client as told by X-Forwarded-For or the PROXY protocol.
	SourceIP string `json:"sourceIP,omitempty"`
	RemoteIP string `json:"remoteIP,omitempty"`
	// PodIP, VIP and WaypointIP are the addresses of the destination pod, of the Service
	// and of the waypoint's pod, where policies ask for them.
	PodIP      string `json:"podIP,omitempty"`
	VIP        string `json:"vip,omitempty"`
	WaypointIP string `json:"waypointIP,omitempty"`
	// Metadata are values of experimental.envoy.filters.* conditions, by condition key.
	Metadata map[string][]string `json:"metadata,omitempty"`
	// Refused names the external authorizers (CUSTOM providers) that would refuse it.
	Refused []string `json:"refused,omitempty"`
}

// Caller is who makes a call.
type Caller struct {
	// Principal is the SPIFFE identity without the scheme
	// ("cluster.local/ns/x/sa/y"); empty for a caller outside the mesh.
	Principal string `json:"principal,omitempty"`
	// PrincipalAfter is set in a divergence when the caller's identity differs between the worlds.
	PrincipalAfter string `json:"principalAfter,omitempty"`
	// Workload is set when the caller is a known workload.
	Workload *Pods `json:"workload,omitempty"`
	Mode     Mode  `json:"mode"`
	// ModeAfter is set in a divergence when the caller's mode differs between the worlds.
	ModeAfter Mode `json:"modeAfter,omitempty"`
	// Others counts further callers for which the same holds.
	Others int `json:"others,omitempty"`
}

// Addressing is how a caller names the destination.
type Addressing string

// Ways to address a workload.
const (
	// ByService is the Service's VIP, or a hostname that resolves to it.
	ByService Addressing = "service"
	// ByPodIP is the pod's own address.
	ByPodIP Addressing = "pod IP"
	// ByHeadless is a headless Service's hostname, which resolves to pod addresses.
	ByHeadless Addressing = "headless service"
)

// Destination is where a call goes.
type Destination struct {
	Workload Pods `json:"workload"`
	// Service is set when the call is made by service.
	Service    string     `json:"service,omitempty"`
	Addressing Addressing `json:"addressing"`
	// Port is the pods' port; ServicePort the Service's, when made by service.
	Port        uint16 `json:"port"`
	ServicePort uint16 `json:"servicePort,omitempty"`
	// AnyOther says that Port stands for every port that neither the pods, nor a Service, nor a policy names: a pod may
	// listen on any.
	AnyOther bool `json:"anyOther,omitempty"`
}

// Token is a JWT as the caller presents it.
type Token struct {
	// Valid says that its issuer signed it and that it has not expired.
	Valid bool `json:"valid"`
	// Place is where it is sent, in the terms of JWTRule.Places; empty means the
	// Authorization header.
	Place string `json:"place,omitempty"`
	// Issuer is the iss claim.
	Issuer string `json:"issuer,omitempty"`
	// Claims hold the rest: strings, lists of strings and nested objects, as in JSON.
	Claims map[string]Claim `json:"claims,omitempty"`
	// material limits it to the rules with these keys; empty means any rule of its issuer.
	material string
}

// Claim is a JWT claim: a list of strings (one element for a plain string) or an object.
type Claim struct {
	Values []string         `json:"values,omitempty"`
	Object map[string]Claim `json:"object,omitempty"`
}

// Answer is what happens to a call, and all the reasons.
type Answer struct {
	Decision Decision `json:"decision"`
	// By is the point that decided: the first that denied, or the last that allowed.
	By Point `json:"by"`
	// Policy is the policy that decided, as namespace/name; empty when none did.
	Policy string `json:"policy,omitempty"`
	// Why is one sentence.
	Why string `json:"why"`
	// Route is the way of the call in words.
	Route string `json:"route,omitempty"`
	// Assumed lists attributes that policies on the way ask for and the request does not
	// give: they were taken to be absent.
	Assumed []string `json:"assumed,omitempty"`
	// Hops are the enforcement points on the way, in order, each with its own answer.
	Hops []Hop `json:"hops,omitempty"`
}

// Hop is one enforcement point on the path of a call.
type Hop struct {
	Point Point `json:"point"`
	// Where names the workload or waypoint that it enforces for.
	Where Ref `json:"where"`
	// Principal is the identity that it sees; empty means none (plaintext).
	Principal string `json:"principal,omitempty"`
	// Port is the destination port that it sees.
	Port     uint16   `json:"port"`
	Protocol Protocol `json:"protocol"`
	Decision Decision `json:"decision"`
	Reasons  []Reason `json:"reasons,omitempty"`
}

// Effect is what one policy rule did to a request.
type Effect string

// Effects.
const (
	EffectDenied   Effect = "denied"
	EffectAllowed  Effect = "allowed"
	EffectNoMatch  Effect = "no match"
	EffectImplicit Effect = "implicit deny"
	EffectDefault  Effect = "no ALLOW policy"
	EffectLogged   Effect = "logged only"
	EffectIgnored  Effect = "not enforced here"
	EffectUnknown  Effect = "unknown"
)

// Reason is one contribution to a decision.
type Reason struct {
	// Policy as namespace/name; empty for what no object stands for.
	Policy string `json:"policy,omitempty"`
	// Rule is the index of the rule, -1 when the policy as a whole speaks.
	Rule   int    `json:"rule"`
	Effect Effect `json:"effect"`
	Why    string `json:"why"`
}

// Kind says which way a divergence goes.
type Kind string

// Kinds. Weaker: a request that was denied is now allowed, or can no longer be told.
// Authenticated is the one exception: the request was denied only because the caller's
// identity was not seen (a sidecar that addresses a pod directly speaks plaintext); now
// it is seen, and the policies of before allow this caller this request.
const (
	Weaker        Kind = "weaker"
	Stricter      Kind = "stricter"
	Authenticated Kind = "authenticated"
)

// Divergence is a request that tells two worlds apart.
type Divergence struct {
	Kind    Kind    `json:"kind"`
	Request Request `json:"request"`
	// Words is the request as a person would say it.
	Words  string `json:"words"`
	Before Answer `json:"before"`
	After  Answer `json:"after"`
	// Callers are all of whom it holds; From.Others counts their identities.
	Callers CallerSet `json:"-"`
}

// Result is the outcome of comparing two worlds.
type Result struct {
	Equivalent  bool         `json:"equivalent"`
	Divergences []Divergence `json:"divergences"`
	// Omitted says what was not compared: what is in one of the worlds only, and what differs between them and is known to be
	// outside the model. Worlds are not Equivalent where anything was.
	Omitted []string `json:"omitted,omitempty"`
	// Notes say where the comparison had to be split and what is not listed.
	Notes []string `json:"notes,omitempty"`
	Stats Stats    `json:"stats"`
}

// Stats say how much was compared.
type Stats struct {
	// Destinations compared, and Skipped because nothing that they depend on differs.
	Destinations int `json:"destinations"`
	Skipped      int `json:"skipped"`
	// Scenarios are (caller class, destination, port, addressing, protocol) tuples.
	Scenarios int `json:"scenarios"`
	// Split counts the scenarios that were decided rule by rule.
	Split int `json:"split,omitempty"`
	// Regions is the number of request classes that were decided one by one.
	Regions int `json:"regions"`
}
