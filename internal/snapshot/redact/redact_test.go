package redact

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/netip"
	"strings"
	"testing"

	"github.com/sidestep-mesh/sidestep/internal/snapshot"
	"github.com/sidestep-mesh/sidestep/internal/snapshot/manifest"
	corev1 "k8s.io/api/core/v1"
	"pgregory.net/rapid"
)

// matches is how Istio matches a value: exact, prefix*, *suffix or * for anything present.
func matches(pattern, s string) bool {
	switch {
	case pattern == "*":
		return s != ""
	case strings.HasPrefix(pattern, "*"):
		return strings.HasSuffix(s, pattern[1:])
	case strings.HasSuffix(pattern, "*"):
		return strings.HasPrefix(s, pattern[:len(pattern)-1])
	}
	return pattern == s
}

func TestPseudonymsKeepWhatPatternsMatch(t *testing.T) {
	word := rapid.SampledFrom([]string{"payments", "pay", "pays", "reviews", "views", "http", "ht", "htaccess", "httpbin", "x", "xray", "v1", "v12", "acme", "prod", "production", "uction", "a", "b", "www"})
	value := rapid.Custom(func(t *rapid.T) string {
		return strings.Join(rapid.SliceOfN(word, 1, 3).Draw(t, "words"), rapid.SampledFrom([]string{"", "-", ".", "/", ":"}).Draw(t, "between"))
	})
	rapid.Check(t, func(t *rapid.T) {
		key := rapid.SliceOfN(rapid.Byte(), 8, 8).Draw(t, "key")
		var patterns []string
		p := newPseudonyms(key)
		for range rapid.IntRange(1, 4).Draw(t, "patterns") {
			v := value.Draw(t, "pattern")
			v = rapid.SampledFrom([]string{v, v + "*", "*" + v, "*"}).Draw(t, "form")
			patterns = append(patterns, v)
			p.learn(v)
		}
		for range 5 {
			v := value.Draw(t, "value")
			for _, pattern := range patterns {
				if overlap(patterns, v) {
					continue
				}
				if got, want := matches(p.text(pattern), p.text(v)), matches(pattern, v); got != want {
					t.Fatalf("%q matches %q is %v; as %q and %q it is %v", pattern, v, want, p.text(pattern), p.text(v), got)
				}
			}
			again := newPseudonyms(key)
			for _, pattern := range patterns {
				again.learn(pattern)
			}
			if again.text(v) != p.text(v) {
				t.Fatalf("%q has two pseudonyms", v)
			}
		}
	})
}

// overlap tells the known limit: two patterns cut one word from both sides and share letters of it.
func overlap(patterns []string, v string) bool {
	for _, a := range patterns {
		start, ok := strings.CutSuffix(a, "*")
		if !ok || start == "" {
			continue
		}
		for _, b := range patterns {
			end, ok := strings.CutPrefix(b, "*")
			for _, w := range append(strings.FieldsFunc(v, notWord), start, end) {
				s, e := lastWord(start), firstWord(end)
				if ok && strings.HasPrefix(w, s) && strings.HasSuffix(w, e) && len(s)+len(e) > len(w) && s != w && e != w {
					return true
				}
			}
		}
	}
	return false
}

func notWord(r rune) bool { return !isWordByte(byte(r)) }

func firstWord(s string) string { return s[:wordEnd(s, 0)] }

func lastWord(s string) string { return s[strings.LastIndexFunc(s, notWord)+1:] }

func TestPseudonymsKeepNetworks(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := newPseudonyms([]byte("key"))
		size := rapid.SampledFrom([]int{4, 16}).Draw(t, "size")
		addr := rapid.Custom(func(t *rapid.T) netip.Addr {
			// Few distinct bytes, so that addresses and networks meet.
			a, _ := netip.AddrFromSlice(rapid.SliceOfN(rapid.SampledFrom([]byte{10, 11, 0x20}), size, size).Draw(t, "bytes"))
			return a
		})
		prefix, _ := addr.Draw(t, "network").Prefix(rapid.IntRange(0, size*8).Draw(t, "bits"))
		a := addr.Draw(t, "address")
		gotNet, err := netip.ParsePrefix(p.text(prefix.String()))
		if err != nil {
			t.Fatal(err)
		}
		gotAddr := netip.MustParseAddr(p.text(a.String()))
		if gotNet.Contains(gotAddr) != prefix.Contains(a) || gotNet.Bits() != prefix.Bits() {
			t.Fatalf("%v in %v, but %v in %v", a, prefix, gotAddr, gotNet)
		}
	})
}

func TestPseudonymsKeepWhatEverybodyKnows(t *testing.T) {
	p := newPseudonyms([]byte("key"))
	for _, s := range []string{
		"istio-system", "cluster.local/ns/istio-system/sa/ztunnel", "ambient", "http-metrics", "request.auth.claims[groups]",
		"0.0.0.0", "169.254.7.127", "istio-waypoint", "8080", "100m", "1.31.0", "None", "",
	} {
		if got := p.text(s); got != s {
			t.Errorf("%q became %q", s, got)
		}
	}
	for _, s := range []string{"payments", "10.1.2.3", "http://10.1.2.3/x", "acme.example.com", "123456789012.dkr"} {
		if got := p.text(s); got == s || strings.Contains(got, "10.1.2.3") {
			t.Errorf("%q stayed: %q", s, got)
		}
	}
}

const secretive = `apiVersion: v1
kind: Service
metadata: {name: payments, namespace: acme, labels: {acme.com/team: falcon}, annotations: {acme.com/owner: falcon, networking.istio.io/traffic-distribution: PreferClose}}
spec: {selector: {app: payments}, clusterIP: 10.20.30.40, ports: [{name: http-falcon, port: 80, targetPort: http-falcon}]}
---
apiVersion: v1
kind: Pod
metadata: {name: payments-1, namespace: acme, labels: {app: payments}}
spec:
  nodeName: falcon-7
  serviceAccountName: payments
  containers:
  - {name: payments, image: registry.acme.com/falcon/payments:1.2.3, env: [{name: FALCON, value: falcon}], ports: [{name: http-falcon, containerPort: 8080}]}
  - {name: istio-proxy, image: docker.io/istio/proxyv2:1.31.0, args: [proxy, sidecar, --domain, $(POD_NAMESPACE).svc.cluster.local], env: [{name: ISTIO_META_ENABLE_HBONE, value: "true"}, {name: ISTIO_META_WORKLOAD_NAME, value: payments}]}
status: {podIP: 10.20.30.41, message: falcon, conditions: [{type: Ready, status: "True"}]}
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: falcon, namespace: acme}
spec:
  selector: {matchLabels: {app: payments}}
  action: DENY
  rules: [{from: [{source: {principals: [cluster.local/ns/acme/sa/payments], ipBlocks: [10.20.0.0/16]}}], to: [{operation: {hosts: ["payments.acme.svc.cluster.local", "*.acme.com"], methods: [GET], paths: [/falcon/*]}}], when: [{key: "request.headers[x-falcon]", values: [falcon]}]}]
  falcon: 1
---
apiVersion: networking.istio.io/v1alpha3
kind: EnvoyFilter
metadata: {name: lua, namespace: acme}
spec: {configPatches: [{applyTo: HTTP_FILTER, match: {context: SIDECAR_INBOUND}, patch: {operation: INSERT_BEFORE, value: {name: envoy.filters.http.lua, typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua, inlineCode: "falcon()"}}}}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: falcon, namespace: acme}
spec: {hostnames: [acme.com], parentRefs: [{group: "", kind: Service, name: payments}], rules: [{filters: [{type: URLRewrite, urlRewrite: {hostname: falcon.acme.com}}], backendRefs: [{name: payments, port: 80}]}]}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: istio, namespace: istio-system}
data:
  mesh: |
    rootNamespace: istio-system
    trustDomain: acme.com
    outboundTrafficPolicy: {mode: REGISTRY_ONLY}
    discoverySelectors: [{matchLabels: {falcon: acme}}]
    extensionProviders: [{name: falcon, envoyExtAuthzGrpc: {service: falcon.acme.svc.cluster.local, port: 9000}}]
---
apiVersion: v1
kind: Secret
metadata: {name: falcon, namespace: acme}
---
apiVersion: v1
kind: Service
metadata: {name: falcon, namespace: acme}
spec: falcon
`

func TestRedactHidesNamesAndKeepsTheirRelations(t *testing.T) {
	whole := manifest.Load(manifest.Stream("falcon.yaml", strings.NewReader(secretive)))
	s := Redact(whole, []byte("key"))
	var out bytes.Buffer
	if err := manifest.WriteArchive(&out, s); err != nil {
		t.Fatal(err)
	}
	zip, _ := gzip.NewReader(&out)
	raw, _ := io.ReadAll(zip)
	text := string(raw)
	for _, hidden := range []string{"falcon", "FALCON", "payments", "acme", "10.20"} {
		if i := strings.Index(text, hidden); i >= 0 {
			t.Errorf("%q is still there: ...%s...", hidden, text[max(0, i-60):min(len(text), i+60)])
		}
	}
	p := newPseudonyms([]byte("key"))
	for what, kept := range map[string]string{
		"a selector and the labels it selects": `"matchLabels":{"app":"` + p.text("payments") + `"}`,
		"the name of a service":                `"name":"` + p.text("payments") + `"`,
		"principals":                           "cluster.local/ns/" + p.text("acme") + "/sa/" + p.text("payments"),
		"hosts":                                p.text("payments") + "." + p.text("acme") + ".svc.cluster.local",
		"wildcard hosts":                       `"*.` + p.text("acme") + `.com"`,
		"the protocol in a port's name":        `"http-` + p.text("falcon") + `"`,
		"the mode of the sidecar":              `{"name":"ISTIO_META_ENABLE_HBONE","value":"true"}`,
		"the role of the proxy":                `"args":["proxy","sidecar"`,
		"the version of the proxy":             "istio/proxyv2:1.31.0",
		"Envoy's filters":                      `"name":"envoy.filters.http.lua"`,
		"filter types":                         `"type":"URLRewrite"`,
		"settings of the mesh":                 `\"outboundTrafficPolicy\":{\"mode\":\"REGISTRY_ONLY\"}`,
		"providers":                            `\"name\":\"` + p.text("falcon") + `\"`,
		"discovery selectors":                  `\"matchLabels\":{\"` + p.text("falcon") + `\":\"` + p.text("acme") + `\"}`,
		"annotations that are read":            `"networking.istio.io/traffic-distribution":"PreferClose"`,
		"that a field is unknown":              `"unknownFields":["spec.` + p.text("falcon") + `"]`,
		"that a Service is missing":            `"kind":{"Group":"","Kind":"Service"},"namespace":"` + p.text("acme") + `"`,
		"conditions":                           `"type":"Ready"`,
		"header conditions":                    `"request.headers[x-` + p.text("falcon") + `]"`,
	} {
		if !strings.Contains(text, kept) {
			t.Errorf("%s got lost: no %s in\n%s", what, kept, text)
		}
	}
	if whole.Len() != s.Len() || len(s.Ignored()) != 1 {
		t.Errorf("%d objects, %d when redacted; ignored %v", whole.Len(), s.Len(), s.Ignored())
	}
	if o, _ := snapshot.Get[*corev1.Service](whole, "acme", "payments"); o.Spec.ClusterIP != "10.20.30.40" {
		t.Error("redaction changed the snapshot it was given")
	}
}
