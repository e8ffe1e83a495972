package replay

import (
	"regexp"
	"strings"
)

// ztunnelKey is one key="value" or key=value of ztunnel's text format.
var ztunnelKey = regexp.MustCompile(`([a-z]+(?:[._][a-z]+)*)=("(?:[^"\\]|\\.)*"|\S+)`)

// ztunnelText reads TIME LEVEL SCOPE MESSAGE KEY=VALUE...; nil when the text is none of ztunnel's access log.
func ztunnelText(text string) *Line {
	at := strings.Index(text, "access")
	if at < 0 || !strings.Contains(text, "src.addr=") && !strings.Contains(text, "src.identity=") && !strings.Contains(text, "src.workload=") {
		return nil
	}
	head := strings.Fields(text[:at])
	var f jsonFields
	if len(head) > 0 {
		f.ZTime = head[0]
	}
	for _, m := range ztunnelKey.FindAllStringSubmatch(text[at:], -1) {
		f.set(m[1], strings.Trim(m[2], `"`))
	}
	f.Message = "connection complete"
	for _, message := range []string{"connection failed", "connection opened"} {
		if strings.Contains(text[at:], message+"\t") || strings.Contains(text[at:], message+" ") {
			f.Message = message
		}
	}
	l, err := f.ztunnel(ZtunnelText)
	if err != nil {
		return nil
	}
	return l
}

func (f *jsonFields) set(key, value string) {
	for name, field := range map[string]*string{"src.addr": &f.SrcAddr, "src.workload": &f.SrcPod, "src.namespace": &f.SrcNS, "src.identity": &f.SrcID,
		"dst.addr": &f.DstAddr, "dst.hbone_addr": &f.HBONE, "dst.service": &f.Service, "dst.workload": &f.DstPod, "dst.namespace": &f.DstNS,
		"direction": &f.Direction, "error": &f.Error} {
		if name == key {
			*field = value
		}
	}
}

// What ztunnel says when a policy refused (src/proxy.rs, Error and AuthorizationRejectionError). A client's ztunnel sees the
// refusal of the other side as an HTTP status 401 of its CONNECT, and a waypoint's as 403 inside of it.
const (
	ztunnelRejection = "policy rejection: "
	ztunnelDeniedBy  = "explicitly denied by: "
	ztunnelRemote    = "http status: 401"
)

func (f *jsonFields) ztunnel(form Form) (*Line, error) {
	if f.SrcAddr == "" && f.SrcID == "" && f.SrcPod == "" {
		return nil, &NotALine{"it is ztunnel's, but about no connection"}
	}
	l := &Line{Form: form, Time: f.ZTime, Rule: -1, Why: f.Error, Remote: f.SrcAddr, Local: f.DstAddr, SourceNamespace: f.SrcNS, SourcePod: f.SrcPod,
		DestinationNamespace: f.DstNS, DestinationPod: f.DstPod, Identity: strings.TrimPrefix(f.SrcID, "spiffe://"), Service: f.Service,
		Direction: f.Direction, Outcome: Passed}
	if f.HBONE != "" {
		l.Local = f.HBONE
	}
	switch _, rejection, rejected := strings.Cut(f.Error, ztunnelRejection); {
	case rejected:
		l.Outcome = Refused
		if by, ok := strings.CutPrefix(rejection, ztunnelDeniedBy); ok {
			l.Policy = strings.TrimSpace(by)
		}
	case strings.Contains(f.Error, ztunnelRemote):
		l.Outcome = Refused
	case f.Error != "":
		l.Outcome = Failed
	}
	return l, nil
}
