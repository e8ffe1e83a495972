package replay

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	securityv1 "istio.io/client-go/pkg/apis/security/v1"
	"sigs.k8s.io/yaml"

	"github.com/sidestep-mesh/sidestep/internal/authz"
)

const policies = `
metadata: {name: read, namespace: pay}
spec:
  selector: {matchLabels: {app: api}}
  rules: [{from: [{source: {namespaces: [shop]}}], to: [{operation: {methods: [GET], paths: ["/v1/*"]}}]}]
---
metadata: {name: no-evil, namespace: pay}
spec:
  action: DENY
  selector: {matchLabels: {app: api}}
  rules: [{from: [{source: {principals: [cluster.local/ns/shop/sa/evil]}}], to: [{operation: {methods: [GET, PUT]}}]}]
---
metadata: {name: db, namespace: data}
spec:
  selector: {matchLabels: {app: db}}
  rules: [{from: [{source: {principals: [cluster.local/ns/pay/sa/api, cluster.local/ns/shop/sa/evil]}}]}]
---
metadata: {name: no-evil, namespace: data}
spec: {action: DENY, rules: [{from: [{source: {serviceAccounts: [shop/evil]}}]}]}
---
metadata: {name: web, namespace: front}
spec:
  targetRefs: [{kind: Service, name: web}]
  rules: [{to: [{operation: {methods: [GET, HEAD]}}]}]
`

// testWorld is four callers (sidecars of shop, an ambient one of pay's clients, nobody) and three destinations: pay/api with
// a sidecar, data/db behind ztunnel, front/web behind a waypoint.
func testWorld(t *testing.T) *authz.World {
	w := &authz.World{}
	add := func(ns, name, ip string, mode authz.Mode) {
		w.Workloads = append(w.Workloads, authz.Workload{Ref: authz.Ref{Kind: "Deployment", Namespace: ns, Name: name}, Labels: map[string]string{"app": name},
			ServiceAccount: name, Mode: mode, HBONE: true, Role: authz.RoleApplication, IPs: []netip.Addr{netip.MustParseAddr(ip)}})
	}
	add("shop", "cart", "10.0.0.1", authz.ModeSidecar)
	add("shop", "evil", "10.0.0.2", authz.ModeAmbient)
	add("pay", "api", "10.0.0.3", authz.ModeSidecar)
	add("data", "db", "10.0.0.4", authz.ModeAmbient)
	add("front", "web", "10.0.0.5", authz.ModeAmbient)
	add("test", "probe", "10.0.0.6", authz.ModeAmbient)
	service := func(ns, name, vip string, port, target uint16, proto authz.Protocol, waypoint string) {
		w.Services = append(w.Services, authz.Service{Namespace: ns, Name: name, VIPs: []netip.Addr{netip.MustParseAddr(vip)},
			Ports:     []authz.ServicePort{{Port: port, TargetPort: target, Protocol: proto}},
			Workloads: []authz.Pods{{Ref: authz.Ref{Kind: "Deployment", Namespace: ns, Name: name}}}, Waypoint: authz.Binding{Namespace: ns, Name: waypoint}})
	}
	service("pay", "api", "10.1.0.1", 80, 8080, authz.ProtocolHTTP, "")
	service("data", "db", "10.1.0.2", 5432, 5432, authz.ProtocolTCP, "")
	service("front", "web", "10.1.0.3", 80, 8080, authz.ProtocolHTTP, "waypoint")
	w.Waypoints = []authz.Waypoint{{Namespace: "front", Name: "waypoint", Programmed: true, Ready: true}}
	for _, text := range strings.Split(policies, "---\n") {
		var obj securityv1.AuthorizationPolicy
		if err := yaml.Unmarshal([]byte(text), &obj); err != nil {
			t.Fatal(err)
		}
		p, problems := authz.CompileAuthorizationPolicy(&obj)
		if len(problems) > 0 {
			t.Fatal(problems)
		}
		w.Policies.Authorization = append(w.Policies.Authorization, p)
	}
	return w
}

// logged is one call, with who decides it: an expectation that is written here and not asked of the model.
type logged struct {
	caller, ip, identity string
	dest, method, path   string
	by                   string // the policy that refuses; empty when the call passes, "?" where no rule of an ALLOW matches
}

// callsTo lists calls to a destination, many enough for 200 lines.
func callsTo(dest string) []logged {
	var out []logged
	who := []logged{{caller: "cart", ip: "10.0.0.1", identity: "cluster.local/ns/shop/sa/cart"}, {caller: "evil", ip: "10.0.0.2", identity: "cluster.local/ns/shop/sa/evil"},
		{caller: "api", ip: "10.0.0.3", identity: "cluster.local/ns/pay/sa/api"}, {caller: "probe", ip: "10.0.0.6", identity: "cluster.local/ns/test/sa/probe"},
		{caller: "", ip: "192.168.7.7"}}
	for _, c := range who {
		for n := range 12 {
			for _, method := range []string{"GET", "PUT", "HEAD", "DELETE"} {
				c.dest, c.method, c.path = dest, method, fmt.Sprintf("/v%d/item/%d?q=%d", n%2+1, n, n)
				c.by = ""
				fromShop, v1 := c.caller == "cart" || c.caller == "evil", n%2 == 0
				switch dest {
				case "pay/api":
					switch {
					case c.caller == "evil" && (method == "GET" || method == "PUT"):
						c.by = "pay/no-evil"
					case !fromShop || method != "GET" || !v1:
						c.by = "?"
					}
				case "data/db":
					switch c.caller {
					case "api":
					case "evil":
						c.by = "data/no-evil"
					default:
						c.by = "?"
					}
				case "front/web":
					if method != "GET" && method != "HEAD" {
						c.by = "?"
					}
				}
				out = append(out, c)
			}
		}
	}
	return out
}

func (c logged) details() (code, details string) {
	switch c.by {
	case "":
		return "200", "via_upstream"
	case "?":
		return "403", "rbac_access_denied_matched_policy[none]"
	}
	ns, name, _ := strings.Cut(c.by, "/")
	return "403", fmt.Sprintf("rbac_access_denied_matched_policy[ns[%s]-policy[%s]-rule[0]]", ns, name)
}

// place is where a proxy of the destination stands: its cluster, the address it was called at, and the SNI.
func (c logged) place() (cluster, local, sni string) {
	if c.dest == "front/web" {
		return "inbound-vip|80|http|web.front.svc.cluster.local", "10.1.0.3:80", "-"
	}
	sni = "-"
	if c.caller == "cart" || c.caller == "api" {
		sni = "outbound_.80_._.api.pay.svc.cluster.local"
	}
	return "inbound|8080||", "10.0.0.3:8080", sni
}

func (c logged) envoyText() string {
	code, details := c.details()
	cluster, local, sni := c.place()
	return fmt.Sprintf(`[2026-10-09T08:05:55.932Z] "%s %s HTTP/1.1" %s - %s - "-" 0 19 0 - "-" "curl/8.11.1 \"x\"" "66146f25" "%s" "-" %s - %s %s:54616 %s default`,
		c.method, c.path, code, details, host2(c.dest), cluster, local, c.ip, sni)
}

func host2(dest string) string {
	ns, name, _ := strings.Cut(dest, "/")
	return name + "." + ns
}

func (c logged) envoyJSON() string {
	code, details := c.details()
	cluster, local, sni := c.place()
	text, err := json.Marshal(map[string]any{"start_time": "2026-10-09T08:05:55.932Z", "method": c.method, "path": c.path, "protocol": "HTTP/1.1",
		"response_code": json.RawMessage(code), "response_flags": "-", "response_code_details": details, "connection_termination_details": nil,
		"upstream_transport_failure_reason": nil, "x_forwarded_for": nil, "authority": host2(c.dest), "upstream_cluster": cluster,
		"downstream_local_address": local, "downstream_remote_address": c.ip + ":54616", "requested_server_name": strings.TrimPrefix(sni, "-")})
	if err != nil {
		panic(err)
	}
	return string(text)
}

// ztunnelFields are what the destination's ztunnel logs.
func (c logged) ztunnelFields() ([][2]string, string) {
	f := [][2]string{{"src.addr", c.ip + ":46992"}}
	hbone := ""
	if c.identity != "" {
		f = append(f, [2]string{"src.workload", c.caller + "-7b5db664c-v7b6x"}, [2]string{"src.namespace", strings.Split(c.identity, "/")[2]}, [2]string{"src.identity", "spiffe://" + c.identity})
		hbone = "10.0.0.4:5432"
		f = append(f, [2]string{"dst.addr", "10.0.0.4:15008"}, [2]string{"dst.hbone_addr", hbone})
	} else {
		f = append(f, [2]string{"dst.addr", "10.0.0.4:5432"})
	}
	f = append(f, [2]string{"dst.service", "db.data.svc.cluster.local"}, [2]string{"dst.workload", "db-7467bbc689-bj5jz"}, [2]string{"dst.namespace", "data"}, [2]string{"direction", "inbound"})
	switch c.by {
	case "":
		return f, "info"
	case "?":
		f = append(f, [2]string{"error", "connection closed due to policy rejection: allow policies exist, but none allowed"})
	default:
		f = append(f, [2]string{"error", "connection closed due to policy rejection: explicitly denied by: " + c.by})
	}
	return f, "error"
}

func (c logged) ztunnelText() string {
	f, level := c.ztunnelFields()
	var b strings.Builder
	fmt.Fprintf(&b, "2026-10-09T11:55:01.094336Z\t%s\taccess\tconnection complete\t", level)
	for _, kv := range f {
		if strings.HasSuffix(kv[0], "addr") {
			fmt.Fprintf(&b, "%s=%s ", kv[0], kv[1])
		} else {
			fmt.Fprintf(&b, "%s=%q ", kv[0], kv[1])
		}
	}
	return b.String() + `bytes_sent=0 bytes_recv=0 duration="0ms"`
}

func (c logged) ztunnelJSON() string {
	f, level := c.ztunnelFields()
	m := map[string]any{"level": level, "time": "2026-10-09T11:55:01.094336Z", "scope": "access", "message": "connection complete", "bytes_sent": 0, "bytes_recv": 0}
	for _, kv := range f {
		m[kv[0]] = kv[1]
	}
	text, err := json.Marshal(m)
	if err != nil {
		panic(err)
	}
	return string(text)
}

// Two hundred and more lines of each form are decided as they were: by the policy that the line was made for, with the
// identity that the point saw; and the change proposed for a refused one admits it.
func TestLinesOfEachFormAreDecidedRight(t *testing.T) {
	w := testWorld(t)
	x := NewIndex(w, nil)
	for _, form := range []struct {
		name  Form
		write func(logged) string
		dests []string
	}{
		{EnvoyText, logged.envoyText, []string{"pay/api", "front/web"}},
		{EnvoyJSON, logged.envoyJSON, []string{"pay/api", "front/web"}},
		{ZtunnelText, logged.ztunnelText, []string{"data/db"}},
		{ZtunnelJSON, logged.ztunnelJSON, []string{"data/db"}},
	} {
		lines, proposals := 0, 0
		for _, dest := range form.dests {
			for i, c := range callsTo(dest) {
				if dest == "front/web" && (c.caller == "" || c.caller == "cart" || c.caller == "api") {
					continue // sidecars and callers outside go round a waypoint, so that it logs none of their calls
				}
				lines++
				text := form.write(c)
				l, err := Parse(text)
				if err != nil {
					t.Fatalf("%s: %v", text, err)
				}
				if l.Form != form.name {
					t.Fatalf("%s: read as %s", text, l.Form)
				}
				v, err := x.Decide(l, Hint{})
				if err != nil {
					t.Fatalf("%s: %v", text, err)
				}
				checkVerdict(t, w, text, c, v)
				if v.Change != nil && i%5 == 0 {
					proposals++
					checkChange(t, w, text, v)
				}
			}
		}
		if lines < 200 {
			t.Errorf("%s: %d lines, want 200", form.name, lines)
		}
		if proposals == 0 {
			t.Errorf("%s: no change was proposed", form.name)
		}
	}
}

func checkVerdict(t *testing.T, w *authz.World, text string, c logged, v *Verdict) {
	t.Helper()
	if !v.Agrees {
		t.Fatalf("%s:\nthe model says %s by %s (%s); notes %v", text, v.Answer.Decision, v.Answer.Policy, v.Answer.Why, v.Notes)
	}
	if c.by == "" {
		return
	}
	hop := refusing(&v.Answer)
	switch {
	case hop == nil:
		t.Fatalf("%s: nothing refuses", text)
	case c.by != "?" && v.Answer.Policy != c.by:
		t.Fatalf("%s: refused by %s, want %s", text, v.Answer.Policy, c.by)
	case hop.Principal != c.identity:
		t.Fatalf("%s: the point sees %q, want %q", text, hop.Principal, c.identity)
	case v.Change == nil && v.Instead == "":
		t.Fatalf("%s: neither a change nor what to do instead", text)
	case v.Change == nil && c.identity != "":
		t.Fatalf("%s: no change is proposed: %s", text, v.Instead)
	}
}

// checkChange applies a change and asks again.
func checkChange(t *testing.T, w *authz.World, text string, v *Verdict) {
	t.Helper()
	after := *w
	after.Policies.Authorization = append([]authz.AuthorizationPolicy(nil), w.Policies.Authorization...)
	for _, e := range v.Change.Edits {
		for i := range after.Policies.Authorization {
			if after.Policies.Authorization[i].Key() == e.Policy {
				after.Policies.Authorization[i] = e.After
			}
		}
	}
	a, err := authz.Can(&after, v.Request)
	if err != nil || a.Decision != authz.Allow {
		t.Fatalf("%s: after the change it is decided %s: %s (%v)", text, a.Decision, a.Why, err)
	}
	weaker := false
	for _, d := range v.Change.Diff.Divergences {
		if d.Kind == authz.Stricter {
			t.Fatalf("%s: the change refuses %s", text, d.Words)
		}
		weaker = weaker || d.Request.To.Workload == v.Request.To.Workload
	}
	if !weaker {
		t.Fatalf("%s: the comparison does not know that the change admits the call", text)
	}
}

// Lines as users published them.
func TestPublishedLinesAreRead(t *testing.T) {
	for text, want := range map[string]Line{
		`[2026-10-09T08:33:04.948Z] "POST /post HTTP/1.1" 403 - rbac_access_denied_matched_policy[ns[starfleet]-policy[probe-read-only]-rule[0]] - "-" 0 19 0 - "-" "fortio.org/fortio-1.69.5" "8fed64e3-3ec9-4502-ac8d-01cad9e6aaed" "probe:8000" "-" inbound|8080|| - 10.244.0.6:8080 10.244.0.9:48470 outbound_.8000_._.probe.starfleet.svc.cluster.local default`: {
			Form: EnvoyText, Outcome: Refused, Policy: "starfleet/probe-read-only", Rule: 0, Method: "POST", Path: "/post", Local: "10.244.0.6:8080", Remote: "10.244.0.9:48470"},
		`[2026-10-09T11:12:59.501Z] "GET /api/v1/products HTTP/1.1" 200 - via_upstream - "-" 0 395 19 18 "203.0.113.7,10.244.0.18" "curl/8.7.1" "ac5f0a1f" "starfleet.example.com" "10.244.0.12:9080" outbound|9080||bridge.starfleet.svc.cluster.local 10.244.0.18:48876 127.0.0.1:80 203.0.113.7:0 - -`: {
			Form: EnvoyText, Outcome: Passed, Rule: -1, Method: "GET", Path: "/api/v1/products", Local: "127.0.0.1:80", Remote: "203.0.113.7:0"},
		`[2026-01-01T00:00:00.000Z] "- - -" 0 - - rbac_access_denied_matched_policy[none] "-" 0 0 0 - "-" "-" "-" "-" "-" inbound|5432|| - 10.0.0.4:5432 10.0.0.1:5 - -`: {
			Form: EnvoyText, Outcome: Refused, Rule: -1, Local: "10.0.0.4:5432", Remote: "10.0.0.1:5"},
		`[2026-01-01T00:00:00.000Z] "GET / HTTP/2" 503 UH no_healthy_upstream - "-" 0 19 0 - "-" "-" "-" "web.front" "-" outbound|80||web.front.svc.cluster.local - 10.1.0.3:80 10.0.0.1:5 - default`: {
			Form: EnvoyText, Outcome: Failed, Rule: -1, Method: "GET", Path: "/", Local: "10.1.0.3:80", Remote: "10.0.0.1:5"},
		"ztunnel-x8vwb istio-proxy 2026-10-09T11:55:01.094336Z\terror\taccess\tconnection complete\tsrc.addr=10.244.0.14:46992 src.workload=\"shuttle-7b5db664c-v7b6x\" src.namespace=\"starfleet\" src.identity=\"spiffe://cluster.local/ns/starfleet/sa/shuttle\" dst.addr=10.244.0.9:15008 dst.hbone_addr=10.244.0.9:9080 dst.service=\"navcom.starfleet.svc.cluster.local\" dst.workload=\"navcom-v1-7467bbc689-bj5jz\" dst.namespace=\"starfleet\" dst.identity=\"spiffe://cluster.local/ns/starfleet/sa/starfleet-navcom\" direction=\"inbound\" bytes_sent=0 bytes_recv=0 duration=\"0ms\" error=\"connection closed due to policy rejection: allow policies exist, but none allowed\"": {
			Form: ZtunnelText, Outcome: Refused, Rule: -1, Local: "10.244.0.9:9080", Remote: "10.244.0.14:46992"},
		`{"level":"error","time":"2026-08-10T08:19:58.950669Z","scope":"access","message":"connection complete","src.addr":"198.18.4.182:46376","src.workload":"attacker","src.namespace":"attacker","dst.addr":"198.18.0.40:80","dst.service":"backend.backend.svc.cluster.local","dst.workload":"backend","dst.namespace":"backend","direction":"inbound","bytes_sent":0,"bytes_recv":0,"duration":"0ms","error":"connection closed due to policy rejection: explicitly denied by: istio-system/istio_converted_static_strict"}`: {
			Form: ZtunnelJSON, Outcome: Refused, Policy: "istio-system/istio_converted_static_strict", Rule: -1, Local: "198.18.0.40:80", Remote: "198.18.4.182:46376"},
		"2026-01-01T00:00:00Z\terror\taccess\tconnection complete\tsrc.addr=10.0.0.1:5 dst.addr=10.0.0.4:15008 direction=\"outbound\" error=\"connection timed out, maybe a NetworkPolicy is blocking HBONE port 15008: deadline has elapsed\"": {
			Form: ZtunnelText, Outcome: Failed, Rule: -1, Local: "10.0.0.4:15008", Remote: "10.0.0.1:5"},
	} {
		l, err := Parse(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		got := Line{Form: l.Form, Outcome: l.Outcome, Policy: l.Policy, Rule: l.Rule, Method: l.Method, Path: l.Path, Local: l.Local, Remote: l.Remote}
		if got != want {
			t.Errorf("%s:\n got %+v\nwant %+v", text, got, want)
		}
	}
}

func TestWhatIsNoLineIsSaidToBeNone(t *testing.T) {
	for text, want := range map[string]string{
		"":                                 "it is empty",
		"hello world":                      "neither istiod's default access log",
		`{"level":"info","msg":"ok"}`:      "none of the keys",
		`{"scope":"access","message":"x"}`: "about no connection",
		`{"path": {"a": 1}}`:               "another type",
		"2026-01-01T00:00:00Z info xds Stream established":                          "neither",
		`127.0.0.1 - - [10/Oct/2000:13:55:36 -0700] "GET /a.gif HTTP/1.0" 200 2326`: "neither",
	} {
		if _, err := Parse(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, c := range callsTo("pay/api")[:3] {
		f.Add(c.envoyText())
		f.Add(c.envoyJSON())
	}
	f.Add(callsTo("data/db")[0].ztunnelText())
	w := testWorld(&testing.T{})
	x := NewIndex(w, nil)
	f.Fuzz(func(t *testing.T, text string) {
		if l, err := Parse(text); err == nil {
			_, _ = x.Decide(l, Hint{})
		}
	})
}
