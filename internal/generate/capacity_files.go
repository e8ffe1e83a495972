package generate

import (
	"fmt"
	"math"
	"strings"
)

// CapacityFile is the objects of one waypoint: what the Gateway's spec.infrastructure.parametersRef should name, and with prometheus set, the address
// of a server as KEDA sees it, a ScaledObject in place of the HorizontalPodAutoscaler.
func CapacityFile(c Capacity, prometheus string) File {
	least, most := max(2, c.Scaling.least), max(3, c.Scaling.most)
	target := int(math.Round(c.Scaling.target * 100))
	if target == 0 {
		target = 70
	}
	window := max(600, c.Scaling.window)
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	ns, name := c.Gateway.Namespace, c.Gateway.Name
	line("# Capacity of waypoint %s/%s; written by sidestep generate capacity. Istio 1.26 and later: name it in the Gateway, with", ns, name)
	line("#   kubectl patch gateway -n %s %s --type merge -p '{\"spec\":{\"infrastructure\":{\"parametersRef\":{\"group\":\"\",\"kind\":\"ConfigMap\",\"name\":\"%s-capacity\"}}}}'", ns, name, name)
	line("# A Gateway has one parametersRef: where it names a ConfigMap already, merge these keys into that one.")
	line("apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: %s-capacity\n  namespace: %s\ndata:\n  deployment: |", name, ns)
	line("    spec:\n      template:\n        spec:\n          terminationGracePeriodSeconds: 60\n          containers:\n          - name: istio-proxy\n            resources:\n              requests:\n                cpu: %dm\n                memory: 256Mi", int(sizedRequest*1000))
	line("  podDisruptionBudget: |\n    spec:\n      maxUnavailable: 1")
	if prometheus == "" {
		line("  horizontalPodAutoscaler: |\n    spec:\n      minReplicas: %d\n      maxReplicas: %d\n      metrics:\n      - type: Resource\n        resource:\n          name: cpu\n          target:\n            type: Utilization\n            averageUtilization: %d", least, most, target)
		line("%s", behaviour("      ", window))
		return File{fmt.Sprintf("%s-%s.yaml", ns, name), b.String()}
	}
	perPod := sizedRequest * float64(target) / 100 / c.CorePerRequest
	line("---\n# KEDA owns the HorizontalPodAutoscaler that it makes of this. %.0f requests/s keep a pod at %d%% of its request.", perPod, target)
	line("apiVersion: keda.sh/v1alpha1\nkind: ScaledObject\nmetadata:\n  name: %s\n  namespace: %s\nspec:\n  scaleTargetRef:\n    apiVersion: apps/v1\n    kind: Deployment\n    name: %s", name, ns, name)
	line("  minReplicaCount: %d\n  maxReplicaCount: %d\n  fallback: {failureThreshold: 3, replicas: %d}", least, most, max(least, c.Outcome.peakPods))
	line("  advanced:\n    horizontalPodAutoscalerConfig:\n%s", behaviour("      ", window))
	line("  triggers:\n  - type: prometheus\n    metadata:\n      serverAddress: %q\n      query: %q\n      threshold: \"%d\"", prometheus, KEDAQuery(ns, name), int(perPod))
	return File{fmt.Sprintf("%s-%s.yaml", ns, name), b.String()}
}

// KEDAQuery counts the requests that a waypoint's pods handle: its pods' names begin with its own.
func KEDAQuery(namespace, name string) string {
	return fmt.Sprintf(`sum(rate(istio_requests_total{reporter="waypoint", namespace=%q, pod=~%q}[2m]))`, namespace, name+"-[a-z0-9]+-[a-z0-9]+")
}

// behaviour goes up at once and down slowly: each scale-down ends connections that ztunnel goes on using until it notices.
func behaviour(in string, window int) string {
	return strings.TrimSuffix(fmt.Sprintf("%[1]sbehavior:\n%[1]s  scaleUp:\n%[1]s    stabilizationWindowSeconds: 0\n%[1]s  scaleDown:\n%[1]s    stabilizationWindowSeconds: %[2]d\n%[1]s    policies:\n%[1]s    - {type: Pods, value: 1, periodSeconds: 60}\n", in, window), "\n")
}
