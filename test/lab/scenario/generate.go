package scenario

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/sidestep-mesh/sidestep/test/lab/cluster"
)

// Generate makes a large mesh from a few numbers, the same one every time.
type Generate struct {
	Seed uint64 `json:"seed"`
	// Domains are the namespaces, each with Services services; what is special about a domain is its traits.
	Domains []Domain `json:"domains"`
	// Services is how many services a domain has.
	Services int `json:"services"`
	// Replicas is the cycle of replica counts over the services of a domain.
	Replicas []int `json:"replicas"`
}

// Domain is a generated namespace.
type Domain struct {
	Name   string            `json:"name"`
	Labels map[string]string `json:"labels"`
	// Traits that the domain's services have, each a key of traits below.
	Traits []string `json:"traits,omitempty"`
}

type generated struct {
	namespaces map[string]map[string]string
	workloads  []Workload
	calls      []Call
	objects    []*unstructured.Unstructured
}

// serviceName names the services of a domain: the first few take calls from outside, the last few hold data.
func serviceName(i int) string {
	return fmt.Sprintf("%s-%02d", []string{"gateway", "api", "worker", "store"}[min(i/5, 3)], i)
}

// check finds what is misspelt before it is left out in silence.
func (g *Generate) check() error {
	for _, domain := range g.Domains {
		for _, name := range domain.Traits {
			if _, ok := traits[name]; !ok {
				return fmt.Errorf("domain %s: no trait is called %q; there are %v", domain.Name, name, slices.Sorted(maps.Keys(traits)))
			}
		}
	}
	if g.Services < 1 || len(g.Replicas) < 1 {
		return errors.New("generate: services and replicas are needed")
	}
	return nil
}

func (g *Generate) mesh() generated {
	random := rand.New(rand.NewPCG(g.Seed, 400))
	out := generated{namespaces: map[string]map[string]string{}}
	for d, domain := range g.Domains {
		out.namespaces[domain.Name] = domain.Labels
		for i := range g.Services {
			w := Workload{
				Name: domain.Name + "/" + serviceName(i), Replicas: g.Replicas[i%len(g.Replicas)],
				CPU: fmt.Sprintf("%dm", 50*(1+random.IntN(6))), Memory: fmt.Sprintf("%dMi", 64*(1+random.IntN(8))),
			}
			for _, trait := range domain.Traits {
				if shape := traits[trait].shape; shape != nil {
					shape(i, &w)
				}
			}
			out.workloads = append(out.workloads, w)
			out.calls = append(out.calls, g.callsOf(d, i, random)...)
		}
		for _, trait := range domain.Traits {
			manifests := strings.ReplaceAll(traits[trait].objects, "$NS", domain.Name)
			objects, err := cluster.Parse("trait "+trait, []byte(manifests))
			if err != nil {
				panic(err) // the text stands below; a test loads every scenario
			}
			out.objects = append(out.objects, objects...)
		}
	}
	return out
}

// callsOf lets a service call two later ones of its domain, and every fifth service one gateway of the next domain.
func (g *Generate) callsOf(d, i int, random *rand.Rand) []Call {
	from := g.Domains[d].Name + "/" + serviceName(i)
	var calls []Call
	for range 2 {
		if i+1 >= g.Services {
			break
		}
		to := i + 1 + random.IntN(g.Services-i-1)
		calls = append(calls, Call{
			From: from, To: g.Domains[d].Name + "/" + serviceName(to),
			RPS: float64(1 + random.IntN(40)), ServiceMS: float64(2 + random.IntN(30)),
		})
	}
	if i%5 == 4 && len(g.Domains) > 1 {
		next := g.Domains[(d+1)%len(g.Domains)].Name
		calls = append(calls, Call{From: from, To: next + "/" + serviceName(random.IntN(5)), RPS: float64(1 + random.IntN(10))})
	}
	return calls
}

// trait is something that is special about a domain: a change to its workloads, objects beside them, or both.
type trait struct {
	shape   func(i int, w *Workload)
	objects string
}

var traits = map[string]trait{
	"l4-policy": {objects: `
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: same-mesh-only, namespace: $NS}
spec:
  action: ALLOW
  rules:
  - from:
    - source: {principals: ["cluster.local/ns/*"]}
`},
	"http-policy": {objects: `
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: api-read-only, namespace: $NS}
spec:
  selector: {matchLabels: {app: api-05}}
  action: ALLOW
  rules:
  - to:
    - operation: {methods: ["GET"], paths: ["/v1/*"]}
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: no-admin, namespace: $NS}
spec:
  selector: {matchLabels: {app: gateway-00}}
  action: DENY
  rules:
  - to:
    - operation: {paths: ["/admin*"]}
`},
	"jwt": {objects: `
apiVersion: security.istio.io/v1
kind: RequestAuthentication
metadata: {name: customers, namespace: $NS}
spec:
  selector: {matchLabels: {app: gateway-01}}
  jwtRules:
  - issuer: https://login.example.com
    jwks: '{"keys":[]}'
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: customers-only, namespace: $NS}
spec:
  selector: {matchLabels: {app: gateway-01}}
  action: DENY
  rules:
  - from:
    - source: {notRequestPrincipals: ["*"]}
`},
	"canary": {
		shape: func(i int, w *Workload) {
			if i < 2 {
				w.Labels = map[string]string{"version": "v1"}
			}
		},
		objects: `
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: gateway-00, namespace: $NS}
spec:
  hosts: [gateway-00]
  http:
  - route:
    - destination: {host: gateway-00, subset: v1}
      weight: 90
    - destination: {host: gateway-00}
      weight: 10
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: gateway-00, namespace: $NS}
spec:
  host: gateway-00
  trafficPolicy:
    outlierDetection: {consecutive5xxErrors: 5}
  subsets:
  - name: v1
    labels: {version: v1}
`},
	"envoyfilter": {objects: `
apiVersion: networking.istio.io/v1alpha3
kind: EnvoyFilter
metadata: {name: local-ratelimit, namespace: $NS}
spec:
  workloadSelector: {labels: {app: api-07}}
  configPatches:
  - applyTo: HTTP_FILTER
    match:
      context: SIDECAR_INBOUND
      listener: {filterChain: {filter: {name: envoy.filters.network.http_connection_manager}}}
    patch:
      operation: INSERT_BEFORE
      value:
        name: envoy.filters.http.local_ratelimit
        typed_config:
          "@type": type.googleapis.com/udpa.type.v1.TypedStruct
          type_url: type.googleapis.com/envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit
          value: {stat_prefix: http_local_rate_limiter}
`},
	"egress": {objects: `
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {name: default, namespace: $NS}
spec:
  egress:
  - hosts: ["./*", "istio-system/*"]
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: partner, namespace: $NS}
spec:
  hosts: [api.partner.example]
  location: MESH_EXTERNAL
  ports:
  - {number: 443, name: tls, protocol: TLS}
  resolution: DNS
`},
	"vm": {objects: `
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: ledger-vm-1, namespace: $NS}
spec:
  address: 192.0.2.10
  labels: {app: ledger}
  serviceAccount: ledger
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: ledger, namespace: $NS}
spec:
  hosts: [ledger.internal]
  location: MESH_INTERNAL
  ports:
  - {number: 9000, name: tcp, protocol: TCP}
  resolution: STATIC
  workloadSelector: {labels: {app: ledger}}
`},
	"stateful": {shape: func(i int, w *Workload) {
		if i >= 17 {
			w.Kind, w.Service = "StatefulSet", "headless"
		}
	}},
	"jobs": {objects: `
apiVersion: batch/v1
kind: CronJob
metadata: {name: nightly-report, namespace: $NS}
spec:
  schedule: "0 3 * * *"
  jobTemplate:
    spec:
      template:
        metadata: {labels: {app: nightly-report}}
        spec:
          restartPolicy: Never
          containers:
          - {name: app, image: "registry.example/nightly-report:1", resources: {requests: {cpu: 500m, memory: 512Mi}}}
---
apiVersion: batch/v1
kind: Job
metadata: {name: backfill, namespace: $NS}
spec:
  template:
    metadata: {labels: {app: backfill}}
    spec:
      restartPolicy: Never
      containers:
      - {name: app, image: "registry.example/backfill:1", resources: {requests: {cpu: 500m, memory: 512Mi}}}
`},
	// Proxies as ordinary containers, as before Kubernetes had native sidecars.
	"classic-sidecars": {shape: func(_ int, w *Workload) {
		w.Annotations = map[string]string{"sidecar.istio.io/nativeSidecar": "false"}
	}},
	"tracing": {objects: `
apiVersion: telemetry.istio.io/v1
kind: Telemetry
metadata: {name: access-log, namespace: $NS}
spec:
  accessLogging:
  - providers: [{name: envoy}]
`},
}
