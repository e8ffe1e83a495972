package livetest

import (
	"github.com/sidestep-mesh/sidestep/internal/mesh"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

func ownerOf(o *unstructured.Unstructured) []metav1.OwnerReference {
	yes := true
	return []metav1.OwnerReference{{APIVersion: o.GetAPIVersion(), Kind: o.GetKind(), Name: o.GetName(), UID: o.GetUID(), Controller: &yes}}
}

// setStatus writes a status and reports whether it is another.
func (s *Server) setStatus(k key, status map[string]any) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.objects[k]
	if old == nil || jsonOf(old.Object["status"]) == jsonOf(status) {
		return false
	}
	o := old.DeepCopy()
	o.Object["status"] = status
	s.store(k, old, o)
	return true
}

// conditions writes what istiod would say about waypoints, Services and policies.
func (s *Server) conditions() bool {
	changed := false
	s.mu.Lock()
	var all []*unstructured.Unstructured
	for _, o := range s.objects {
		all = append(all, o)
	}
	s.mu.Unlock()
	changed = s.collectGarbage(all) || changed
	ready := map[string]bool{}
	for _, o := range all {
		class, _, _ := unstructured.NestedString(o.Object, "spec", "gatewayClassName")
		if o.GetKind() != "Gateway" || class != mesh.ClassWaypoint {
			continue
		}
		ready[o.GetNamespace()+"/"+o.GetName()] = true
		k, _ := keyOf(o)
		changed = s.setStatus(k, map[string]any{"addresses": []any{map[string]any{"type": "IPAddress", "value": "10.96.255.1"}},
			"conditions": []any{condition("Programmed", "True", "Programmed", o.GetGeneration())}}) || changed
		changed = s.waypointPod(o) || changed
	}
	bound := map[string]bool{}
	for _, o := range all {
		if o.GetKind() != "Service" {
			continue
		}
		k, _ := keyOf(o)
		waypoint := o.GetLabels()[mesh.LabelUseWaypoint]
		if waypoint == "" || waypoint == mesh.WaypointNone {
			changed = s.setStatus(k, map[string]any{}) || changed
			continue
		}
		status, reason := "False", "WaypointIsNotReady"
		if ready[o.GetNamespace()+"/"+waypoint] {
			status, reason, bound[o.GetNamespace()+"/"+o.GetName()] = "True", "WaypointAccepted", true
		}
		changed = s.setStatus(k, map[string]any{"conditions": []any{condition(mesh.ConditionWaypointBound, status, reason, o.GetGeneration())}}) || changed
	}
	for _, o := range all {
		if o.GetKind() != "AuthorizationPolicy" {
			continue
		}
		k, _ := keyOf(o)
		c := condition("ZtunnelAccepted", "True", "Accepted", o.GetGeneration())
		if refs, ok, _ := unstructured.NestedSlice(o.Object, "spec", "targetRefs"); ok && len(refs) > 0 {
			c = condition("WaypointAccepted", "True", "Accepted", o.GetGeneration())
			first, _ := refs[0].(map[string]any)
			if name, _ := first["name"].(string); first["kind"] == "Service" && !bound[o.GetNamespace()+"/"+name] {
				c = condition("WaypointAccepted", "False", "AncestorNotBound", o.GetGeneration())
			}
		}
		changed = s.setStatus(k, map[string]any{"conditions": []any{c}}) || changed
	}
	return changed
}

func condition(kind, status, reason string, generation int64) map[string]any {
	return map[string]any{"type": kind, "status": status, "reason": reason, "message": "", "observedGeneration": generation}
}

// waypointPod makes the pod of a waypoint.
func (s *Server) waypointPod(g *unstructured.Unstructured) bool {
	name := g.GetName() + "-waypoint"
	if s.Get("", "pods", g.GetNamespace(), name) != nil {
		return false
	}
	pod := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "Pod",
		"spec":   map[string]any{"serviceAccountName": g.GetName(), "containers": []any{map[string]any{"name": mesh.ProxyContainer, "image": "registry.example/proxyv2:1.31.0"}}},
		"status": map[string]any{"phase": "Running", "podIP": "10.66.200.1", "conditions": []any{map[string]any{"type": "Ready", "status": "True"}}}}}
	pod.SetNamespace(g.GetNamespace())
	pod.SetName(name)
	pod.SetLabels(map[string]string{mesh.LabelGatewayName: g.GetName(), mesh.LabelGatewayClass: mesh.ClassWaypoint, mesh.LabelGatewayManaged: mesh.ManagedByMesh})
	pod.SetOwnerReferences(ownerOf(g))
	if err := s.Put(pod, "istiod"); err != nil {
		panic(err)
	}
	return true
}

// collectGarbage removes pods whose Gateway is gone.
func (s *Server) collectGarbage(all []*unstructured.Unstructured) bool {
	changed := false
	for _, o := range all {
		gateway := o.GetLabels()[mesh.LabelGatewayName]
		if o.GetKind() == "Pod" && gateway != "" && s.Get("gateway.networking.k8s.io", "gateways", o.GetNamespace(), gateway) == nil {
			s.Remove("", "pods", o.GetNamespace(), o.GetName())
			changed = true
		}
	}
	return changed
}
