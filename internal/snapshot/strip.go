package snapshot

import (
	"slices"

	"github.com/sidestep-mesh/sidestep/internal/snapshot/partial"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	k8snetv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Strip removes from an object what no verdict depends on and what an archive should not carry.
func Strip(o Object) {
	if _, ok := o.(*Pod); ok {
		return // it was made without
	}
	o.SetManagedFields(nil)
	o.SetSelfLink("")
	if a := o.GetAnnotations(); len(a) > 0 {
		o.SetAnnotations(StripAnnotations(a))
	}
	switch o := o.(type) {
	case *appsv1.ReplicaSet:
		if metav1.GetControllerOf(o) != nil { // its owner has the template, and there are ten old ones to a Deployment
			o.Spec.Template.Spec = corev1.PodSpec{}
		}
	case *k8snetv1.Ingress:
		stripIngress(o)
	case *discoveryv1.EndpointSlice:
		stripSlice(o)
	case *corev1.Endpoints: //nolint:staticcheck // deprecated, and still written
		stripEndpoints(o)
	case *corev1.ConfigMap:
		stripConfigMap(o)
	case *corev1.PersistentVolume:
		stripVolume(o)
	case *corev1.PersistentVolumeClaim:
		stripClaim(o)
	case *corev1.Node:
		o.Status.Images, o.Status.VolumesInUse, o.Status.VolumesAttached = nil, nil, nil
	}
	stripExtensions(o)
	if t := PodTemplate(o); t != nil {
		stripSpec(&t.Spec)
		t.Annotations = StripAnnotations(t.Annotations)
	}
}

// AnnotationIngressClass is what an Ingress names its class by where it does not use the field.
const AnnotationIngressClass = "kubernetes.io/ingress.class"

// stripIngress keeps of an Ingress which Services it leads to and whose it is. Annotations of ingress controllers hold snippets of
// configuration, with secrets in them.
func stripIngress(o *k8snetv1.Ingress) {
	class, named := o.Annotations[AnnotationIngressClass]
	o.Annotations = nil
	if named {
		o.Annotations = map[string]string{AnnotationIngressClass: class}
	}
	o.Spec.TLS, o.Status = nil, k8snetv1.IngressStatus{}
	for i := range o.Spec.Rules {
		r := &o.Spec.Rules[i]
		r.Host = ""
		if r.HTTP == nil {
			continue
		}
		for j := range r.HTTP.Paths {
			r.HTTP.Paths[j] = k8snetv1.HTTPIngressPath{Backend: r.HTTP.Paths[j].Backend}
		}
	}
}

// components are the containers whose environment and arguments say how the mesh or the CNI is set up.
var components = []string{
	"istio-proxy", "istio-init", "istio-validation", "discovery", "install-cni",
	"calico-node", "cilium-agent", "aws-node", "aws-vpc-cni-init", "kube-proxy",
}

// IsComponent reports whether a container of that name belongs to the mesh or the network rather than to an application.
func IsComponent(container string) bool { return slices.Contains(components, container) }

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
	case *partial.PodMaker:
		return &o.Spec.Template
	case *corev1.ReplicationController:
		return o.Spec.Template
	}
	return nil
}

// stripSpec removes what an application says to itself: the values of its environment, its commands, arguments, hooks and
// probes but for what Mentions finds in them, since passwords stand there. Names stay, and so does what kind of a probe
// or hook there is.
func stripSpec(spec *corev1.PodSpec) {
	for _, list := range [][]corev1.Container{spec.InitContainers, spec.Containers} {
		for i := range list {
			stripContainer(&list[i])
		}
	}
	for i := range spec.EphemeralContainers {
		c := (*corev1.Container)(&spec.EphemeralContainers[i].EphemeralContainerCommon)
		stripContainer(c)
	}
	stripVolumes(spec.Volumes)
}

func stripContainer(c *corev1.Container) {
	c.EnvFrom = nil
	if IsComponent(c.Name) {
		for j := range c.Env {
			stripVariable(&c.Env[j])
		}
		c.Command, c.Args, c.WorkingDir = componentArguments(c.Command), componentArguments(c.Args), ""
		stripHandlers(c)
		return
	}
	for j := range c.Env {
		c.Env[j] = corev1.EnvVar{Name: c.Env[j].Name, Value: stripText(c.Env[j].Name, c.Env[j].Value)}
	}
	c.Command, c.Args, c.WorkingDir = onlyMentions(c.Command), onlyMentions(c.Args), ""
	stripHandlers(c)
}

func stripHandlers(c *corev1.Container) {
	for _, p := range []*corev1.Probe{c.LivenessProbe, c.ReadinessProbe, c.StartupProbe} {
		if p != nil {
			stripHandler(p.Exec, p.HTTPGet, p.TCPSocket, p.GRPC)
		}
	}
	if l := c.Lifecycle; l != nil {
		for _, h := range []*corev1.LifecycleHandler{l.PostStart, l.PreStop} {
			if h != nil {
				stripHandler(h.Exec, h.HTTPGet, h.TCPSocket, nil)
			}
		}
	}
}

func stripHandler(exec *corev1.ExecAction, http *corev1.HTTPGetAction, tcp *corev1.TCPSocketAction, grpc *corev1.GRPCAction) {
	if exec != nil {
		exec.Command = onlyMentions(exec.Command)
	}
	if http != nil {
		http.HTTPHeaders, http.Host = nil, stripHost(http.Host)
		if in := probeOfInjector.FindString(http.Path); in != "" {
			http.Path = in
		} else {
			http.Path = stripText("", http.Path)
		}
	}
	if tcp != nil {
		tcp.Host = stripHost(tcp.Host)
	}
	if grpc != nil {
		grpc.Service = nil
	}
}

// otherHost stands for a host that a probe asks and that is not its own pod.
const otherHost = "elsewhere"

func stripHost(host string) string {
	switch {
	case host == "":
		return ""
	case len(Mentions("", host+":15021")) > 0:
		return "localhost"
	}
	return otherHost
}

// stripVolumes keeps of a template's volumes what ties a pod to a zone or to another issuer of certificates.
func stripVolumes(volumes []corev1.Volume) {
	for i, v := range volumes {
		var source corev1.VolumeSource
		switch {
		case v.CSI != nil:
			source.CSI = &corev1.CSIVolumeSource{Driver: v.CSI.Driver}
		case v.PersistentVolumeClaim != nil:
			source.PersistentVolumeClaim = &corev1.PersistentVolumeClaimVolumeSource{ClaimName: v.PersistentVolumeClaim.ClaimName}
		case v.Ephemeral != nil:
			source.Ephemeral = &corev1.EphemeralVolumeSource{}
		}
		volumes[i] = corev1.Volume{Name: v.Name, VolumeSource: source}
	}
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
	spec.Volumes, spec.ImagePullSecrets = nil, nil
	spec.EphemeralContainers = talkative(spec.EphemeralContainers)
	spec.InitContainers, spec.Containers = exactly(spec.InitContainers), exactly(spec.Containers)
	for _, list := range [][]corev1.Container{spec.InitContainers, spec.Containers} {
		for i := range list {
			c := &list[i]
			c.VolumeMounts, c.VolumeDevices = nil, nil
			c.TerminationMessagePath, c.TerminationMessagePolicy, c.ImagePullPolicy = "", "", ""
		}
	}
}

// talkative keeps the debugging containers that mention the sidecar.
func talkative(list []corev1.EphemeralContainer) []corev1.EphemeralContainer {
	var out []corev1.EphemeralContainer
	for _, c := range list {
		if len(c.Command)+len(c.Args) > 0 {
			out = append(out, corev1.EphemeralContainer{EphemeralContainerCommon: corev1.EphemeralContainerCommon{Name: c.Name, Command: c.Command, Args: c.Args}})
		}
	}
	return out
}
