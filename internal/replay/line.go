// Package replay reads what proxies log about calls and asks the model about them: which policy decided, with which
// identity, what would admit the call, and which recorded calls another state of the mesh would decide otherwise.
//
// The formats are those of istiod's default access log (pilot/pkg/model/telemetry_logging.go, text and JSON) and of
// ztunnel (src/proxy/metrics.rs, text and JSON).
package replay

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
)

// Form is the format a line is in.
type Form string

// Forms of lines.
const (
	EnvoyText   Form = "Envoy access log, text"
	EnvoyJSON   Form = "Envoy access log, JSON"
	ZtunnelText Form = "ztunnel access log, text"
	ZtunnelJSON Form = "ztunnel access log, JSON"
)

// Outcome is what became of the call as the proxy that wrote the line saw it.
type Outcome string

// Outcomes. A failed call broke for a reason that is no policy's.
const (
	Passed  Outcome = "passed"
	Refused Outcome = "refused"
	Failed  Outcome = "failed"
)

// Line is one line of an access log. Fields that it does not have are empty.
type Line struct {
	Form Form   `json:"form"`
	Time string `json:"time,omitempty"`
	// Outcome, and Policy (namespace/name) with Rule where the line names who refused. Rule is -1 when it names none.
	Outcome Outcome `json:"outcome"`
	Policy  string  `json:"policy,omitempty"`
	Rule    int     `json:"rule"`
	// Why is the line's own reason: response code details, termination details or ztunnel's error.
	Why string `json:"why,omitempty"`
	// Of HTTP requests.
	Method, Path, Authority, Protocol, Code string `json:",omitempty"`
	Flags                                   string `json:"flags,omitempty"`
	ForwardedFor                            string `json:"forwardedFor,omitempty"`
	// Cluster is Envoy's upstream cluster; it says where the proxy stood and for which service.
	Cluster string `json:"cluster,omitempty"`
	// Local and Remote are the ends of the connection as its server saw them; SNI the name asked for.
	Local, Remote, SNI string `json:",omitempty"`
	// Source and Destination are pods as ztunnel names them; Identity the caller's, without the scheme.
	SourceNamespace, SourcePod           string `json:",omitempty"`
	DestinationNamespace, DestinationPod string `json:",omitempty"`
	Identity                             string `json:"identity,omitempty"`
	// Service is the destination's host name as ztunnel tells it, and Direction inbound or outbound.
	Service   string `json:"service,omitempty"`
	Direction string `json:"direction,omitempty"`
}

// NotALine says that text is no line of a log that is known here.
type NotALine struct{ Reason string }

func (e *NotALine) Error() string { return "not a log line: " + e.Reason }

// Parse reads one line. What kubectl and log shippers put before it (a pod's name, a timestamp) is skipped.
func Parse(text string) (*Line, error) {
	text = strings.TrimSpace(text)
	switch {
	case text == "":
		return nil, &NotALine{"it is empty"}
	case strings.Contains(text, "{"):
		if i := strings.IndexByte(text, '{'); json.Valid([]byte(text[i:])) {
			return parseJSON(text[i:])
		}
	}
	if m := envoyTextPattern.FindStringSubmatch(text); m != nil {
		return envoyText(m), nil
	}
	if l := ztunnelText(text); l != nil {
		return l, nil
	}
	return nil, &NotALine{"it is neither istiod's default access log (text or JSON) nor ztunnel's; a format of your own has to be written as JSON with the default's keys"}
}

// envoyTextPattern is istiod's EnvoyTextLogFormat. Quoted fields may hold escaped quotes; the rest hold no blanks, but for
// the details, in which Envoy replaces them by underscores.
var envoyTextPattern = regexp.MustCompile(`\[([^\]]+)\] "(\S+) (.*?) (\S+)" (\S+) (\S+) (\S+) (\S+) "((?:[^"\\]|\\.)*)" (\d+|-) (\d+|-) (\d+|-) (\S+) "((?:[^"\\]|\\.)*)" "((?:[^"\\]|\\.)*)" "((?:[^"\\]|\\.)*)" "((?:[^"\\]|\\.)*)" "((?:[^"\\]|\\.)*)" (\S+) (\S+) (\S+) (\S+) (\S+) (\S+)\s*$`)

func envoyText(m []string) *Line {
	get := func(i int) string { return dash(m[i]) }
	l := &Line{Form: EnvoyText, Time: get(1), Method: get(2), Path: get(3), Protocol: get(4), Code: get(5), Flags: get(6),
		ForwardedFor: get(14), Authority: get(17), Cluster: get(19), Local: get(21), Remote: get(22), SNI: get(23)}
	l.envoyOutcome(get(7), get(8), get(9))
	return l
}

// dash turns Envoy's mark for an absent value into none.
func dash(s string) string {
	if s == "-" {
		return ""
	}
	return s
}

// rbacDenied is what Envoy's RBAC filters put into the details: the policy's name as istiod writes it
// (security/authz/builder/builder.go). Nothing matched an ALLOW when the name is none.
var rbacDenied = regexp.MustCompile(`rbac_access_denied_matched_policy\[(?:ns\[([^\]]*)\]-policy\[([^\]]*)\]-rule\[(\d+)\]|([^\]]*))\]`)

func (l *Line) envoyOutcome(details, termination, transport string) {
	l.Rule = -1
	l.Why = details
	if termination != "" && (details == "" || strings.Contains(termination, "rbac_access_denied")) {
		l.Why = termination
	}
	if l.Why == "" {
		l.Why = transport
	}
	switch m := rbacDenied.FindStringSubmatch(details + " " + termination); {
	case m != nil:
		l.Outcome = Refused
		if m[1] != "" {
			l.Policy = m[1] + "/" + m[2]
			_, _ = fmt.Sscan(m[3], &l.Rule) // the pattern admits digits only
		}
	case strings.HasPrefix(details, "jwt_authn_access_denied"), strings.HasPrefix(details, "ext_authz_denied"), strings.HasPrefix(details, "rbac_access_denied"):
		l.Outcome = Refused
	case l.Code == "" || l.Code == "0" || l.Flags != "" && (strings.HasPrefix(l.Code, "5") || l.Method == ""):
		l.Outcome = Passed
		if l.Code != "" && l.Code != "0" || l.Flags != "" {
			l.Outcome = Failed
		}
	default:
		l.Outcome = Passed // any answer of the application, 403 included: details via_upstream
	}
}

// jsonFields are the keys of istiod's EnvoyJSONLogFormatIstio that are read here, and two that are often added.
type jsonFields struct {
	Time         string `json:"start_time"`
	Method       string `json:"method"`
	Path         string `json:"path"`
	Protocol     string `json:"protocol"`
	Code         any    `json:"response_code"`
	Flags        string `json:"response_flags"`
	Details      string `json:"response_code_details"`
	Termination  string `json:"connection_termination_details"`
	Transport    string `json:"upstream_transport_failure_reason"`
	ForwardedFor string `json:"x_forwarded_for"`
	Authority    string `json:"authority"`
	Cluster      string `json:"upstream_cluster"`
	Local        string `json:"downstream_local_address"`
	Remote       string `json:"downstream_remote_address"`
	SNI          string `json:"requested_server_name"`
	Peer         string `json:"downstream_peer_uri_san"`
	Principal    string `json:"source_principal"`

	// ztunnel's.
	Scope     string `json:"scope"`
	Message   string `json:"message"`
	ZTime     string `json:"time"`
	SrcAddr   string `json:"src.addr"`
	SrcPod    string `json:"src.workload"`
	SrcNS     string `json:"src.namespace"`
	SrcID     string `json:"src.identity"`
	DstAddr   string `json:"dst.addr"`
	HBONE     string `json:"dst.hbone_addr"`
	Service   string `json:"dst.service"`
	DstPod    string `json:"dst.workload"`
	DstNS     string `json:"dst.namespace"`
	Direction string `json:"direction"`
	Error     string `json:"error"`
}

func parseJSON(text string) (*Line, error) {
	var f jsonFields
	if err := json.Unmarshal([]byte(text), &f); err != nil {
		return nil, &NotALine{"its JSON has another type where an access log has text: " + err.Error()}
	}
	switch {
	case f.Scope == "access" || f.SrcAddr != "":
		return f.ztunnel(ZtunnelJSON)
	case f.Local == "" && f.Cluster == "" && f.Authority == "" && f.Details == "":
		return nil, &NotALine{"its JSON has none of the keys of istiod's default access log (upstream_cluster, downstream_local_address, authority, response_code_details) nor of ztunnel's (src.addr)"}
	}
	l := &Line{Form: EnvoyJSON, Time: f.Time, Method: dash(f.Method), Path: dash(f.Path), Protocol: dash(f.Protocol), Flags: dash(f.Flags),
		ForwardedFor: dash(f.ForwardedFor), Authority: dash(f.Authority), Cluster: dash(f.Cluster), Local: dash(f.Local),
		Remote: dash(f.Remote), SNI: dash(f.SNI)}
	for _, id := range []string{f.Peer, f.Principal} {
		if l.Identity == "" {
			l.Identity = strings.TrimPrefix(dash(id), "spiffe://")
		}
	}
	if f.Code != nil {
		l.Code = dash(fmt.Sprint(f.Code))
	}
	l.envoyOutcome(dash(f.Details), dash(f.Termination), dash(f.Transport))
	return l, nil
}
