package route

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	apinetworking "istio.io/api/networking/v1alpha3"
)

// ActionKind is what becomes of a call.
type ActionKind string

const (
	Forward  ActionKind = "forward"
	Redirect ActionKind = "redirect"
	Respond  ActionKind = "respond" // by the proxy itself
	Refuse   ActionKind = "refuse"  // no route, no cluster, or forbidden
)

// Action is what a proxy does with a call. Durations are zero for "no limit".
type Action struct {
	Kind ActionKind `json:"kind"`
	// Status is the answer of Respond and Refuse; Text the redirect, the body, or why it is refused.
	Status uint32 `json:"status,omitempty"`
	Text   string `json:"text,omitempty"`
	// MissingStatus is the answer to calls whose share goes to a destination that does not exist; 0 where all do.
	MissingStatus uint32 `json:"missingStatus,omitempty"`
	// Destinations are where the call may go. Their weights add up to any sum; one alone has weight 1.
	Destinations []Destination `json:"destinations,omitempty"`
	Rewrite      string        `json:"rewrite,omitempty"`
	Authority    string        `json:"authority,omitempty"`
	Headers      []string      `json:"headers,omitempty"`
	Timeout      time.Duration `json:"timeout,omitempty"`
	Retries      Retries       `json:"retries,omitzero"`
	Mirrors      []string      `json:"mirrors,omitempty"`
	Fault        string        `json:"fault,omitempty"`
	CORS         string        `json:"cors,omitempty"`
	// Fields says where each part was read, by part.
	Fields map[Part]Origin `json:"-"`

	path     *pathChange
	redirect *redirectTo
}

// Part is one thing that a route or a policy says.
type Part string

const (
	PartDestination Part = "destination"
	PartSplit       Part = "split"
	PartSubset      Part = "subset"
	PartMatch       Part = "match"
	PartAnswer      Part = "answer" // redirects and direct responses
	PartRewrite     Part = "rewrite"
	PartHeaders     Part = "headers"
	PartTimeout     Part = "timeout"
	PartRetries     Part = "retries"
	PartMirror      Part = "mirror"
	PartFault       Part = "fault"
	PartCORS        Part = "cors"
	PartTLS         Part = "tls"
	PartBalance     Part = "balance"
	PartAffinity    Part = "affinity"
	PartLocality    Part = "locality"
	PartPool        Part = "connectionPool"
	PartOutlier     Part = "outlierDetection"
	PartTunnel      Part = "tunnel"
	PartUpgrade     Part = "upgrade"
	PartBudget      Part = "retryBudget"
)

// Retries is a retry policy as Envoy is given it. Default reports whether nobody configured it: Istio's own two
// retries of calls that cannot have reached the application.
type Retries struct {
	Attempts int32         `json:"attempts"`
	On       string        `json:"on,omitempty"`
	PerTry   time.Duration `json:"perTry,omitempty"`
	More     string        `json:"more,omitempty"`
	Default  bool          `json:"default,omitempty"`
}

// Istio's default (core/route/retry/retry.go).
const (
	defaultAttempts = 2
	defaultRetryOn  = "connect-failure,refused-stream,unavailable,cancelled,retriable-status-codes"
)

// retries writes a policy with its defaults. A route's own comes before the mesh's.
func retries(own, mesh *apinetworking.HTTPRetry) Retries {
	in := own
	if in == nil {
		in = mesh
	}
	if in == nil {
		return Retries{Attempts: defaultAttempts, On: defaultRetryOn, Default: true}
	}
	if in.GetAttempts() <= 0 {
		return Retries{}
	}
	out := Retries{Attempts: in.GetAttempts(), On: cmp.Or(in.GetRetryOn(), defaultRetryOn), PerTry: in.GetPerTryTimeout().AsDuration()}
	rest := proto.Clone(in).(*apinetworking.HTTPRetry)
	rest.Attempts, rest.RetryOn, rest.PerTryTimeout = 0, "", nil
	out.More = canonical(rest)
	// A policy spelled out that is the default changes nothing.
	out.Default = out.Attempts == defaultAttempts && out.On == defaultRetryOn && out.PerTry == 0 && out.More == ""
	return out
}

// Destination is one place a call may go.
type Destination struct {
	Target Target `json:"target"`
	// Weight is its share of the sum.
	Weight  uint32   `json:"weight"`
	Headers []string `json:"headers,omitempty"`
	Policy  Policy   `json:"policy,omitzero"`
	Origin  Origin   `json:"-"`
}

// Target is what stands behind a destination. Two names of one thing have the same Key.
type Target struct {
	// Host, Port and Subset are as the route names them.
	Host   string `json:"host"`
	Port   uint32 `json:"port,omitempty"`
	Subset string `json:"subset,omitempty"`
	// Pods are the workloads behind it, each with the labels that a subset adds; empty for none.
	Pods []string `json:"pods,omitempty"`
	// Key identifies what stands behind: pods and their port, endpoints outside, or nothing.
	Key string `json:"key"`
	// Missing reports whether the proxy has no cluster for it, so that calls fail.
	Missing bool `json:"missing,omitempty"`
}

// Name is the target for people.
func (t Target) Name() string {
	s := t.Host
	if t.Port != 0 {
		s += fmt.Sprintf(":%d", t.Port)
	}
	if t.Subset != "" {
		s += " subset " + t.Subset
	}
	return s
}

// Policy is how a proxy speaks to a destination, each part in a canonical text that is empty for the default.
type Policy struct {
	TLS         string `json:"tls,omitempty"`
	Balance     string `json:"balance,omitempty"`
	Affinity    string `json:"affinity,omitempty"`
	Locality    string `json:"locality,omitempty"`
	Pool        string `json:"connectionPool,omitempty"`
	Outlier     string `json:"outlierDetection,omitempty"`
	Tunnel      string `json:"tunnel,omitempty"`
	Upgrade     string `json:"upgrade,omitempty"`
	RetryBudget string `json:"retryBudget,omitempty"`
	// From is where each part was read.
	From map[Part]Origin `json:"-"`
}

// texts lists the parts in a fixed order.
func (p Policy) texts() []partText {
	return []partText{{PartTLS, p.TLS}, {PartBalance, p.Balance}, {PartAffinity, p.Affinity}, {PartLocality, p.Locality},
		{PartPool, p.Pool}, {PartOutlier, p.Outlier}, {PartTunnel, p.Tunnel}, {PartUpgrade, p.Upgrade}, {PartBudget, p.RetryBudget}}
}

type partText struct {
	part Part
	text string
}

// canonical writes a message so that equal ones have equal texts; empty for one without content.
func canonical(m proto.Message) string {
	if m == nil || !m.ProtoReflect().IsValid() || proto.Size(m) == 0 {
		return ""
	}
	b, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(m)
	if err != nil {
		return "unreadable: " + err.Error()
	}
	var out bytes.Buffer
	if err := json.Compact(&out, b); err != nil { // protojson varies its spaces on purpose
		return "unreadable: " + err.Error()
	}
	return out.String()
}

// headerTexts lists what is done to headers, in a fixed order. Authority is returned on its own: Envoy treats it
// as the host that is asked for (core/route/route.go TranslateHeadersOperations).
func headerTexts(h *apinetworking.Headers) (out []string, authority string) {
	for _, side := range []struct {
		name string
		ops  *apinetworking.Headers_HeaderOperations
	}{{"request", h.GetRequest()}, {"response", h.GetResponse()}} {
		for verb, list := range map[string]map[string]string{"set": side.ops.GetSet(), "add": side.ops.GetAdd()} {
			for name, value := range list {
				switch lower := strings.ToLower(name); {
				case lower == ":authority" || lower == "host":
					if side.name == "request" && (verb == "set" || authority == "") {
						authority = value
					}
				case strings.HasPrefix(lower, ":"):
				default:
					out = append(out, fmt.Sprintf("%s %s %s: %s", verb, side.name, lower, value))
				}
			}
		}
		for _, name := range side.ops.GetRemove() {
			if lower := strings.ToLower(name); lower != "host" && !strings.HasPrefix(lower, ":") {
				out = append(out, fmt.Sprintf("remove %s %s", side.name, lower))
			}
		}
	}
	slices.Sort(out)
	return out, authority
}
