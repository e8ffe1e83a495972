package scenario

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/sidestep-mesh/sidestep/test/lab/cluster"
)

// NodePool is a group of equal simulated nodes.
type NodePool struct {
	Name  string   `json:"name"`
	Count int      `json:"count"`
	Zones []string `json:"zones"`
	// InstanceType is an AWS name that sizes knows; m6i.2xlarge when not given.
	InstanceType string `json:"instanceType,omitempty"`
	// Kubelet decides, from 1.33 on, that istiod injects native sidecars; v1.35.4 when not given.
	Kubelet string `json:"kubelet,omitempty"`
}

// sizes: vCPU, memory in GiB and pods of instance types as EC2 and the VPC CNI
// (without prefix delegation) give them.
var sizes = map[string]struct{ cpu, gib, pods int64 }{
	"m6i.xlarge":  {4, 16, 58},
	"m6i.2xlarge": {8, 32, 58},
	"m6i.4xlarge": {16, 64, 234},
}

// Nodes makes the Node objects of a pool, spread over its zones in turn.
func Nodes(pool NodePool) ([]*unstructured.Unstructured, error) {
	instance, kubelet := pool.InstanceType, pool.Kubelet
	if instance == "" {
		instance = "m6i.2xlarge"
	}
	if kubelet == "" {
		kubelet = "v1.35.4"
	}
	size, ok := sizes[instance]
	if !ok || len(pool.Zones) == 0 {
		return nil, fmt.Errorf("node pool %s: zones and a known instanceType (%v) are needed", pool.Name, slices.Sorted(maps.Keys(sizes)))
	}
	// About what EKS leaves of such a node for pods.
	allocatable := corev1.ResourceList{
		corev1.ResourceCPU:    *resource.NewMilliQuantity(size.cpu*1000-90, resource.DecimalSI),
		corev1.ResourceMemory: *resource.NewQuantity((size.gib<<30)*94/100, resource.BinarySI),
		corev1.ResourcePods:   *resource.NewQuantity(size.pods, resource.DecimalSI),
	}
	var nodes []*unstructured.Unstructured
	for i := range pool.Count {
		name := fmt.Sprintf("%s-%02d", pool.Name, i)
		zone := pool.Zones[i%len(pool.Zones)]
		node, err := cluster.FromTyped(&corev1.Node{
			TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Node"},
			ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{
				corev1.LabelHostname: name, corev1.LabelOSStable: "linux", corev1.LabelArchStable: "amd64",
				corev1.LabelTopologyRegion: "lab-1", corev1.LabelTopologyZone: zone,
				corev1.LabelInstanceTypeStable: instance, "type": "kwok",
			}},
			Status: corev1.NodeStatus{
				Allocatable: allocatable, Capacity: allocatable,
				NodeInfo: corev1.NodeSystemInfo{
					KubeletVersion: kubelet, KubeProxyVersion: kubelet, OperatingSystem: "linux", Architecture: "amd64",
					ContainerRuntimeVersion: "containerd://2.1.0", KernelVersion: "6.12.0", OSImage: "simulated",
				},
			},
		})
		if err != nil {
			return nil, err
		}
		nodes = append(nodes, node)
	}
	return nodes, nil
}

// Workload is the short form of a workload with its ServiceAccount and Service.
type Workload struct {
	Name     string `json:"name"`               // namespace/name
	Kind     string `json:"kind,omitempty"`     // Deployment when not given; StatefulSet, DaemonSet, Job, CronJob, Pod
	Replicas int    `json:"replicas,omitempty"` // 1 when not given
	// App is the label app, and the Service's selector; the name when not given.
	App            string            `json:"app,omitempty"`
	ServiceAccount string            `json:"serviceAccount,omitempty"` // the app when not given
	Labels         map[string]string `json:"labels,omitempty"`         // on the pods
	Annotations    map[string]string `json:"annotations,omitempty"`    // on the pods
	// Service says what Service to make: "http" (the default, port 80 to 8080), "tcp" (port and target 5432), "headless", "none".
	Service       string            `json:"service,omitempty"`
	ServiceLabels map[string]string `json:"serviceLabels,omitempty"`
	CPU           string            `json:"cpu,omitempty"`    // request of the application container, 100m when not given
	Memory        string            `json:"memory,omitempty"` // 128Mi when not given
	HostNetwork   bool              `json:"hostNetwork,omitempty"`
	// Node keeps the pods on one node, so that a DaemonSet stays small in a large mesh.
	Node string `json:"node,omitempty"`
}

func (m *Mesh) objects() ([]*unstructured.Unstructured, error) {
	var typed []runtime.Object
	for _, name := range slices.Sorted(maps.Keys(m.Namespaces)) {
		typed = append(typed, &corev1.Namespace{
			TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Namespace"},
			ObjectMeta: metav1.ObjectMeta{Name: name, Labels: m.Namespaces[name]},
		})
	}
	accounts, services := map[string]bool{}, map[string]bool{}
	for _, w := range m.Workloads {
		objects, err := w.objects(accounts, services)
		if err != nil {
			return nil, err
		}
		typed = append(typed, objects...)
	}
	var all []*unstructured.Unstructured
	for _, pool := range m.Nodes {
		nodes, err := Nodes(pool)
		if err != nil {
			return nil, err
		}
		all = append(all, nodes...)
	}
	for _, object := range typed {
		u, err := cluster.FromTyped(object)
		if err != nil {
			return nil, err
		}
		all = append(all, u)
	}
	return all, nil
}

// objects expands one workload. Several versions of one app share a ServiceAccount and a Service.
func (w Workload) objects(accounts, services map[string]bool) ([]runtime.Object, error) {
	ns, name, ok := strings.Cut(w.Name, "/")
	if !ok {
		return nil, fmt.Errorf("workload %q: the name must be NAMESPACE/NAME", w.Name)
	}
	w = w.withDefaults(name)
	meta := metav1.ObjectMeta{Namespace: ns, Name: name, Labels: map[string]string{"app": w.App}}
	var all []runtime.Object
	if key := ns + "/" + w.ServiceAccount; !accounts[key] && w.ServiceAccount != "default" {
		accounts[key] = true
		all = append(all, &corev1.ServiceAccount{
			TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "ServiceAccount"},
			ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: w.ServiceAccount},
		})
	}
	if key := ns + "/" + w.App; !services[key] && w.Service != "none" {
		services[key] = true
		all = append(all, w.service(ns))
	}
	workload, err := w.workload(meta)
	if err != nil {
		return nil, err
	}
	return append(all, workload), nil
}

func (w Workload) withDefaults(name string) Workload {
	set := func(field *string, value string) {
		if *field == "" {
			*field = value
		}
	}
	set(&w.Kind, "Deployment")
	set(&w.App, name)
	set(&w.ServiceAccount, w.App)
	set(&w.Service, "http")
	set(&w.CPU, "100m")
	set(&w.Memory, "128Mi")
	if w.Replicas == 0 {
		w.Replicas = 1
	}
	return w
}

func (w Workload) service(ns string) *corev1.Service {
	s := &corev1.Service{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Service"},
		ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: w.App, Labels: map[string]string{"app": w.App}},
		Spec: corev1.ServiceSpec{
			Selector: map[string]string{"app": w.App},
			Ports:    []corev1.ServicePort{{Name: "http", Port: 80, TargetPort: intstr.FromInt32(8080), Protocol: corev1.ProtocolTCP}},
		},
	}
	maps.Copy(s.Labels, w.ServiceLabels)
	switch w.Service {
	case "tcp":
		s.Spec.Ports = []corev1.ServicePort{{Name: "tcp", Port: 5432, TargetPort: intstr.FromInt32(5432), Protocol: corev1.ProtocolTCP}}
	case "headless":
		s.Spec.ClusterIP = corev1.ClusterIPNone
		s.Spec.Ports = []corev1.ServicePort{{Name: "tcp", Port: 5432, TargetPort: intstr.FromInt32(5432), Protocol: corev1.ProtocolTCP}}
	}
	return s
}

func (w Workload) nodeSelector() map[string]string {
	if w.Node == "" {
		return nil
	}
	return map[string]string{corev1.LabelHostname: w.Node}
}

func (w Workload) workload(meta metav1.ObjectMeta) (runtime.Object, error) {
	labels := map[string]string{"app": w.App}
	maps.Copy(labels, w.Labels)
	cpu, err := resource.ParseQuantity(w.CPU)
	if err != nil {
		return nil, fmt.Errorf("workload %s: cpu: %w", w.Name, err)
	}
	memory, err := resource.ParseQuantity(w.Memory)
	if err != nil {
		return nil, fmt.Errorf("workload %s: memory: %w", w.Name, err)
	}
	port := int32(8080)
	if w.Service == "tcp" || w.Service == "headless" {
		port = 5432
	}
	template := corev1.PodTemplateSpec{
		ObjectMeta: metav1.ObjectMeta{Labels: labels, Annotations: w.Annotations},
		Spec: corev1.PodSpec{
			ServiceAccountName: w.ServiceAccount, HostNetwork: w.HostNetwork, NodeSelector: w.nodeSelector(),
			Containers: []corev1.Container{{
				Name: "app", Image: "registry.example/" + w.App + ":1",
				Ports:     []corev1.ContainerPort{{ContainerPort: port, Protocol: corev1.ProtocolTCP}},
				Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceCPU: cpu, corev1.ResourceMemory: memory}},
			}},
		},
	}
	selector := &metav1.LabelSelector{MatchLabels: labels}
	replicas := int32(w.Replicas)
	apps := func(kind string) metav1.TypeMeta { return metav1.TypeMeta{APIVersion: "apps/v1", Kind: kind} }
	job := batchv1.JobSpec{Template: template}
	job.Template.Spec.RestartPolicy = corev1.RestartPolicyNever
	switch w.Kind {
	case "Deployment":
		return &appsv1.Deployment{TypeMeta: apps(w.Kind), ObjectMeta: meta, Spec: appsv1.DeploymentSpec{Replicas: &replicas, Selector: selector, Template: template}}, nil
	case "StatefulSet":
		return &appsv1.StatefulSet{TypeMeta: apps(w.Kind), ObjectMeta: meta, Spec: appsv1.StatefulSetSpec{
			Replicas: &replicas, Selector: selector, Template: template, ServiceName: w.App, PodManagementPolicy: appsv1.ParallelPodManagement,
		}}, nil
	case "DaemonSet":
		return &appsv1.DaemonSet{TypeMeta: apps(w.Kind), ObjectMeta: meta, Spec: appsv1.DaemonSetSpec{Selector: selector, Template: template}}, nil
	case "Job":
		return &batchv1.Job{TypeMeta: metav1.TypeMeta{APIVersion: "batch/v1", Kind: w.Kind}, ObjectMeta: meta, Spec: job}, nil
	case "CronJob":
		return &batchv1.CronJob{TypeMeta: metav1.TypeMeta{APIVersion: "batch/v1", Kind: w.Kind}, ObjectMeta: meta, Spec: batchv1.CronJobSpec{
			Schedule: "0 3 * * *", JobTemplate: batchv1.JobTemplateSpec{Spec: job},
		}}, nil
	case "Pod":
		meta.Labels, meta.Annotations = labels, w.Annotations
		return &corev1.Pod{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: w.Kind}, ObjectMeta: meta, Spec: template.Spec}, nil
	}
	return nil, fmt.Errorf("workload %s: kind %q is none of Deployment, StatefulSet, DaemonSet, Job, CronJob, Pod", w.Name, w.Kind)
}
