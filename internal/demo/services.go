package demo

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/sidestep-mesh/sidestep/internal/snapshot"
	"github.com/sidestep-mesh/sidestep/internal/snapshot/partial"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// service is one Service and the workload behind it.
type service struct {
	b       *builder
	team    team
	name    string
	version string // label version, empty for none
	pods    int
	feature feature
}

// team makes a namespace with its services.
func (b *builder) team(t team) {
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: t.name, Labels: map[string]string{
		"kubernetes.io/metadata.name": t.name,
	}}}
	switch {
	case t.ambient:
		ns.Labels["istio.io/dataplane-mode"] = "ambient"
	case t.revision != "":
		ns.Labels["istio.io/rev"] = t.revision
	default:
		ns.Labels["istio-injection"] = "enabled"
	}
	b.add(t.name, "namespace", ns)
	for _, extra := range t.extras {
		namespaceExtras[extra](b, ns)
	}
	words := strings.Fields(t.services)
	for _, spare := range spares {
		if len(words) < servicesPerTeam && !strings.Contains(" "+t.services, " "+spare+":") {
			words = append(words, spare+":plain")
		}
	}
	for _, word := range words {
		b.service(t, word)
	}
}

// service reads NAME[:FEATURE[*PODS]] and makes what it says.
func (b *builder) service(t team, word string) {
	name, what, _ := strings.Cut(word, ":")
	what, pods, _ := strings.Cut(what, "*")
	s := &service{b: b, team: t, name: name, pods: defaultPods, feature: features[what]}
	if n, err := strconv.Atoi(pods); err == nil {
		s.pods = n
	}
	if what == "canary" {
		s.version = "v1"
	}
	b.add(t.name, "workloads", &corev1.ServiceAccount{ObjectMeta: s.meta(name)}, s.service())
	s.workload()
	if s.feature.also != nil {
		b.add(t.name, "configuration", s.feature.also(s)...)
	}
}

func (s *service) host() string { return s.name + "." + s.team.name + ".svc.cluster.local" }

func (s *service) meta(name string) metav1.ObjectMeta { return metaIn(s.team.name, name) }

func metaIn(namespace, name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: namespace, Name: name}
}

func (s *service) labels() map[string]string {
	l := map[string]string{"app": s.name}
	if s.version != "" {
		l["version"] = s.version
	}
	return l
}

func (s *service) service() *corev1.Service {
	port := corev1.ServicePort{Name: "http", Port: 80}
	if s.feature.port != nil {
		port = *s.feature.port
	}
	port.TargetPort = intstr.FromInt32(8080)
	port.Protocol = corev1.ProtocolTCP
	svc := &corev1.Service{ObjectMeta: s.meta(s.name), Spec: corev1.ServiceSpec{
		Selector: map[string]string{"app": s.name}, Ports: []corev1.ServicePort{port},
		ClusterIP: s.b.clusterIP(), Type: corev1.ServiceTypeClusterIP,
	}}
	svc.Labels = map[string]string{"app": s.name}
	if s.feature.waypoint {
		svc.Labels["istio.io/use-waypoint"] = "waypoint"
	}
	if s.feature.kind == "StatefulSet" {
		svc.Spec.ClusterIP = corev1.ClusterIPNone
	}
	return svc
}

func (s *service) template() corev1.PodTemplateSpec {
	t := corev1.PodTemplateSpec{
		ObjectMeta: metav1.ObjectMeta{Labels: s.labels(), Annotations: map[string]string{}},
		Spec: corev1.PodSpec{
			ServiceAccountName: s.name,
			Containers: []corev1.Container{{
				Name: "app", Image: "registry.example.com/" + s.team.name + "/" + s.name + ":1.0",
				Ports:     []corev1.ContainerPort{{ContainerPort: 8080}},
				Resources: requests("250m", "256Mi"),
			}},
		},
	}
	if s.feature.shape != nil {
		s.feature.shape(&t)
	}
	return t
}

func requests(cpu, memory string) corev1.ResourceRequirements {
	return corev1.ResourceRequirements{Requests: corev1.ResourceList{
		corev1.ResourceCPU: resource.MustParse(cpu), corev1.ResourceMemory: resource.MustParse(memory),
	}}
}

// workload makes the service's workload and its pods.
func (s *service) workload() {
	name := s.name
	if s.version != "" {
		name += "-" + s.version
	}
	t := s.template()
	meta, replicas := s.meta(name), int32(s.pods)
	meta.Labels = s.labels()
	selector := &metav1.LabelSelector{MatchLabels: s.labels()}
	var o snapshot.Object
	owner := metav1.OwnerReference{APIVersion: "apps/v1", Kind: s.feature.kind, Name: name}
	switch s.feature.kind {
	case "StatefulSet":
		o = &appsv1.StatefulSet{ObjectMeta: meta, Spec: appsv1.StatefulSetSpec{
			Replicas: &replicas, Selector: selector, Template: t, ServiceName: s.name}}
	case "DaemonSet":
		o = &appsv1.DaemonSet{ObjectMeta: meta, Spec: appsv1.DaemonSetSpec{Selector: selector, Template: t},
			Status: appsv1.DaemonSetStatus{DesiredNumberScheduled: replicas}}
	case "Job":
		t.Spec.RestartPolicy = corev1.RestartPolicyNever
		one := int32(1)
		replicas = one
		o = &batchv1.Job{ObjectMeta: meta, Spec: batchv1.JobSpec{Parallelism: &one, Completions: &one, Template: t}}
		owner.APIVersion = "batch/v1"
	case "CronJob":
		t.Spec.RestartPolicy = corev1.RestartPolicyNever
		o = &batchv1.CronJob{ObjectMeta: meta, Spec: batchv1.CronJobSpec{Schedule: "17 3 * * *",
			JobTemplate: batchv1.JobTemplateSpec{Spec: batchv1.JobSpec{Template: t}}}}
		replicas = 0 // between runs
	case "Rollout":
		o = &partial.Rollout{ObjectMeta: meta, Spec: partial.RolloutSpec{Replicas: &replicas, Selector: selector, Template: t}}
		owner = s.replicaSet("argoproj.io/v1alpha1", "Rollout", name, selector, t, replicas)
	default:
		o = &appsv1.Deployment{ObjectMeta: meta, Spec: appsv1.DeploymentSpec{Replicas: &replicas, Selector: selector, Template: t}}
		owner = s.replicaSet("apps/v1", "Deployment", name, selector, t, replicas)
	}
	s.b.add(s.team.name, "workloads", o)
	for i := range int(replicas) {
		s.b.add(s.team.name, "pods", s.pod(owner, t, i))
	}
}

// templateHash stands for the hash that the Deployment controller puts into names.
const templateHash = "6c9f7d5b8d"

// replicaSet makes the ReplicaSet between a workload and its pods, and returns the pods' owner.
func (s *service) replicaSet(apiVersion, kind, name string, selector *metav1.LabelSelector, t corev1.PodTemplateSpec, replicas int32) metav1.OwnerReference {
	controller := true
	meta := s.meta(name + "-" + templateHash)
	meta.Labels = s.labels()
	meta.Labels["pod-template-hash"] = templateHash
	meta.OwnerReferences = []metav1.OwnerReference{{APIVersion: apiVersion, Kind: kind, Name: name, Controller: &controller, UID: uid(kind, s.team.name, name)}}
	withHash := selector.DeepCopy()
	withHash.MatchLabels["pod-template-hash"] = templateHash
	t = *t.DeepCopy()
	t.Labels["pod-template-hash"] = templateHash
	s.b.add(s.team.name, "replicasets", &appsv1.ReplicaSet{ObjectMeta: meta,
		Spec: appsv1.ReplicaSetSpec{Replicas: &replicas, Selector: withHash, Template: t}})
	return metav1.OwnerReference{APIVersion: "apps/v1", Kind: "ReplicaSet", Name: meta.Name}
}

// clusterIP hands out addresses in order.
func (b *builder) clusterIP() string {
	b.services++
	return fmt.Sprintf("10.96.%d.%d", b.services/250, b.services%250+1)
}
