package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"slices"
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
	for _, name := range []string{"method", "path", "host", "header", "jwt", "bad-jwt"} {
		c.MarkFlagsMutuallyExclusive("tcp", name)
	}
	c.MarkFlagsOneRequired("from", "all-callers")
	if err := c.MarkFlagRequired("to"); err != nil {
		panic(err) // the flag was registered above
	}
}

// requests makes the call, once for each caller and each workload that is meant.
func (f *callFlags) requests(w *authz.World) ([]authz.Request, error) {
	base, destinations, err := f.call(w)
	if err != nil {
		return nil, err
	}
	callers, err := f.callers(w)
	if err != nil {
		return nil, err
	}
	var out []authz.Request
	for _, caller := range callers {
		for _, to := range destinations {
			r := base
			r.From, r.To = caller, to
			out = append(out, r)
		}
	}
	return out, nil
}

// call is the call without its caller, and the workloads that it may end at.
func (f *callFlags) call(w *authz.World) (authz.Request, []authz.Destination, error) {
	base, err := f.base(w)
	if err != nil {
		return base, nil, err
	}
	if base.To.Addressing != authz.ByService {
		destinations, err := resolvePods(w, base.To, f.to)
		return base, destinations, err
	}
	var out []authz.Destination
	for i := range w.Services {
		s := &w.Services[i]
		if s.Namespace+"/"+s.Name != base.To.Service || len(out) > 0 {
			continue
		}
		for _, ref := range s.Workloads {
			to := base.To
			to.Workload = ref
			if s.Headless {
				to.Addressing = authz.ByHeadless
			}
			out = append(out, to)
		}
	}
	if len(out) == 0 {
		out = []authz.Destination{base.To} // package authz says what is wrong with it
	}
	return base, out, nil
}

// access lists what --all-callers or --all-paths ask for.
func (f *callFlags) access(w *authz.World) ([]authz.Access, error) {
	_, destinations, err := f.call(w)
	if err != nil {
		return nil, err
	}
	var caller *authz.Pods
	if f.allPaths {
		callers, err := f.callers(w)
		if err != nil {
			return nil, err
		}
		if caller = callers[0].Workload; caller == nil {
			return nil, errors.New("--all-paths: the caller must be a workload")
		}
	}
	var out []authz.Access
	for _, to := range destinations {
		var list []authz.Access
		if caller == nil {
			list, err = authz.AllCallers(w, to)
		} else if to.Workload.Name == "" {
			_, err = authz.Can(w, authz.Request{From: authz.Caller{Workload: caller}, To: to})
		} else {
			list, err = authz.AllPaths(w, *caller, authz.Destination{Workload: to.Workload})
		}
		if err != nil {
			return nil, err
		}
		out = append(out, list...)
	}
	return out, nil
}

// base is the call as the flags have it.
func (f *callFlags) base(w *authz.World) (authz.Request, error) {
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
	err := f.check(w)
	if err != nil {
		return r, err
	}
	if f.jwt != "" {
		r.JWT, err = parseClaims(f.jwt)
	} else if f.badly != "" {
		r.JWT = &authz.Token{Issuer: f.badly}
	}
	return r, errors.Join(err, parseDestination(&r.To, f.to))
}

// check refuses values that no call can have.
func (f *callFlags) check(w *authz.World) error {
	for _, a := range [][2]string{{"--source-ip", f.sourceIP}, {"--remote-ip", f.remoteIP}} {
		if a[1] == "" {
			continue
		}
		if _, err := netip.ParseAddr(a[1]); err != nil {
			return fmt.Errorf("%s %s: not an IP address", a[0], a[1])
		}
	}
	if f.path != "" && !strings.HasPrefix(f.path, "/") {
		return fmt.Errorf("--path %s: an HTTP path begins with a slash", f.path)
	}
	if w.Config.ExtensionProviders == nil {
		return nil // the mesh configuration is not known
	}
	var names []string
	for _, p := range w.Config.ExtensionProviders {
		names = append(names, p.Name)
	}
	for _, p := range f.refused {
		if !slices.Contains(names, p) {
			return fmt.Errorf("--refused-by %s: the mesh configuration has no such extension provider%s", p, authz.Known("; it has", names))
		}
	}
	return nil
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
		d.Workload.Namespace, d.Workload.Name = ns, name
		return nil
	}
	d.Addressing, d.ServicePort = authz.ByService, uint16(port)
	d.Service = ns + "/" + name
	return nil
}

// resolvePods completes a destination that names a workload without its kind, once for each set of its pods.
func resolvePods(w *authz.World, d authz.Destination, to string) ([]authz.Destination, error) {
	var out []authz.Destination
	for i := range w.Workloads {
		if x := &w.Workloads[i]; x.Ref.Namespace == d.Workload.Namespace && x.Ref.Name == d.Workload.Name {
			found := d
			found.Workload = x.Pods()
			out = append(out, found)
		}
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("--to %s: no such workload%s", to, authz.Known("; workloads of its namespace", namesIn(w, d.Workload.Namespace)))
	}
	var names []string
	for i := range out {
		if out[i].Workload.Ref != out[0].Workload.Ref {
			names = append(names, out[0].Workload.Ref.String(), out[i].Workload.Ref.String())
		}
	}
	if len(names) > 0 {
		return nil, fmt.Errorf("--to %s: several workloads have this name%s", to, authz.Known("", names))
	}
	return out, nil
}

// namesIn lists the workloads of a namespace.
func namesIn(w *authz.World, namespace string) []string {
	var out []string
	for i := range w.Workloads {
		if wl := &w.Workloads[i]; wl.Ref.Namespace == namespace && wl.Role != authz.RoleExternal {
			out = append(out, wl.Ref.Name)
		}
	}
	return out
}

// callers resolves who calls.
func (f *callFlags) callers(w *authz.World) ([]authz.Caller, error) {
	if f.from == "outside" {
		return []authz.Caller{{Mode: authz.ModeNone}}, nil
	}
	if principal, mode, ok := strings.Cut(f.from, "@"); ok {
		c := authz.Caller{Principal: strings.TrimPrefix(principal, "spiffe://"), Mode: authz.Mode(mode)}
		if parts := strings.Split(c.Principal, "/"); len(parts) != 5 || parts[1] != "ns" || parts[3] != "sa" {
			return nil, fmt.Errorf("--from %s: an identity reads TRUSTDOMAIN/ns/NAMESPACE/sa/SERVICEACCOUNT, as in cluster.local/ns/shop/sa/cart@sidecar", f.from)
		}
		if c.Mode != authz.ModeSidecar && c.Mode != authz.ModeAmbient {
			return nil, fmt.Errorf("--from %s: mode %q is neither sidecar nor ambient; a caller without proxy is \"outside\"", f.from, mode)
		}
		return []authz.Caller{c}, nil
	}
	ns, name, ok := strings.Cut(f.from, "/")
	if !ok || strings.Contains(name, "/") {
		return nil, fmt.Errorf("--from %s: want NS/SERVICEACCOUNT, NS/WORKLOAD, PRINCIPAL@MODE or outside", f.from)
	}
	found := matching(w, func(wl *authz.Workload) bool { return wl.Ref.Namespace == ns && wl.ServiceAccount == name })
	if len(found) == 0 {
		found = matching(w, func(wl *authz.Workload) bool { return wl.Ref.Namespace == ns && wl.Ref.Name == name })
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("--from %s: no workload has this name or service account%s; an identity without workload is written PRINCIPAL@MODE", f.from, unlikely(w, ns, name))
	}
	return found, nil
}

// unlikely says what a caller's name stands for, or what is there.
func unlikely(w *authz.World, ns, name string) string {
	for i := range w.Services {
		if s := &w.Services[i]; s.Namespace == ns && s.Name == name {
			return " (it is a service, and services call nobody)"
		}
	}
	names := namesIn(w, ns)
	if len(names) == 0 {
		return " (nothing that is known lives in namespace " + ns + ")"
	}
	return " (" + strings.TrimPrefix(authz.Known("in its namespace are", names), " ") + ")"
}

// matching returns one caller for each mode, and of those that send no HBONE, among the workloads asked for: what else
// tells them apart is nothing that a policy sees.
func matching(w *authz.World, want func(*authz.Workload) bool) []authz.Caller {
	var out []authz.Caller
	type kind struct {
		mode  authz.Mode
		plain bool
	}
	seen := map[kind]bool{}
	for i := range w.Workloads {
		wl := &w.Workloads[i]
		if k := (kind{wl.Mode, wl.NoHBONESend}); callable(wl) && want(wl) && !seen[k] {
			seen[k] = true
			pods := wl.Pods()
			out = append(out, authz.Caller{Workload: &pods, Mode: wl.Mode})
		}
	}
	return out
}

// callable leaves out what makes no calls of its own.
func callable(w *authz.Workload) bool {
	return w.Role == authz.RoleApplication || w.Role == authz.RoleGateway
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
