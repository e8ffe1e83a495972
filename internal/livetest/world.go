package livetest

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/sidestep-mesh/sidestep/internal/mesh"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// Step lets the controllers of the cluster and of the mesh work: at most pods pods of each workload are made anew (0 for all), and
// conditions are written. It reports whether anything has changed.
func (s *Server) Step(pods int) bool {
	changed := s.roll(pods)
	return s.conditions() || changed
}

// Settle steps until nothing changes any more.
func (s *Server) Settle() {
	for range 100 {
		if !s.Step(0) {
			return
		}
	}
	panic("livetest: the world does not settle")
}

var templates = map[string][]string{
	"deployments":  {"spec", "template"},
	"statefulsets": {"spec", "template"},
	"daemonsets":   {"spec", "template"},
}

const labelHash = "pod-template-hash"

// roll makes pods anew whose template has changed, and says in the status how far it is.
func (s *Server) roll(pods int) bool {
	changed := false
	var now *mesh.Mesh
	s.mu.Lock()
	work := []key{}
	for k := range s.objects {
		if templates[k.resource] != nil {
			work = append(work, k)
		}
	}
	s.mu.Unlock()
	slices.SortFunc(work, func(a, b key) int { return compare(a, b) })
	for _, k := range work {
		o := s.Get(k.group, k.resource, k.namespace, k.name)
		if managed := o.GetLabels()[mesh.LabelGatewayManaged]; o == nil || managed != "" {
			continue
		}
		template, _, _ := unstructured.NestedMap(o.Object, templates[k.resource]...)
		hash := hashOf(template)
		want := int64(1)
		if n, ok, _ := unstructured.NestedInt64(o.Object, "spec", "replicas"); ok {
			want = n
		}
		old, fresh := s.podsOf(k, hash)
		for i := 0; int64(len(fresh)) < want && (pods == 0 || i < pods); i++ {
			if now == nil {
				now = s.templatesMesh()
			}
			fresh = append(fresh, s.makePod(k, o, template, hash, now))
			if len(old) > 0 {
				s.Remove("", "pods", k.namespace, old[0])
				old = old[1:]
			}
			changed = true
		}
		for int64(len(fresh)) >= want && len(old) > 0 {
			s.Remove("", "pods", k.namespace, old[0])
			old, changed = old[1:], true
		}
		status := map[string]any{"observedGeneration": o.GetGeneration(), "replicas": int64(len(fresh) + len(old)), "updatedReplicas": int64(len(fresh)),
			"readyReplicas": int64(len(fresh) + len(old)), "availableReplicas": int64(len(fresh) + len(old)),
			"currentRevision": hash, "updateRevision": hash, "desiredNumberScheduled": want, "updatedNumberScheduled": int64(len(fresh)), "numberAvailable": int64(len(fresh) + len(old))}
		changed = s.setStatus(k, status) || changed
	}
	return changed
}

func compare(a, b key) int {
	x, y := fmt.Sprint(a), fmt.Sprint(b)
	switch {
	case x < y:
		return -1
	case x > y:
		return 1
	}
	return 0
}

// templatesMesh are the facts of the mesh as its templates say, without pods.
func (s *Server) templatesMesh() *mesh.Mesh {
	snap := s.Snapshot()
	m := mesh.Build(snap, mesh.Assume{})
	var all []mesh.Ref
	for _, w := range m.Workloads {
		all = append(all, w.Ref)
	}
	return mesh.Build(snap, mesh.Assume{Restarted: all, AmbientInstalled: true})
}

func (s *Server) podsOf(k key, hash string) (old, fresh []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for have, o := range s.objects {
		if have.resource != "pods" || have.namespace != k.namespace || o.GetAnnotations()["livetest/of"] != k.resource+"/"+k.name {
			continue
		}
		if o.GetAnnotations()["livetest/hash"] == hash {
			fresh = append(fresh, have.name)
		} else {
			old = append(old, have.name)
		}
	}
	slices.Sort(old)
	slices.Sort(fresh)
	return old, fresh
}

func hashOf(template map[string]any) string {
	raw, _ := json.Marshal(template)
	h := uint32(2166136261)
	for _, c := range raw {
		h = (h ^ uint32(c)) * 16777619
	}
	return fmt.Sprintf("%08x", h)
}

// makePod makes a pod of a template, with a sidecar or enrolled in ambient mode as the mesh would.
func (s *Server) makePod(k key, owner *unstructured.Unstructured, template map[string]any, hash string, now *mesh.Mesh) string {
	s.mu.Lock()
	s.serial++
	n := s.serial
	s.mu.Unlock()
	pod := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "Pod"}}
	spec, _, _ := unstructured.NestedMap(template, "spec")
	pod.Object["spec"] = spec
	labels, _, _ := unstructured.NestedStringMap(template, "metadata", "labels")
	annotations, _, _ := unstructured.NestedStringMap(template, "metadata", "annotations")
	labels, annotations = maps.Clone(labels), maps.Clone(annotations)
	if labels == nil {
		labels = map[string]string{}
	}
	if annotations == nil {
		annotations = map[string]string{}
	}
	annotations["livetest/of"], annotations["livetest/hash"] = k.resource+"/"+k.name, hash
	if w := now.Workload(owner.GetKind(), k.namespace, k.name); w != nil {
		switch w.Mode {
		case mesh.Sidecar:
			for name, v := range w.Labels {
				labels[name] = v
			}
			annotations[mesh.AnnotationStatus] = "{}"
			containers, _, _ := unstructured.NestedSlice(spec, "containers")
			proxy := map[string]any{"name": mesh.ProxyContainer, "image": "registry.example/proxyv2:1.31.0"}
			if w.Proxy.HBONE {
				proxy["env"] = []any{map[string]any{"name": "ISTIO_META_ENABLE_HBONE", "value": "true"}}
			}
			spec["containers"] = append(containers, proxy)
		case mesh.Ambient:
			annotations[mesh.AnnotationRedirection] = mesh.RedirectionEnabled
		}
	}
	pod.SetNamespace(k.namespace)
	pod.SetName(fmt.Sprintf("%s-%s-%d", k.name, hash[:5], n))
	pod.SetAnnotations(annotations)
	if k.resource == "deployments" {
		labels[labelHash] = hash
		replicaSet := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "apps/v1", "kind": "ReplicaSet", "spec": map[string]any{"selector": map[string]any{}}}}
		replicaSet.SetNamespace(k.namespace)
		replicaSet.SetName(k.name + "-" + hash)
		replicaSet.SetOwnerReferences(ownerOf(owner))
		_ = s.Put(replicaSet, "controllers")
		owner = s.Get("apps", "replicasets", k.namespace, k.name+"-"+hash)
	}
	pod.SetLabels(labels)
	pod.SetOwnerReferences(ownerOf(owner))
	pod.Object["status"] = map[string]any{"phase": "Running", "podIP": fmt.Sprintf("10.66.%d.%d", n/250, n%250+1),
		"conditions": []any{map[string]any{"type": "Ready", "status": "True"}}}
	if err := s.Put(pod, "controllers"); err != nil {
		panic(err)
	}
	return pod.GetName()
}
