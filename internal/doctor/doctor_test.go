package doctor_test

import (
	"bytes"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sidestep-mesh/sidestep/internal/audit"
	"github.com/sidestep-mesh/sidestep/internal/doctor"
	"github.com/sidestep-mesh/sidestep/internal/mesh"
	"github.com/sidestep-mesh/sidestep/internal/metric"
	"github.com/sidestep-mesh/sidestep/internal/snapshot"
	"github.com/sidestep-mesh/sidestep/internal/snapshot/manifest"
)

// world is the input of a scenario: manifests, and values of metrics.
type world struct {
	manifests []string
	metrics   map[string][]metric.Series
}

func (w *world) add(text string) { w.manifests = append(w.manifests, text) }

func (w *world) metric(name string, value float64, labels ...string) {
	s := metric.Series{Labels: map[string]string{}, Points: []metric.Point{{T: 1, V: value}}}
	for i := 0; i < len(labels); i += 2 {
		s.Labels[labels[i]] = labels[i+1]
	}
	w.metrics[name] = append(w.metrics[name], s)
}

// pod writes one pod. Extra goes into metadata, containers and the status as it is.
func (w *world) pod(ns, name, node, owner, labels, annotations, containers string, ready bool) {
	status := map[bool]string{true: "True", false: "False"}[ready]
	w.add(fmt.Sprintf(`apiVersion: v1
kind: Pod
metadata:
  name: %s
  namespace: %s
  uid: u-%[1]s-%[2]s
  labels: {%s}
  annotations: {%s}
  ownerReferences: [%s]
spec:
  nodeName: %s
  containers: [%s]
status: {phase: Running, conditions: [{type: Ready, status: "%s"}]}`, name, ns, labels, annotations, owner, node, containers, status))
}

func set(kind, name string) string {
	return fmt.Sprintf("{apiVersion: apps/v1, kind: %s, name: %s, uid: s-%[2]s, controller: true}", kind, name)
}

const appContainer = `{name: app, image: "registry.example.com/app:1", ports: [{containerPort: 8080}]}`

func proxyContainer(tag string) string {
	return fmt.Sprintf(`{name: istio-proxy, image: "docker.io/istio/proxyv2:%s", args: [proxy, sidecar], env: [{name: ISTIO_META_ENABLE_HBONE, value: "true"}]}`, tag)
}

// ambientApp is a StatefulSet of one ready ambient pod with a Service, in a namespace of its own.
func (w *world) ambientApp(ns, serviceLabels string) {
	w.add("apiVersion: v1\nkind: Namespace\nmetadata: {name: " + ns + ", labels: {istio.io/dataplane-mode: ambient}}")
	w.statefulSet(ns)
	w.pod(ns, "web-0", "n1", set("StatefulSet", "web"), "app: web", "ambient.istio.io/redirection: enabled", appContainer, true)
	w.service(ns, serviceLabels)
}

func (w *world) statefulSet(ns string) {
	w.add(`apiVersion: apps/v1
kind: StatefulSet
metadata: {name: web, namespace: ` + ns + `}
spec:
  replicas: 1
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [` + appContainer + `]}`)
}

func (w *world) service(ns, labels string) {
	w.add("apiVersion: v1\nkind: Service\nmetadata: {name: web, namespace: " + ns + ", labels: {" + labels + "}}\nspec: {clusterIP: 10.0.0.10, selector: {app: web}, ports: [{name: http, port: 80, targetPort: 8080}]}")
}

// sidecarApp is the same with a sidecar.
func (w *world) sidecarApp(ns, proxy string) {
	w.add("apiVersion: v1\nkind: Namespace\nmetadata: {name: " + ns + ", labels: {istio-injection: enabled}}")
	w.statefulSet(ns)
	w.pod(ns, "web-0", "n1", set("StatefulSet", "web"), "app: web, networking.istio.io/tunnel: http", "sidecar.istio.io/status: '{}'", appContainer+", "+proxy, true)
	w.service(ns, "")
}

const bound = "istio.io/use-waypoint: waypoint"

// waypoint is a Gateway with pods on the nodes given, a budget and an autoscaler.
func (w *world) waypoint(ns string, ready bool, nodes ...string) {
	w.add(`apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: waypoint, namespace: ` + ns + `, labels: {istio.io/waypoint-for: service}}
spec:
  gatewayClassName: istio-waypoint
  listeners: [{name: mesh, port: 15008, protocol: HBONE}]
status:
  addresses: [{type: IPAddress, value: 10.0.0.99}]
  conditions: [{type: Programmed, status: "True", reason: Programmed, message: "", lastTransitionTime: "2026-01-01T00:00:00Z"}]`)
	for i, n := range nodes {
		w.pod(ns, fmt.Sprintf("waypoint-%d", i), n, "{apiVersion: apps/v1, kind: ReplicaSet, name: waypoint-5d, uid: rs-"+ns+", controller: true}",
			"gateway.networking.k8s.io/gateway-name: waypoint, gateway.networking.k8s.io/gateway-class-name: istio-waypoint, gateway.istio.io/managed: istio.io-mesh-controller",
			"", `{name: istio-proxy, image: "docker.io/istio/proxyv2:1.31.1", args: [proxy, waypoint]}`, ready)
	}
}

func (w *world) kept(ns string) {
	w.add("apiVersion: policy/v1\nkind: PodDisruptionBudget\nmetadata: {name: waypoint, namespace: " + ns + "}\nspec: {minAvailable: 1, selector: {matchLabels: {gateway.networking.k8s.io/gateway-name: waypoint}}}")
}

func (w *world) scaled(ns string) {
	w.add("apiVersion: autoscaling/v2\nkind: HorizontalPodAutoscaler\nmetadata: {name: waypoint, namespace: " + ns + "}\nspec: {scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: waypoint}, minReplicas: 2, maxReplicas: 6}")
}

const allowWaypoint = `apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: from-waypoint, namespace: %[1]s}
spec:
  selector: {matchLabels: {app: web}}
  rules: [{from: [{source: {principals: [cluster.local/ns/%[1]s/sa/waypoint]}}]}]`

const protectWeb = `apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: web, namespace: %s}
spec:
  targetRefs: [{group: "", kind: Service, name: web}]
  rules: [{to: [{operation: {methods: [GET]}}]}]`

// healthy is a small hybrid mesh in which nothing is wrong: a control plane, a Service behind a waypoint that protects it, and a
// workload that keeps its sidecar; every metric has a good value.
func healthy() *world {
	w := &world{metrics: map[string][]metric.Series{}}
	w.add("apiVersion: v1\nkind: Namespace\nmetadata: {name: istio-system}")
	w.add(`apiVersion: v1
kind: ConfigMap
metadata: {name: istio, namespace: istio-system}
data:
  mesh: |
    trustDomain: cluster.local
    defaultConfig: {proxyMetadata: {ISTIO_META_ENABLE_HBONE: "true"}}
    hboneIdleTimeout: 15s`)
	w.add(`apiVersion: apps/v1
kind: Deployment
metadata: {name: istiod, namespace: istio-system, labels: {app: istiod}}
spec:
  selector: {matchLabels: {app: istiod}}
  template:
    metadata: {labels: {app: istiod}}
    spec: {containers: [{name: discovery, image: "docker.io/istio/pilot:1.31.1", env: [{name: PILOT_ENABLE_AMBIENT, value: "true"}]}]}`)
	for _, ds := range [][2]string{{"ztunnel", `{name: istio-proxy, image: "docker.io/istio/ztunnel:1.31.1"}`}, {"istio-cni-node", `{name: install-cni, image: "docker.io/istio/install-cni:1.31.1"}`}} {
		w.add(fmt.Sprintf(`apiVersion: apps/v1
kind: DaemonSet
metadata: {name: %[1]s, namespace: istio-system, labels: {app: %[1]s, k8s-app: %[1]s}}
spec:
  selector: {matchLabels: {app: %[1]s}}
  template:
    metadata: {labels: {app: %[1]s, k8s-app: %[1]s}}
    spec: {containers: [%[2]s]}`, ds[0], ds[1]))
		for _, n := range []string{"n1", "n2"} {
			w.pod("istio-system", ds[0]+"-"+n, n, set("DaemonSet", ds[0]), "app: "+ds[0]+", k8s-app: "+ds[0], "", ds[1], true)
		}
	}
	w.ambientApp("shop", bound)
	w.waypoint("shop", true, "n1", "n2")
	w.kept("shop")
	w.scaled("shop")
	w.add(fmt.Sprintf(protectWeb, "shop"))
	w.add(fmt.Sprintf(allowWaypoint, "shop"))
	w.sidecarApp("old", proxyContainer("1.31.1"))
	w.metric("waypoint_cpu_ratio", 0.3, "namespace", "shop", "pod", "waypoint-0")
	w.metric("waypoint_requests", 20, "namespace", "shop", "pod", "waypoint-0")
	w.metric("waypoint_requests", 22, "namespace", "shop", "pod", "waypoint-1")
	w.metric("waypoint_replica_changes", 2, "namespace", "shop", "deployment", "waypoint")
	w.metric("waypoint_unavailable_ratio", 0, "destination_service_namespace", "shop", "destination_service_name", "web")
	w.metric("inbound_connections", 3, "source_principal", "spiffe://cluster.local/ns/shop/sa/waypoint", "destination_workload_namespace", "shop", "destination_workload", "web")
	w.metric("clock_offset", 0.002, "instance", "n1")
	w.metric("certificate_expiry", 80000, "namespace", "old", "pod", "web-0")
	w.metric("root_certificate_expiry", 3e7)
	w.metric("ztunnel_memory_ratio", 0.4, "namespace", "istio-system", "pod", "ztunnel-n1")
	w.metric("ztunnel_cpu_ratio", 0.2, "namespace", "istio-system", "pod", "ztunnel-n1")
	w.metric("proxy_memory_ratio", 0.4, "namespace", "old", "pod", "web-0")
	w.metric("dns_failure_ratio", 0.001, "instance", "n1")
	w.metric("configuration_lag", 0.5)
	w.metric("ztunnel_linked", 1, "instance", "n1")
	for _, m := range metric.Health() {
		if w.metrics[m.Name] == nil {
			w.metrics[m.Name] = []metric.Series{} // asked, and nothing to be seen
		}
	}
	return w
}

// fault is one thing wrong, in a namespace of its own so that any two stand side by side.
type fault struct {
	inject func(w *world)
	// want matches the message of the finding, and cause its cause.
	want, cause string
	// also are checks that rightly see the same fault.
	also []string
}

// faults has one or more for each check, by its ID; a name may go on behind a slash.
var faults = map[string]fault{
	"waypoint-ready": {func(w *world) {
		w.ambientApp("wp-ready", bound)
		w.waypoint("wp-ready", false, "n1", "n2")
		w.scaled("wp-ready")
	},
		"Waypoint wp-ready/waypoint has no ready pod", "does not fall back", nil},
	"waypoint-redundant": {func(w *world) {
		w.ambientApp("wp-lone", bound)
		w.waypoint("wp-lone", true, "n1")
		w.kept("wp-lone")
		w.scaled("wp-lone")
	},
		"Waypoint wp-lone/waypoint is one pod", "one replica", nil},
	"waypoint-spread": {func(w *world) {
		w.ambientApp("wp-node", bound)
		w.waypoint("wp-node", true, "n1", "n1")
		w.kept("wp-node")
		w.scaled("wp-node")
	},
		"All 2 pods of waypoint wp-node/waypoint stand on node n1", "one node", nil},
	"waypoint-scaled": {func(w *world) {
		w.ambientApp("wp-fixed", bound)
		w.waypoint("wp-fixed", true, "n1", "n2")
		w.kept("wp-fixed")
	},
		"No HorizontalPodAutoscaler scales waypoint wp-fixed/waypoint", "Nothing adds pods", nil},
	"waypoint-saturated": {func(w *world) { w.metric("waypoint_cpu_ratio", 0.97, "namespace", "shop", "pod", "waypoint-1") },
		"Waypoint pod shop/waypoint-1 uses 97% of its CPU limit", "queue", nil},
	"waypoint-balanced": {func(w *world) {
		w.ambientApp("wp-uneven", bound)
		w.waypoint("wp-uneven", true, "n1", "n2")
		w.kept("wp-uneven")
		w.scaled("wp-uneven")
		w.metric("waypoint_requests", 99, "namespace", "wp-uneven", "pod", "waypoint-0")
		w.metric("waypoint_requests", 1, "namespace", "wp-uneven", "pod", "waypoint-1")
		w.metric("waypoint_requests", 1, "namespace", "wp-uneven", "pod", "waypoint-2")
	}, "One of the 3 pods of waypoint wp-uneven/waypoint takes 98% of its requests", "keeps its connections", nil},
	"waypoint-steady": {func(w *world) {
		w.metric("waypoint_replica_changes", 14, "namespace", "shop", "deployment", "waypoint")
	},
		"changed 14 times in the last hour", "back and forth", nil},
	"waypoint-answers": {func(w *world) {
		w.metric("waypoint_unavailable_ratio", 0.12, "destination_service_namespace", "shop", "destination_service_name", "web")
	}, "12% of the calls to Service shop/web end in a 503", "no healthy pod", nil},
	"services-bound": {func(w *world) {
		w.ambientApp("not-admitted", bound+", istio.io/use-waypoint-namespace: shop")
	}, "does not admit", "straight to the pods", nil},
	"policies-attached": {func(w *world) {
		w.ambientApp("no-target", "")
		w.add("apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {name: p, namespace: no-target}\nspec:\n  targetRefs: [{group: gateway.networking.k8s.io, kind: Gateway, name: waypoint}]\n  rules: [{to: [{operation: {methods: [GET]}}]}]")
	}, "no-target/p", "enforced nowhere", nil},
	"policies-enforced": {func(w *world) {
		w.ambientApp("inert", "")
		w.add("apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {name: no-admin, namespace: inert}\nspec:\n  selector: {matchLabels: {app: web}}\n  action: DENY\n  rules: [{to: [{operation: {paths: [/admin]}}]}]")
	}, "inert/no-admin", "never matches", nil},
	"nobody-can-go-round": {func(w *world) {
		w.ambientApp("round", bound)
		w.waypoint("round", true, "n1", "n2")
		w.kept("round")
		w.scaled("round")
		w.add(fmt.Sprintf(protectWeb, "round"))
	}, "round", "never pass a service's waypoint", nil},
	"nobody-went-round": {func(w *world) {
		w.metric("inbound_connections", 0.5, "source_principal", "spiffe://cluster.local/ns/old/sa/default", "destination_workload_namespace", "shop", "destination_workload", "web")
	}, "cluster.local/ns/old/sa/default reaches shop/web past its waypoint", "reaches the pods directly", nil},
	"mtls-as-written": {func(w *world) {
		w.ambientApp("disabled", "")
		w.add("apiVersion: security.istio.io/v1\nkind: PeerAuthentication\nmetadata: {name: plain, namespace: disabled}\nspec: {mtls: {mode: DISABLE}}")
	}, "disabled", "ztunnel does not disable mTLS", nil},
	"plaintext": {func(w *world) {
		w.metric("plaintext_connections", 2, "source_workload_namespace", "legacy", "source_workload", "cron", "destination_workload_namespace", "shop", "destination_workload", "web")
	}, "legacy/cron calls shop/web in plaintext", "outside the mesh", nil},
	"denied": {func(w *world) {
		w.metric("denied_connections", 1, "source_workload_namespace", "legacy", "source_workload", "cron", "destination_workload_namespace", "shop", "destination_workload", "web")
	}, "ztunnel refuses legacy/cron at shop/web by policy", "never an HTTP 403", nil},
	"failed-connections": {func(w *world) {
		w.metric("failed_connections", 1, "response_flags", "NETWORK_POLICY", "destination_workload_namespace", "shop", "destination_workload", "web")
	}, `shop/web fail at ztunnel \(NETWORK_POLICY\)`, "drops port 15008", nil},
	"failed-connections/tls": {func(w *world) {
		w.metric("failed_connections", 1, "response_flags", "TLS_FAILURE", "destination_workload_namespace", "shop", "destination_workload", "web")
	}, `shop/web fail at ztunnel \(TLS_FAILURE\)`, "certificates", nil},
	"network-policies": {func(w *world) {
		w.ambientApp("closed", "")
		w.add("apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: web, namespace: closed}\nspec:\n  podSelector: {matchLabels: {app: web}}\n  policyTypes: [Ingress]\n  ingress: [{ports: [{port: 8080, protocol: TCP}]}]")
	}, "closed", "port 15008", nil},
	"cluster-network": {func(w *world) {
		w.add("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: cilium-config, namespace: kube-system}\ndata: {cni-exclusive: \"true\", bpf-lb-sock-hostns-only: \"true\"}")
	}, "cni-exclusive: true", "removes chained plugins", nil},
	"pods-enrolled": {func(w *world) {
		w.add("apiVersion: v1\nkind: Namespace\nmetadata: {name: pending, labels: {istio.io/dataplane-mode: ambient}}")
		w.statefulSet("pending")
		w.pod("pending", "web-0", "n1", set("StatefulSet", "web"), "app: web", "ambient.istio.io/redirection: pending", appContainer, true)
	}, "ztunnel", "no ztunnel has taken it", nil},
	"pods-served":    {func(w *world) { w.metric("ztunnel_pending_pods", 3, "instance", "n2") }, "3 pods wait for the ztunnel at n2", "network namespace", nil},
	"ztunnel-linked": {func(w *world) { w.metric("ztunnel_linked", 0, "instance", "n2") }, "No ztunnel is connected to the istio-cni agent at n2", "no pod of the node", nil},
	"ztunnel-everywhere": {func(w *world) {
		w.ambientApp("far", "")
		w.pod("far", "web-1", "n9", set("StatefulSet", "web"), "app: web", "ambient.istio.io/redirection: enabled", appContainer, true)
	}, "Node n9 has 1 ambient pods and no ready ztunnel", "not ready or not there", nil},
	"ztunnel-memory": {func(w *world) {
		w.metric("ztunnel_memory_ratio", 0.95, "namespace", "istio-system", "pod", "ztunnel-n2")
	}, "ztunnel-n2 uses 95% of its memory", "connections of its node", nil},
	"ztunnel-cpu": {func(w *world) { w.metric("ztunnel_cpu_ratio", 0.9, "namespace", "istio-system", "pod", "ztunnel-n2") }, "ztunnel-n2 uses 90%", "all of them wait", nil},
	"labels-take-effect": {func(w *world) {
		w.add("apiVersion: v1\nkind: Namespace\nmetadata: {name: odd, labels: {istio.io/dataplane-mode: sidecar}}")
		w.statefulSet("odd")
		w.pod("odd", "web-0", "n1", set("StatefulSet", "web"), "app: web", "", appContainer, true)
	}, "sidecar", "choose a mode by accident", nil},
	"restart-keeps-mode": {func(w *world) {
		w.add("apiVersion: v1\nkind: Namespace\nmetadata: {name: stale}")
		w.statefulSet("stale")
		w.pod("stale", "web-0", "n1", set("StatefulSet", "web"), "app: web, networking.istio.io/tunnel: http", "sidecar.istio.io/status: '{}'", appContainer+", "+proxyContainer("1.31.1"), true)
	}, "stale|restart|sidecar", "label was changed", nil},
	"hbone-sidecars": {func(w *world) {
		w.add("apiVersion: v1\nkind: Namespace\nmetadata: {name: nohbone, labels: {istio-injection: enabled}}")
		w.statefulSet("nohbone")
		w.pod("nohbone", "web-0", "n1", set("StatefulSet", "web"), "app: web", "sidecar.istio.io/status: '{}'", appContainer+`, {name: istio-proxy, image: "docker.io/istio/proxyv2:1.31.1", args: [proxy, sidecar]}`, true)
	}, "HBONE", "plaintext", nil},
	"versions-agree": {func(w *world) { w.sidecarApp("ancient", proxyContainer("1.28.0")) }, `The sidecar of ancient/web is 1.28.0, more than one minor behind istiod \(1.31\)`, "not restarted", nil},
	"images-reachable": {func(w *world) {
		w.sidecarApp("oldhub", strings.Replace(proxyContainer("1.31.1"), "docker.io/istio", "gcr.io/istio-release", 1))
	}, "gcr.io/istio-release", "switched off", nil},
	"clocks-right":        {func(w *world) { w.metric("clock_offset", 200, "instance", "n2") }, "The clock of n2 is 3m20s off", "two minutes before", nil},
	"clocks-kept":         {func(w *world) { w.metric("clock_unsynced", 1, "instance", "n2") }, "The clock of n2 is not kept in step", "runs free", nil},
	"certificates-fresh":  {func(w *world) { w.metric("certificate_expiry", 600, "namespace", "old", "pod", "web-0") }, "expires in 10m0s", "cannot renew", nil},
	"root-certificate":    {func(w *world) { w.metric("root_certificate_expiry", 864000) }, "expires in 10 days", "every connection", nil},
	"proxy-killed":        {func(w *world) { w.metric("proxy_oom", 1, "namespace", "old", "pod", "web-0") }, "old/web-0 was last ended for want of memory", "limit is below", nil},
	"proxy-memory":        {func(w *world) { w.metric("proxy_memory_ratio", 0.96, "namespace", "old", "pod", "web-0") }, "old/web-0 uses 96%", "next one ends", nil},
	"dns-answers":         {func(w *world) { w.metric("dns_failure_ratio", 0.4, "instance", "n2") }, "40% of the DNS questions", "captures the pods' DNS", nil},
	"configuration-quick": {func(w *world) { w.metric("configuration_lag", 45) }, "needs 45s", "short of CPU", nil},
}

// elsewhere are faults of the control plane itself, which cannot stand beside a healthy one: each replaces a text of the
// healthy manifests.
var elsewhere = map[string]struct{ old, new, want string }{
	"releases-sound":  {"docker.io/istio/pilot:1.31.1", "docker.io/istio/pilot:1.31.0", "istiod 1.31.0 may lose updates"},
	"idle-timeout":    {"hboneIdleTimeout: 15s", "rootNamespace: istio-system", "hboneIdleTimeout is not set"},
	"waypoint-drain":  {"1.31.1", "1.27.0", "two seconds"},
	"native-sidecars": {"{name: PILOT_ENABLE_AMBIENT, value: \"true\"}", "{name: PILOT_ENABLE_AMBIENT, value: \"true\"}, {name: ENABLE_NATIVE_SIDECARS, value: \"true\"}", "The sidecars of old/web are containers"},
}

func (w *world) build(t testing.TB) (*mesh.Mesh, metric.Dump) {
	t.Helper()
	s := manifest.LoadWith(manifest.Options{}, manifest.Stream("mesh.yaml", strings.NewReader(strings.Join(w.manifests, "\n---\n"))))
	for _, p := range s.Problems() {
		t.Fatal(p)
	}
	d := metric.Dump{Start: time.Unix(0, 0), End: time.Unix(3600, 0)}
	for _, m := range metric.Health() {
		if series, ok := w.metrics[m.Name]; ok {
			d.Results = append(d.Results, metric.Result{Metric: m.Name, Unit: m.Unit, Series: series})
		}
	}
	return mesh.Build(s, mesh.Assume{}), d
}

func (w *world) run(t testing.TB) map[string]doctor.Result {
	t.Helper()
	m, d := w.build(t)
	out := map[string]doctor.Result{}
	for _, r := range doctor.Run(m, d, doctor.Only{}) {
		out[r.Check.ID] = r
	}
	return out
}

func idOf(name string) string { id, _, _ := strings.Cut(name, "/"); return id }

// found reports whether a fault was found with its cause.
func (f fault) found(r doctor.Result) bool {
	message, cause := regexp.MustCompile(f.want), regexp.MustCompile(f.cause)
	return slices.ContainsFunc(r.Findings, func(x doctor.Finding) bool {
		return message.MatchString(x.Message) && cause.MatchString(x.Cause) && x.Fix != ""
	})
}

func TestAHealthyMeshIsFoundHealthy(t *testing.T) {
	for id, r := range healthy().run(t) {
		if r.State != doctor.Healthy {
			t.Errorf("%s: %s %s %+v", id, r.State, r.Why, r.Findings)
		}
	}
}

func TestEachFaultIsFoundWithItsCauseAndNothingElse(t *testing.T) {
	for name, f := range faults {
		w := healthy()
		f.inject(w)
		for id, r := range w.run(t) {
			switch {
			case id == idOf(name):
				if !f.found(r) {
					t.Errorf("%s is not found: %s %s %+v", name, r.State, r.Why, r.Findings)
				}
			case r.State != doctor.Healthy && !slices.Contains(f.also, id):
				t.Errorf("%s: %s is %s: %s %+v", name, id, r.State, r.Why, r.Findings)
			}
		}
	}
	for id, f := range elsewhere {
		w := healthy()
		for i := range w.manifests {
			w.manifests[i] = strings.ReplaceAll(w.manifests[i], f.old, f.new)
		}
		r := w.run(t)[id]
		if !(fault{want: f.want}).found(r) {
			t.Errorf("%s is not found: %s %s %+v", id, r.State, r.Why, r.Findings)
		}
	}
}

// All faults at once are all found: none hides another. Pairs are generated as well, each fault with three others, for what
// only shows where little else is wrong.
func TestFaultsAtOnceAreAllFound(t *testing.T) {
	names := keys(faults)
	slices.Sort(names)
	sets := [][]string{names}
	for i, a := range names {
		for _, distance := range []int{1, 7, 16} {
			sets = append(sets, []string{a, names[(i+distance)%len(names)]})
		}
	}
	for _, set := range sets {
		w := healthy()
		for _, n := range set {
			faults[n].inject(w)
		}
		results := w.run(t)
		for _, n := range set {
			if !faults[n].found(results[idOf(n)]) {
				t.Errorf("%v: %s is not found: %+v", set, n, results[idOf(n)])
			}
		}
	}
}

func TestRegistry(t *testing.T) {
	ids, alerts := map[string]bool{}, map[string]bool{}
	for _, c := range doctor.All() {
		if ids[c.ID] || !regexp.MustCompile(`^[a-z-]+$`).MatchString(c.ID) {
			t.Errorf("%q is not a unique ID", c.ID)
		}
		ids[c.ID] = true
		if c.Sentence == "" || c.Otherwise == "" || strings.HasPrefix(c.Sentence, "No ") || c.Cause == "" || c.Fix == "" || c.Severity == "" || c.Confidence == "" || len(c.References) == 0 || len(c.Symptoms) == 0 {
			t.Errorf("%s lacks a sentence, cause, fix, severity, confidence, reference or symptom", c.ID)
		}
		if (c.Look == nil) == (len(c.Rules) == 0) {
			t.Errorf("%s looks neither by rules nor by itself, or by both", c.ID)
		}
		for _, code := range c.Rules {
			if _, ok := audit.Explain(code); !ok {
				t.Errorf("%s: no rule %s", c.ID, code)
			}
		}
		for _, m := range c.Metrics {
			if _, ok := metric.LookupHealth(m); !ok {
				t.Errorf("%s: no metric %s", c.ID, m)
			}
		}
		if a := c.Alert; a != nil && (alerts[a.Name] || !slices.Contains(c.Metrics, a.Metric) || a.For == "" || a.Summary == "") {
			t.Errorf("%s: its alert is incomplete or not unique", c.ID)
		} else if a != nil {
			alerts[a.Name] = true
		}
		firing := slices.ContainsFunc(append(keys(faults), keys(elsewhere)...), func(n string) bool { return idOf(n) == c.ID })
		if !firing {
			t.Errorf("%s has no scenario in which it fires", c.ID)
		}
	}
	for _, s := range doctor.Symptoms() {
		if !slices.ContainsFunc(doctor.All(), func(c doctor.Check) bool { return slices.Contains(c.Symptoms, s) }) {
			t.Errorf("no check explains %s", s)
		}
	}
}

func keys[V any](m map[string]V) []string {
	var out []string
	for k := range m {
		out = append(out, k)
	}
	return out
}

// Without metrics nothing that needs them is called healthy.
func TestWhatWasNotSeenIsNotHealthy(t *testing.T) {
	w := healthy()
	w.metrics = nil
	for id, r := range w.run(t) {
		if len(r.Check.Metrics) > 0 && (r.State != doctor.Unknown || r.Why == "") {
			t.Errorf("%s is %s without its metrics", id, r.State)
		}
	}
	m := mesh.Build(snapshot.NewBuilder().Build(), mesh.Assume{})
	for _, r := range doctor.Run(m, metric.Dump{Failed: "no server"}, doctor.Only{}) {
		if (r.Check.NeedsPods || len(r.Check.Metrics) > 0) && r.State != doctor.Unknown {
			t.Errorf("%s is %s of an empty mesh", r.Check.ID, r.State)
		}
	}
}

func TestDocsAreGenerated(t *testing.T) {
	var b bytes.Buffer
	if err := doctor.WriteDocs(&b); err != nil {
		t.Fatal(err)
	}
	const page = "../../docs/checks.md"
	if os.Getenv("UPDATE") != "" {
		if err := os.WriteFile(page, b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile(page)
	if err != nil || !bytes.Equal(have, b.Bytes()) {
		t.Errorf("%s is not what go generate ./internal/doctor writes (%v)", page, err)
	}
}
