package snapshot

import (
	"slices"
	"strings"
	"testing"
)

func TestMentions(t *testing.T) {
	for what, c := range map[string]struct{ name, text, want string }{
		"a URL":                                {"", "until curl -fs http://localhost:15021/healthz/ready; do sleep 1; done", "localhost:15021"},
		"a URL with a password":                {"", "curl http://admin:hunter2@127.0.0.1:15000/clusters", "localhost:15000"},
		"IPv6":                                 {"QUIT", "http://[::1]:15020/quitquitquit", "localhost:15020 quitquitquit"},
		"IPv6 in full":                         {"QUIT", "http://[0:0:0:0:0:0:0:1]:15020", "localhost:15020"},
		"another loopback address":             {"", "curl 127.1:15020", "localhost:15020"},
		"bash's own TCP":                       {"", "exec 3<>/dev/tcp/127.0.0.1/15021", "localhost:15021"},
		"nc":                                   {"", "until nc -z localhost 15021; do sleep 1; done; exec app", "localhost:15021"},
		"nc with a time limit":                 {"", "nc -w 2 -z 127.0.0.1 15021", "localhost:15021"},
		"the debug port":                       {"", "curl localhost:15004/debug/syncz", "localhost:15004"},
		"Prometheus' port":                     {"", "--scrape=http://127.0.0.1:15090/stats/prometheus", "localhost:15090"},
		"a variable for the host":              {"", "wget ${POD_IP}:15021/healthz/ready", "localhost:15021"},
		"Kubernetes' variable":                 {"", "--wait=http://$(POD_IP):15021", "localhost:15021"},
		"only the port":                        {"ENVOY_ADMIN_PORT", "15000", "localhost:15000"},
		"only a port that is nothing else":     {"READY", "15021", "localhost:15021"},
		"host and port as flags":               {"", "wait --host localhost --port 15021", "localhost:15021"},
		"an empty host":                        {"", "probe :15000", "localhost:15000"},
		"several":                              {"", "curl localhost:15021; curl localhost:15020/quitquitquit", "localhost:15021 localhost:15020 quitquitquit"},
		"scuttle by its variable":              {"ISTIO_QUIT_API", "x", "istio_quit_api"},
		"files of the sidecar":                 {"", "--token=/etc/istio/proxy/token", "/etc/istio/"},
		"proxyless gRPC":                       {"TARGET", "xds:///cart.shop:80", "xds:///"},
		"ends the agent":                       {"", "run; pkill -INT pilot-agent", "pilot-agent"},
		"ends Envoy":                           {"", "run; kill $(pidof envoy)", "kill envoy"},
		"the header of the client certificate": {"", "--identity-header=X-Forwarded-Client-Cert", "x-forwarded-client-cert"},
		"the header as CGI spells it":          {"AUTH_VAR", "HTTP_X_FORWARDED_CLIENT_CERT", "x-forwarded-client-cert"},
		"the header by its short name":         {"XFCC_ENABLED", "true", "x-forwarded-client-cert"},

		"a time in milliseconds":         {"REQUEST_TIMEOUT", "15000", ""},
		"a time in a command":            {"", "sleep 15000", ""},
		"a time limit beside a variable": {"", "curl $URL --max-time 15000", ""},
		"a larger number":                {"ADMIN_PORT", "150210", ""},
		"another host":                   {"", "curl http://istio-ingressgateway.istio-system:15021/healthz/ready", ""},
		"another host for nc":            {"", "nc -z istio-ingressgateway 15021", ""},
		"another host by flags":          {"", "wait --host gateway --port 15021", ""},
		"istiod":                         {"XDS", "istiod.istio-system.svc:15012", ""},
		"another port of its own":        {"", "curl localhost:8080/healthz/ready", ""},
		"Envoy as an application":        {"", "envoy -c /etc/envoy.yaml", ""},
		"ends a process of its own":      {"", "pkill nginx", ""},
		"a password":                     {"DB", "postgres://u:p@db:5432", ""},
	} {
		var got []string
		for _, m := range Mentions(c.name, c.text) {
			got = append(got, string(m))
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%s: %q, want %q", what, got, c.want)
		}
		var again []string
		for _, m := range Mentions("", strings.Join(got, " ")) {
			again = append(again, string(m))
		}
		if !slices.Equal(got, again) {
			t.Errorf("%s: what is kept mentions %q", what, again)
		}
	}
}
