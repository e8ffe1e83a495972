package snapshot

import (
	"maps"
	"reflect"
	"slices"

	"github.com/sidestep-mesh/sidestep/internal/object"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// Refresh returns the snapshot after news of a cluster: whatever stands under the names of touched (objects, what could not be read,
// what was left out) is replaced by what news holds, or is gone. The receiver stays as it is and the two share every other object.
// It costs as much as the kinds that it touches have objects. Knowledge marked in news replaces that of the kind; marked as Known, a
// kind is what its objects say again. Where a ConfigMap or a Gateway is touched, news must hold every ConfigMap that
// KeepConfigMap keeps: which of them matter depends on the Gateways. The Builder must not be used afterwards.
func (s *Snapshot) Refresh(news *Builder, touched []object.Ref) *Snapshot {
	out := *s
	out.tables, out.unknown, out.knowledge = maps.Clone(s.tables), maps.Clone(s.unknown), maps.Clone(s.knowledge)
	for k, v := range news.knowledge {
		if v.State == Known {
			delete(out.knowledge, k)
		} else {
			out.knowledge[k] = v
		}
	}
	named := map[object.Ref]bool{}
	for _, r := range touched {
		named[r] = true
	}
	out.problems = slices.DeleteFunc(slices.Clone(s.problems), func(p Problem) bool {
		return p.Name != "" && named[object.Ref{Group: p.Kind.Group, Kind: p.Kind.Kind, Namespace: p.Namespace, Name: p.Name}]
	})
	out.problems = append(out.problems, news.problems...)
	out.ignored = slices.DeleteFunc(slices.Clone(s.ignored), func(i Ignored) bool {
		group := schema.FromAPIVersionAndKind(i.APIVersion, i.Kind).Group
		return named[object.Ref{Group: group, Kind: i.Kind, Namespace: i.Namespace, Name: i.Name}]
	})
	out.ignored = append(out.ignored, news.ignored...)
	out.files = s.files
	nowhere := slices.Index(s.files, "")
	if nowhere < 0 {
		nowhere = len(s.files)
		out.files = append(slices.Clip(s.files), "")
	}
	configMaps, gateways := reflect.TypeFor[*corev1.ConfigMap](), reflect.TypeFor[*gatewayv1.Gateway]()
	for _, info := range kinds {
		gone := map[entryKey]bool{}
		for r := range named {
			if r.Kind == info.Kind.Kind && r.Group == info.Group {
				gone[entryKey{info.goType, r.Namespace, r.Name}] = true
			}
		}
		put := map[entryKey]Object{}
		for _, e := range news.objects[info.goType] {
			put[keyOf(e.object)] = e.object
		}
		if len(put)+len(gone) == 0 {
			continue
		}
		old := s.tables[info.goType]
		out.tables[info.goType] = newTable(info, merge(old, put, gone, int32(nowhere), out.unknown))
		for _, o := range put {
			delete(out.unknown, o)
			if fields := news.unknown[o]; len(fields) > 0 {
				out.unknown[o] = fields
			}
		}
		out.length += out.tables[info.goType].len() - lenOf(old)
	}
	if len(news.objects[configMaps]) > 0 || len(news.objects[gateways]) > 0 || anyOf(named, "ConfigMap") || anyOf(named, "Gateway") {
		out.dropForeign(configMaps)
	}
	return &out
}

func anyOf(named map[object.Ref]bool, kind string) bool {
	for r := range named {
		if r.Kind == kind {
			return true
		}
	}
	return false
}

// dropForeign leaves out ConfigMaps that only look like an overlay, as Builder.dropForeignConfigMaps does.
func (s *Snapshot) dropForeign(configMaps reflect.Type) {
	t := s.tables[configMaps]
	if lenOf(t) == 0 {
		return
	}
	b := NewBuilder()
	b.files = s.files
	for i := range t.len() {
		b.objects[configMaps] = append(b.objects[configMaps], entry{object: t.at(i), place: t.places[i]})
	}
	gateways := reflect.TypeFor[*gatewayv1.Gateway]()
	for i := range lenOf(s.tables[gateways]) {
		b.objects[gateways] = append(b.objects[gateways], entry{object: s.tables[gateways].at(i)})
	}
	b.dropForeignConfigMaps()
	for _, left := range b.ignored {
		if !slices.Contains(s.ignored, left) {
			s.ignored = append(s.ignored, left)
		}
	}
	info, _ := infoOf(configMaps)
	s.tables[configMaps] = newTable(info, b.objects[configMaps])
	s.length += s.tables[configMaps].len() - t.len()
}

// Same reports whether two forms of one object say the same to everything that reads snapshots. What a cluster writes all the time
// without a change of anything is left out: resource versions, heartbeats of nodes, what an autoscaler measured.
func Same(a, b Object) bool {
	return reflect.TypeOf(a) == reflect.TypeOf(b) && identical(steady(a), steady(b))
}

// steady returns an object without what changes all the time: the object itself where there is nothing of the sort.
func steady(o Object) Object {
	switch o := o.(type) {
	case *Pod:
		return o // it was made without
	case *corev1.Node:
		c := *o
		c.ResourceVersion, c.Generation = "", 0
		c.Status.Conditions = slices.Clone(o.Status.Conditions)
		for i := range c.Status.Conditions {
			c.Status.Conditions[i].LastHeartbeatTime = metav1.Time{}
		}
		return &c
	case *autoscalingv2.HorizontalPodAutoscaler:
		c := *o
		c.ResourceVersion, c.Generation = "", 0
		c.Status.CurrentMetrics, c.Status.LastScaleTime, c.Status.Conditions = nil, nil, nil
		return &c
	}
	c := o.DeepCopyObject().(Object)
	c.SetResourceVersion("")
	c.SetGeneration(0)
	return c
}
