package snapshot

import (
	"slices"
	"strings"

	"github.com/sidestep-mesh/sidestep/internal/snapshot/partial"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Strip removes from an object what no verdict depends on and what an archive should not carry.
func Strip(o Object) {
	if _, ok := o.(*Pod); ok {
		return // it was made without
	}
	o.SetManagedFields(nil)
	o.SetSelfLink("")
	if a := o.GetAnnotations(); a[corev1.LastAppliedConfigAnnotation] != "" {
		delete(a, corev1.LastAppliedConfigAnnotation)
		o.SetAnnotations(a)
	}
	switch o := o.(type) {
	case *appsv1.ReplicaSet:
		if metav1.GetControllerOf(o) != nil { // its owner has the template, and there are ten old ones to a Deployment
			o.Spec.Template.Spec = corev1.PodSpec{}
		}
	case *corev1.PersistentVolume:
		stripVolume(o)
	case *corev1.PersistentVolumeClaim:
		stripClaim(o)
	case *corev1.Node:
		o.Status.Images, o.Status.VolumesInUse, o.Status.VolumesAttached = nil, nil, nil
	}
	if t := PodTemplate(o); t != nil {
		stripSpec(&t.Spec)
	}
}

// components are the containers whose environment and arguments say how the mesh or the CNI is set up.
var components = []string{
	"istio-proxy", "istio-init", "istio-validation", "discovery", "install-cni",
	"calico-node", "cilium-agent", "aws-node", "aws-vpc-cni-init", "kube-proxy",
}

// IsComponent reports whether a container of that name belongs to the mesh or the network rather than to an application.
func IsComponent(container string) bool { return slices.Contains(components, container) }

// proxyEndpoints are what an application's command line mentions when it talks to its sidecar: the admin,
// agent and readiness ports and the call with which a Job ends its proxy.
var proxyEndpoints = []string{"quitquitquit", ":15000", ":15020", ":15021"}

// PodTemplate returns the template of a kind that makes pods, or nil.
func PodTemplate(o Object) *corev1.PodTemplateSpec {
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
	case *partial.Rollout:
		return &o.Spec.Template
	}
	return nil
}

// stripSpec removes the values of environment variables, commands and arguments of application containers:
// nothing reads them, and passwords hide there. Names stay.
func stripSpec(spec *corev1.PodSpec) {
	for _, list := range [][]corev1.Container{spec.InitContainers, spec.Containers} {
		for i := range list {
			c := &list[i]
			if IsComponent(c.Name) {
				continue
			}
			c.EnvFrom = nil
			for j := range c.Env {
				c.Env[j] = corev1.EnvVar{Name: c.Env[j].Name}
			}
			if !mentionsProxy(c.Command) && !mentionsProxy(c.Args) {
				c.Command, c.Args = nil, nil
			}
		}
	}
}

func mentionsProxy(words []string) bool {
	return slices.ContainsFunc(words, func(w string) bool {
		return slices.ContainsFunc(proxyEndpoints, func(p string) bool { return strings.Contains(w, p) })
	})
}

// exactly returns a list in as much memory as it needs. Decoding leaves room for four, and a container is large.
func exactly(list []corev1.Container) []corev1.Container {
	if len(list) == cap(list) {
		return list
	}
	return append(make([]corev1.Container, 0, len(list)), list...)
}

// StripPodSpec removes what is many times the size of the rest of a live pod and what names parts of that one pod.
func StripPodSpec(spec *corev1.PodSpec) {
	stripSpec(spec)
	spec.Volumes, spec.ImagePullSecrets, spec.EphemeralContainers = nil, nil, nil
	spec.InitContainers, spec.Containers = exactly(spec.InitContainers), exactly(spec.Containers)
	for _, list := range [][]corev1.Container{spec.InitContainers, spec.Containers} {
		for i := range list {
			c := &list[i]
			c.VolumeMounts, c.VolumeDevices = nil, nil
			c.TerminationMessagePath, c.TerminationMessagePolicy, c.ImagePullPolicy = "", "", ""
		}
	}
}
