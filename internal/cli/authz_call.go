package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/sidestep-mesh/sidestep/internal/authz"
	"github.com/spf13/cobra"
)

// callFlags describe one call.
type callFlags struct {
	from, to                       string
	allCallers, allPaths           bool
	tcp                            bool
	method, path, host, sni        string
	sourceIP, remoteIP, jwt, badly string
	headers, refused               []string
}

func (f *callFlags) register(c *cobra.Command) {
	flags := c.Flags()
	flags.StringVar(&f.from, "from", "", "caller: `NS/SERVICEACCOUNT`, NS/WORKLOAD, PRINCIPAL@MODE, or outside")
	flags.StringVar(&f.to, "to", "", "destination: `NS/SERVICE:PORT`, or pod:NS/WORKLOAD:PORT for the pods' own address")
	flags.BoolVar(&f.allCallers, "all-callers", false, "list who may do what at the destination, whatever the call")
	flags.BoolVar(&f.allPaths, "all-paths", false, "list what the caller may do on every way to the destination: by service, by pod IP, each port")
	flags.BoolVar(&f.tcp, "tcp", false, "the caller does not speak HTTP")
	flags.StringVar(&f.method, "method", "", "HTTP `METHOD`")
	flags.StringVar(&f.path, "path", "", "HTTP `PATH`")
	flags.StringVar(&f.host, "host", "", "HTTP `HOST`")
	flags.StringArrayVar(&f.headers, "header", nil, "HTTP header `NAME=VALUE`; repeatable")
	flags.StringVar(&f.jwt, "jwt", "", "`CLAIMS` of a valid token, as JSON")
	flags.StringVar(&f.badly, "bad-jwt", "", "a token of this `ISSUER` that does not validate")
	flags.StringVar(&f.sni, "sni", "", "server `NAME` of the TLS connection")
	flags.StringVar(&f.sourceIP, "source-ip", "", "`ADDRESS` of the connection's peer")
	flags.StringVar(&f.remoteIP, "remote-ip", "", "`ADDRESS` of the original client, from X-Forwarded-For")
	flags.StringSliceVar(&f.refused, "refused-by", nil, "external authorization `PROVIDER` that would refuse the call; repeatable")
	c.MarkFlagsMutuallyExclusive("from", "all-callers")
	c.MarkFlagsMutuallyExclusive("all-paths", "all-callers")
	c.MarkFlagsMutuallyExclusive("jwt", "bad-jwt")
	c.MarkFlagsOneRequired("from", "all-callers")
	if err := c.MarkFlagRequired("to"); err != nil {
		panic(err) // the flag was registered above
	}
}

// requests makes the call, once for each caller that is meant.
func (f *callFlags) requests(w *authz.World) ([]authz.Request, error) {
	base, err := f.base()
	if err != nil {
		return nil, err
	}
	if err := resolvePods(w, &base.To, f.to); err != nil {
		return nil, err
	}
	callers, err := f.callers(w)
	if err != nil {
		return nil, err
	}
	var out []authz.Request
	for _, caller := range callers {
		r := base
		r.From = caller
		out = append(out, r)
	}
	return out, nil
}

// access lists what --all-callers or --all-paths ask for.
func (f *callFlags) access(w *authz.World) ([]authz.Access, error) {
	base, err := f.base()
	if err != nil {
		return nil, err
	}
	if err := resolvePods(w, &base.To, f.to); err != nil {
		return nil, err
	}
	if f.allCallers {
		return authz.AllCallers(w, base.To)
	}
	callers, err := f.callers(w)
	if err != nil {
		return nil, err
	}
	if callers[0].Workload == nil {
		return nil, errors.New("--all-paths: the caller must be a workload")
	}
	to := base.To
	if to.Addressing == authz.ByService {
		if to, err = podsBehind(w, to); err != nil {
			return nil, err
		}
	}
	to.Port, to.Addressing = 0, ""
	return authz.AllPaths(w, *callers[0].Workload, to)
}

// podsBehind is the workload behind a service, whatever the way to it.
func podsBehind(w *authz.World, d authz.Destination) (authz.Destination, error) {
	for i := range w.Services {
		if s := &w.Services[i]; s.Namespace+"/"+s.Name == d.Service && len(s.Workloads) > 0 {
			return authz.Destination{Workload: s.Workloads[0]}, nil
		}
	}
	return d, fmt.Errorf("destination %s: no such service, or it selects no workload", d.Service)
}

// base is the call without its caller.
func (f *callFlags) base() (authz.Request, error) {
	r := authz.Request{
		Method: f.method, Path: f.path, Host: f.host, SNI: f.sni,
		SourceIP: f.sourceIP, RemoteIP: f.remoteIP, Refused: f.refused,
	}
	if f.tcp {
		r.Protocol = authz.ProtocolTCP
	}
	for _, h := range f.headers {
		name, value, ok := strings.Cut(h, "=")
		if !ok {
			return r, fmt.Errorf("--header %s: want NAME=VALUE", h)
		}
		if r.Headers == nil {
			r.Headers = map[string]string{}
		}
		r.Headers[name] = value
	}
	var err error
	if f.jwt != "" {
		r.JWT, err = parseClaims(f.jwt)
	} else if f.badly != "" {
		r.JWT = &authz.Token{Issuer: f.badly}
	}
	return r, errors.Join(err, parseDestination(&r.To, f.to))
}

// parseDestination reads NS/SERVICE:PORT or pod:NS/WORKLOAD:PORT.
func parseDestination(d *authz.Destination, to string) error {
	address, byPod := strings.CutPrefix(to, "pod:")
	i := strings.LastIndexByte(address, ':')
	ns, name, ok := strings.Cut(address[:max(i, 0)], "/")
	if i < 0 || !ok || ns == "" || name == "" {
		return fmt.Errorf("--to %s: want NS/SERVICE:PORT or pod:NS/WORKLOAD:PORT", to)
	}
	port, err := strconv.ParseUint(address[i+1:], 10, 16)
	if err != nil || port == 0 {
		return fmt.Errorf("--to %s: %s is no port", to, address[i+1:])
	}
	if byPod {
		d.Addressing, d.Port = authz.ByPodIP, uint16(port)
		d.Workload = authz.Ref{Namespace: ns, Name: name}
		return nil
	}
	d.Addressing, d.ServicePort = authz.ByService, uint16(port)
	d.Service = ns + "/" + name
	return nil
}

// resolvePods completes a destination that names a workload without its kind.
func resolvePods(w *authz.World, d *authz.Destination, to string) error {
	if d.Addressing != authz.ByPodIP {
		return nil
	}
	var found []authz.Ref
	for i := range w.Workloads {
		if r := w.Workloads[i].Ref; r.Namespace == d.Workload.Namespace && r.Name == d.Workload.Name {
			found = append(found, r)
		}
	}
	if len(found) != 1 {
		return fmt.Errorf("--to %s: %d workloads have this name", to, len(found))
	}
	d.Workload = found[0]
	return nil
}

// callers resolves who calls.
func (f *callFlags) callers(w *authz.World) ([]authz.Caller, error) {
	if f.from == "outside" {
		return []authz.Caller{{Mode: authz.ModeNone}}, nil
	}
	if principal, mode, ok := strings.Cut(f.from, "@"); ok {
		return []authz.Caller{{Principal: strings.TrimPrefix(principal, "spiffe://"), Mode: authz.Mode(mode)}}, nil
	}
	ns, name, ok := strings.Cut(f.from, "/")
	if !ok {
		return nil, fmt.Errorf("--from %s: want NS/SERVICEACCOUNT, NS/WORKLOAD, PRINCIPAL@MODE or outside", f.from)
	}
	found := matching(w, func(wl *authz.Workload) bool { return wl.Ref.Namespace == ns && wl.ServiceAccount == name })
	if len(found) == 0 {
		found = matching(w, func(wl *authz.Workload) bool { return wl.Ref.Namespace == ns && wl.Ref.Name == name })
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("--from %s: no workload has this name or service account; an identity without one is written PRINCIPAL@MODE", f.from)
	}
	return found, nil
}

// matching returns one caller for each mode among the workloads asked for: what else tells them apart is
// nothing that a policy sees.
func matching(w *authz.World, want func(*authz.Workload) bool) []authz.Caller {
	var out []authz.Caller
	seen := map[authz.Mode]bool{}
	for i := range w.Workloads {
		if wl := &w.Workloads[i]; want(wl) && !seen[wl.Mode] {
			seen[wl.Mode] = true
			out = append(out, authz.Caller{Workload: &wl.Ref, Mode: wl.Mode})
		}
	}
	return out
}

// parseClaims reads the claims of a valid token.
func parseClaims(text string) (*authz.Token, error) {
	var raw map[string]any
	if err := json.Unmarshal([]byte(text), &raw); err != nil {
		return nil, fmt.Errorf("--jwt: not a JSON object: %w", err)
	}
	t := &authz.Token{Valid: true, Claims: map[string]authz.Claim{}}
	t.Issuer, _ = raw["iss"].(string)
	for name, value := range raw {
		t.Claims[name] = claimOf(value)
	}
	return t, nil
}

// claimOf keeps what a policy can match: strings, lists of strings, and objects of these. A number or a
// boolean matches nothing.
func claimOf(value any) authz.Claim {
	var c authz.Claim
	switch v := value.(type) {
	case string:
		c.Values = []string{v}
	case []any:
		for _, item := range v {
			if s, ok := item.(string); ok {
				c.Values = append(c.Values, s)
			}
		}
	case map[string]any:
		c.Object = map[string]authz.Claim{}
		for name, inner := range v {
			c.Object[name] = claimOf(inner)
		}
	}
	return c
}
