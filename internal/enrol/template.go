package enrol

import (
	"fmt"
	"maps"

	"github.com/sidestep-mesh/sidestep/internal/mesh"
	"github.com/sidestep-mesh/sidestep/internal/object"
	"github.com/sidestep-mesh/sidestep/internal/snapshot"
	"github.com/sidestep-mesh/sidestep/internal/snapshot/partial"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"
)

// Impossible is why a workload cannot go into a mode.
type Impossible struct {
	Workload object.Ref
	Mode     object.Mode
	Why      string
}

func (i *Impossible) Error() string {
	return fmt.Sprintf("%s cannot be in %s mode: %s", i.Workload, i.Mode, i.Why)
}

// Refused says why no change takes a workload into a mode, nil where one may. What only the supposed state shows (a namespace
// that istio-cni leaves out, a template with a sidecar of its own) Arrived tells.
func Refused(w *mesh.Workload, mode object.Mode) error {
	no := func(why string) error { return &Impossible{w.Ref, mode, why} }
	switch {
	case w.Mode == mode:
		return nil
	case w.Role != object.Application:
		return no("it is part of the mesh itself (" + string(w.Role) + ")")
	case w.Template == nil:
		return no("it is a virtual machine, which runs its own agent; neither injection nor istio-cni reaches it")
	case mode == object.None:
		return nil
	case w.HostNetwork || w.Template.Spec.HostNetwork:
		return no("its pods are on the host's network, where there is no network of their own to redirect")
	case w.Has(mesh.WindowsNode):
		return no("its pods run on Windows, which no proxy of Istio supports")
	}
	return nil
}

// Arrived says why a workload is not in a mode in the state that was to bring it there, nil where it is.
func Arrived(after *mesh.Mesh, ref object.Ref, mode object.Mode) error {
	w := after.Workload(ref.Kind, ref.Namespace, ref.Name)
	if w == nil {
		return &Impossible{ref, mode, "it is gone in the supposed state"}
	}
	if w.Mode == mode {
		return nil
	}
	why := "new pods would be in mode " + string(w.Mode)
	for _, b := range w.AfterRestartWhy {
		why += "; " + b.Text
	}
	return &Impossible{ref, mode, why}
}

// labelsFor are the labels of a pod template that choose a mode; an empty value takes the label away (PLAN: template labels
// change one workload, with its own rollout, and win over its namespace's).
func labelsFor(mode object.Mode) map[string]string {
	switch mode {
	case object.Ambient:
		return map[string]string{mesh.LabelInject: "false", mesh.LabelDataplaneMode: mesh.ModeAmbient}
	case object.Sidecar:
		return map[string]string{mesh.LabelInject: "true", mesh.LabelDataplaneMode: ""}
	}
	return map[string]string{mesh.LabelInject: "false", mesh.LabelDataplaneMode: mesh.ModeNone}
}

// Listening returns what annotation proxy.istio.io/config of a pod template has to be for injection to give a sidecar that listens
// on HBONE, and whether that differs from what it is; ok is false where what it is cannot be read.
func Listening(annotations map[string]string) (config string, changed, ok bool) {
	settings := map[string]any{}
	if old, there := annotations[mesh.AnnotationProxyConfig]; there {
		if err := yaml.Unmarshal([]byte(old), &settings); err != nil || settings == nil {
			return "", false, false
		}
	}
	metadata, ok := settings["proxyMetadata"].(map[string]any)
	if !ok && settings["proxyMetadata"] != nil {
		return "", false, false
	}
	if metadata == nil {
		metadata = map[string]any{}
	}
	if metadata[envEnableHBONE] == "true" {
		return annotations[mesh.AnnotationProxyConfig], false, true
	}
	metadata[envEnableHBONE] = "true"
	settings["proxyMetadata"] = metadata
	out, err := yaml.Marshal(settings)
	return string(out), true, err == nil
}

// envEnableHBONE makes a sidecar listen on HBONE; without it ztunnel calls its pod in plaintext.
const envEnableHBONE = "ISTIO_META_ENABLE_HBONE"

// edited returns copies of the objects that make a workload's pods, with labels and annotations set in their template. A workload
// whose owner the snapshot lacks is known by its pods alone: they stand for the template.
func edited(m *mesh.Mesh, w *mesh.Workload, labels, annotations map[string]string) ([]snapshot.Object, error) {
	if _, live := w.Object.(*snapshot.Pod); live || w.Kind == "Pod" {
		pods := make([]snapshot.Object, 0, len(w.Pods))
		for _, p := range w.Pods {
			c := *p
			c.Labels, c.Annotations = set(p.Labels, labels), set(p.Annotations, annotations)
			pods = append(pods, &c)
		}
		return pods, nil
	}
	o := w.Object.DeepCopyObject().(snapshot.Object)
	t := templateOf(o)
	if r, ok := o.(*partial.Rollout); ok && r.Spec.WorkloadRef != nil {
		d, found := snapshot.Get[*appsv1.Deployment](m.Snapshot, w.Namespace, r.Spec.WorkloadRef.Name)
		if !found {
			return nil, fmt.Errorf("%s takes its template from Deployment %s, which is not in the input", w.Ref, r.Spec.WorkloadRef.Name)
		}
		d = d.DeepCopy()
		o, t = d, &d.Spec.Template
	}
	if t == nil {
		return nil, fmt.Errorf("%s has no pod template that could be labelled", w.Ref)
	}
	t.Labels, t.Annotations = set(t.Labels, labels), set(t.Annotations, annotations)
	return []snapshot.Object{o}, nil
}

// templateOf returns the template of a kind that makes pods, or nil.
func templateOf(o snapshot.Object) *corev1.PodTemplateSpec {
	switch o := o.(type) {
	case *appsv1.Deployment:
		return &o.Spec.Template
	case *appsv1.StatefulSet:
		return &o.Spec.Template
	case *appsv1.DaemonSet:
		return &o.Spec.Template
	case *appsv1.ReplicaSet:
		return &o.Spec.Template
	case *batchv1.Job:
		return &o.Spec.Template
	case *batchv1.CronJob:
		return &o.Spec.JobTemplate.Spec.Template
	case *corev1.ReplicationController:
		return o.Spec.Template
	case *partial.Rollout:
		return &o.Spec.Template
	case *partial.PodMaker:
		return &o.Spec.Template
	}
	return nil
}

// set returns a map with keys set, those without value taken away.
func set(m, keys map[string]string) map[string]string {
	if len(keys) == 0 {
		return m
	}
	out := maps.Clone(m)
	if out == nil {
		out = map[string]string{}
	}
	for k, v := range keys {
		if v == "" {
			delete(out, k)
		} else {
			out[k] = v
		}
	}
	return out
}

// selectorOf returns labels that all pods of a workload have and that its controller selects them by; empty where it has none.
func selectorOf(w *mesh.Workload) map[string]string {
	switch o := w.Object.(type) {
	case *appsv1.Deployment:
		if o.Spec.Selector != nil {
			return o.Spec.Selector.MatchLabels
		}
	case *appsv1.StatefulSet:
		if o.Spec.Selector != nil {
			return o.Spec.Selector.MatchLabels
		}
	case *appsv1.DaemonSet:
		if o.Spec.Selector != nil {
			return o.Spec.Selector.MatchLabels
		}
	}
	if w.Template == nil {
		return nil
	}
	out := maps.Clone(w.Template.Labels)
	for _, key := range append(mesh.InjectedLabels(), mesh.LabelInject, mesh.LabelDataplaneMode, mesh.LabelUseWaypoint) {
		delete(out, key)
	}
	return out
}
