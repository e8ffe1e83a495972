package snapshot

import (
	"encoding/json"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Pod is what a snapshot keeps of a pod. Pods are most of a mesh and those of one template are all but the same, so
// each has a few words of its own and shares the rest: labels, annotations, owner references and Spec are often
// the same values in memory as those of the pods beside it. Nothing may change them, as with all of a Snapshot;
// Core and DeepCopyObject give copies that may be changed.
//
// Of the metadata it has name, namespace, UID, the two timestamps, labels, annotations and owner references.
type Pod struct {
	metav1.ObjectMeta
	// Spec is the pod's spec without NodeName, Hostname and what Strip removes (volumes, mounts, ...). It is never nil.
	Spec *corev1.PodSpec
	// NodeName is spec.nodeName.
	NodeName string
	// Claims are the volumes that may tie the pod to a zone; see OnlyClaims.
	Claims []corev1.Volume
	Status PodStatus
}

// PodStatus is what verdicts and reports depend on.
type PodStatus struct {
	Phase corev1.PodPhase
	PodIP string
	// PodIPs are all addresses of a pod that has more than one.
	PodIPs []corev1.PodIP
	// Ready is the status of the condition Ready, empty without one; ReadySince is since when it is that.
	Ready      corev1.ConditionStatus
	ReadySince metav1.Time
}

// PodOf keeps what a snapshot keeps of a pod. It takes the pod's parts over and strips them.
func PodOf(full *corev1.Pod) *Pod {
	full.Annotations = StripAnnotations(full.Annotations)
	full.Spec.Hostname = ""
	claims := OnlyClaims(full.Spec.Volumes)
	StripPodSpec(&full.Spec)
	p := &Pod{
		ObjectMeta: metav1.ObjectMeta{
			Name: full.Name, Namespace: full.Namespace, UID: full.UID,
			CreationTimestamp: full.CreationTimestamp, DeletionTimestamp: full.DeletionTimestamp,
			Labels: full.Labels, Annotations: full.Annotations, OwnerReferences: full.OwnerReferences,
		},
		NodeName: full.Spec.NodeName, Claims: claims,
		Status: PodStatus{Phase: full.Status.Phase, PodIP: full.Status.PodIP},
	}
	full.Spec.NodeName = ""
	spec := full.Spec // a copy, so that the rest of the pod can go
	p.Spec = &spec
	if len(full.Status.PodIPs) > 1 {
		p.Status.PodIPs = full.Status.PodIPs
	}
	if p.Status.PodIP == "" && len(full.Status.PodIPs) > 0 {
		p.Status.PodIP = full.Status.PodIPs[0].IP
	}
	for i := range full.Status.Conditions {
		if c := &full.Status.Conditions[i]; c.Type == corev1.PodReady && c.Status != "" {
			p.Status.Ready, p.Status.ReadySince = c.Status, c.LastTransitionTime
		}
	}
	return p
}

// Core returns the pod as the API's type. Its parts are shared with the snapshot: they may be replaced and must not
// be changed.
func (p *Pod) Core() *corev1.Pod {
	out := &corev1.Pod{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"},
		ObjectMeta: p.ObjectMeta,
		Spec:       *p.Spec,
		Status:     corev1.PodStatus{Phase: p.Status.Phase, PodIP: p.Status.PodIP, PodIPs: p.Status.PodIPs},
	}
	out.Spec.NodeName, out.Spec.Volumes = p.NodeName, p.Claims
	if p.Status.Ready != "" {
		out.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: p.Status.Ready, LastTransitionTime: p.Status.ReadySince}}
	}
	return out
}

// Template returns what a template that makes such pods would hold.
func (p *Pod) Template() *corev1.PodTemplateSpec {
	return &corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: p.Labels, Annotations: p.Annotations}, Spec: *p.Spec}
}

// MarshalJSON writes the pod as the API does, without what it does not keep.
func (p *Pod) MarshalJSON() ([]byte, error) { return json.Marshal(p.Core()) }

// DeepCopyObject implements runtime.Object; the copy shares nothing.
func (p *Pod) DeepCopyObject() runtime.Object {
	out := *p
	p.ObjectMeta.DeepCopyInto(&out.ObjectMeta)
	out.Spec = p.Spec.DeepCopy()
	out.Claims = slices.Clone(p.Claims)
	for i := range out.Claims {
		out.Claims[i] = *p.Claims[i].DeepCopy()
	}
	out.Status.PodIPs = slices.Clone(p.Status.PodIPs)
	return &out
}

// GetObjectKind implements runtime.Object. The type is not stored: it is always the same.
func (*Pod) GetObjectKind() schema.ObjectKind { return podKind{} }

type podKind struct{}

func (podKind) GroupVersionKind() schema.GroupVersionKind {
	return schema.GroupVersionKind{Version: "v1", Kind: "Pod"}
}

func (podKind) SetGroupVersionKind(schema.GroupVersionKind) {}
