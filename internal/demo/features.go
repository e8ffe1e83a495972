package demo

import (
	"github.com/sidestep-mesh/sidestep/internal/snapshot"
	corev1 "k8s.io/api/core/v1"
)

// feature is what one service does beyond the plain: a change of its workload, and objects beside it.
type feature struct {
	// kind is the workload's kind, Deployment when empty.
	kind string
	// shape changes the pod template; also makes further objects.
	shape func(*corev1.PodTemplateSpec)
	also  func(*service) []snapshot.Object
	// port describes the service's port, http when nil.
	port *corev1.ServicePort
	// waypoint binds the Service to its namespace's waypoint.
	waypoint bool
}

// features are listed as a reader would ask for them: what it is for is the comment.
var features = map[string]feature{
	// Nothing above L4: ztunnel is enough.
	"plain":     {},
	"tcp":       {port: &corev1.ServicePort{Name: "tcp-data", Port: 9000}},
	"grpc":      {port: &corev1.ServicePort{Name: "grpc", Port: 9090}},
	"l4-policy": {also: l4Policy},
	"stateful":  {kind: "StatefulSet"},
	"job":       {kind: "Job"},
	"cronjob":   {kind: "CronJob"},
	"rollout":   {kind: "Rollout"},

	// HTTP: a waypoint is needed.
	"http-policy":      {also: httpPolicy},
	"jwt":              {also: jwtPolicy},
	"ext-authz":        {also: customPolicy},
	"audit-policy":     {also: auditPolicy},
	"http-route":       {also: httpRoute},
	"retries":          {also: retries},
	"canary":           {also: canary},
	"session-affinity": {also: sessionAffinity},
	"wasm":             {also: wasmPlugin},
	"fault":            {also: faultInjection},

	// HTTP, already enforced by a waypoint.
	"attached-policy": {also: attachedPolicy, waypoint: true},

	// A DENY that would do nothing at ztunnel, silently.
	"deny-paths": {also: denyPaths},

	// Nothing but a sidecar does it.
	"lua":             {also: luaFilter},
	"rate-limit":      {also: rateLimitFilter},
	"source-labels":   {also: sourceLabels},
	"excluded-ports":  {shape: annotate("traffic.sidecar.istio.io/excludeOutboundPorts", "21,22")},
	"tproxy":          {shape: annotate("sidecar.istio.io/interceptionMode", "TPROXY")},
	"vm":              {also: virtualMachine},
	"localhost-admin": {shape: callsProxyAdmin},

	// Control of what leaves the mesh, and metrics through the proxy.
	"egress":  {also: externalService},
	"scraped": {shape: scrapedThroughProxy},

	// Neither injected nor captured.
	"host-network": {kind: "DaemonSet", shape: func(t *corev1.PodTemplateSpec) { t.Spec.HostNetwork = true }},
}

func annotate(key, value string) func(*corev1.PodTemplateSpec) {
	return func(t *corev1.PodTemplateSpec) { t.Annotations[key] = value }
}

func scrapedThroughProxy(t *corev1.PodTemplateSpec) {
	t.Annotations["prometheus.io/scrape"] = "true"
	t.Annotations["prometheus.io/port"] = "8080"
	t.Annotations["prometheus.istio.io/merge-metrics"] = "true"
}

// callsProxyAdmin asks the proxy to quit when the work is done, which ends with the proxy.
func callsProxyAdmin(t *corev1.PodTemplateSpec) {
	c := &t.Spec.Containers[0]
	c.Command = []string{"/bin/sh", "-c", "/app/probe && curl -fsS -X POST http://localhost:15020/quitquitquit"}
}
