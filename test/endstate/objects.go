package endstate

import (
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/sidestep-mesh/sidestep/internal/metric"
	"github.com/sidestep-mesh/sidestep/internal/roi"
	"github.com/sidestep-mesh/sidestep/internal/snapshot"
	"github.com/sidestep-mesh/sidestep/internal/snapshot/manifest"
)

// object is a Kubernetes object as JSON.
type object = map[string]any

func meta(kind, api, namespace, name string, more object) object {
	m := object{"name": name}
	if namespace != "" {
		m["namespace"] = namespace
	}
	for k, v := range more {
		m[k] = v
	}
	return object{"apiVersion": api, "kind": kind, "metadata": m}
}

func asks(s size) object {
	return object{"requests": object{"cpu": fmt.Sprintf("%dm", s.cpu), "memory": fmt.Sprintf("%dMi", s.mem)}}
}

func owner(kind, api, name string) []object {
	return []object{{"apiVersion": api, "kind": kind, "name": name, "uid": kind + "-" + name, "controller": true}}
}

// snapshotOf is what an API server would say of the cluster.
func (c *cluster) snapshotOf() (*snapshot.Snapshot, error) {
	var b bytes.Buffer
	put := func(o object) error { return json.NewEncoder(&b).Encode(o) }
	var all []object
	seen := map[string]bool{}
	for _, w := range c.workloads {
		if !seen[w.namespace] {
			seen[w.namespace] = true
			labels := object{}
			if w.meshed {
				labels["istio-injection"] = "enabled"
			}
			all = append(all, meta("Namespace", "v1", "", w.namespace, object{"labels": labels}))
		}
		labels := object{"app": w.name}
		template := object{"metadata": object{"labels": labels}, "spec": object{"containers": []object{{"name": "app", "image": "app:1", "resources": asks(w.app)}}}}
		d := meta("Deployment", "apps/v1", w.namespace, w.name, object{"uid": "Deployment-" + w.name})
		d["spec"] = object{"replicas": len(w.pods), "selector": object{"matchLabels": labels}, "template": template}
		r := meta("ReplicaSet", "apps/v1", w.namespace, w.name+"-5d8f7c", object{"uid": "ReplicaSet-" + w.name + "-5d8f7c", "ownerReferences": owner("Deployment", "apps/v1", w.name)})
		r["spec"] = d["spec"]
		s := meta("Service", "v1", w.namespace, w.name, nil)
		s["spec"] = object{"selector": labels, "clusterIP": "10.1.1.1", "ports": []object{{"name": "tcp", "port": 80, "targetPort": 8080}}}
		all = append(all, d, r, s)
		if w.autoscaled {
			h := meta("HorizontalPodAutoscaler", "autoscaling/v2", w.namespace, w.name, nil)
			h["spec"] = object{"minReplicas": 2, "maxReplicas": 200, "scaleTargetRef": object{"apiVersion": "apps/v1", "kind": "Deployment", "name": w.name},
				"metrics": []object{{"type": "Resource", "resource": object{"name": "cpu", "target": object{"type": "Utilization", "averageUtilization": w.target}}}}}
			n := float64(len(w.pods))
			use := w.load
			if w.meshed {
				use += w.carried + w.idle*n
			}
			h["status"] = object{"currentReplicas": len(w.pods), "desiredReplicas": len(w.pods), "currentMetrics": []object{{"type": "Resource", "resource": object{"name": "cpu",
				"current": object{"averageUtilization": int(100 * use / (n * float64(w.size(w.meshed).cpu))), "averageValue": fmt.Sprintf("%dm", int(use/n))}}}}}
			all = append(all, h)
		}
	}
	key, value := c.scaler.label()
	all = append(all, meta("Namespace", "v1", "", "kube-system", nil))
	for _, n := range c.nodes {
		o := meta("Node", "v1", "", n.name, object{"labels": object{key: value, "kubernetes.io/hostname": n.name, "topology.kubernetes.io/zone": n.zone, "topology.kubernetes.io/region": "us-east-1",
			"node.kubernetes.io/instance-type": n.kind.name, "kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64"}})
		o["status"] = object{"allocatable": object{"cpu": fmt.Sprintf("%dm", n.kind.room.cpu), "memory": fmt.Sprintf("%dMi", n.kind.room.mem), "pods": fmt.Sprint(n.kind.pods)}}
		all = append(all, o)
		for i, p := range n.pods {
			all = append(all, p.object(n, i))
		}
	}
	for _, o := range all {
		if err := put(o); err != nil {
			return nil, err
		}
		b.WriteString("---\n")
	}
	snap := manifest.Load(manifest.Stream("cluster.json", &b))
	if p := snap.Problems(); len(p) > 0 {
		return nil, fmt.Errorf("the simulated cluster cannot be read: %v", p[0])
	}
	return snap, nil
}

func (p *pod) object(n *node, i int) object {
	if p.w == nil {
		o := meta("Pod", "v1", "kube-system", fmt.Sprintf("%s-%s-%d", p.daemon, n.name, i), object{"labels": object{"k": p.daemon}, "ownerReferences": owner("DaemonSet", "apps/v1", p.daemon)})
		o["spec"] = object{"nodeName": n.name, "containers": []object{{"name": "agent", "image": "agent:1", "resources": asks(p.need)}}}
		o["status"] = object{"phase": "Running"}
		return o
	}
	more := object{"labels": object{"app": p.w.name}, "ownerReferences": owner("ReplicaSet", "apps/v1", p.w.name+"-5d8f7c")}
	containers := []object{{"name": "app", "image": "app:1", "resources": asks(p.w.app)}}
	if p.w.stuck {
		more["annotations"] = object{"cluster-autoscaler.kubernetes.io/safe-to-evict": "false"}
	}
	if p.sidecar {
		more["annotations"] = object{"sidecar.istio.io/status": "{}"}
		more["labels"] = object{"app": p.w.name, "security.istio.io/tlsMode": "istio"}
		containers = append(containers, object{"name": "istio-proxy", "image": "proxyv2:1.31.0", "resources": asks(sidecar)})
	}
	o := meta("Pod", "v1", p.w.namespace, p.name(), more)
	o["spec"] = object{"nodeName": n.name, "containers": containers}
	o["status"] = object{"phase": "Running"}
	return o
}

func (p *pod) name() string { return fmt.Sprintf("%s-5d8f7c-%05d", p.w.name, p.serial) }

// usage is what a metrics server would say of the sidecars.
func (c *cluster) usage() metric.Dump {
	r := metric.Result{Metric: "proxy_usage"}
	for _, w := range c.workloads {
		for _, p := range w.pods {
			if p.sidecar && w.autoscaled {
				v := (w.idle + w.carried/float64(len(w.pods))) / 1000
				r.Series = append(r.Series, metric.Series{Labels: map[string]string{"namespace": w.namespace, "pod": p.name(), "resource": "cpu"}, Points: []metric.Point{{T: 1, V: v}, {T: 2, V: v}}})
			}
		}
	}
	return metric.Dump{Results: []metric.Result{r}}
}

func (c *cluster) prices() roi.Prices {
	out := roi.Prices{ByNode: map[string]roi.Price{}}
	for _, n := range c.nodes {
		out.ByNode[n.name] = roi.Price{PerHour: n.kind.price, Currency: "USD", Source: "list", Date: "2026-09-01"}
	}
	return out
}
