package mesh_test

import (
	"fmt"
	"runtime"
	"syscall"
	"testing"

	"google.golang.org/protobuf/types/known/durationpb"
	apinetworking "istio.io/api/networking/v1alpha3"
	apisecurity "istio.io/api/security/v1beta1"
	typev1beta1 "istio.io/api/type/v1beta1"
	networkingv1 "istio.io/client-go/pkg/apis/networking/v1"
	securityv1 "istio.io/client-go/pkg/apis/security/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sidestep-mesh/sidestep/internal/mesh"
	"github.com/sidestep-mesh/sidestep/internal/snapshot"
)

// bulk is a mesh of a number of pods: five to a Deployment, a Service for each, a policy for every
// second, a route for every fifth, and a namespace for every perNamespace Deployments.
func bulk(b *testing.B, pods, perNamespace int) *snapshot.Snapshot {
	out := snapshot.NewBuilder()
	add := func(o snapshot.Object) {
		if err := out.Add(o, snapshot.Source{}); err != nil {
			b.Fatal(err)
		}
	}
	yes := true
	for i := range pods / 5 {
		ns := fmt.Sprintf("ns-%04d", i/perNamespace)
		if i%perNamespace == 0 {
			add(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: ns, Labels: map[string]string{"istio-injection": "enabled"}}})
			add(&securityv1.PeerAuthentication{ObjectMeta: metav1.ObjectMeta{Name: "default", Namespace: ns}, Spec: apisecurity.PeerAuthentication{Mtls: &apisecurity.PeerAuthentication_MutualTLS{Mode: apisecurity.PeerAuthentication_MutualTLS_STRICT}}})
		}
		name := fmt.Sprintf("app-%05d", i)
		labels := map[string]string{"app": name, "version": "v1", "team": fmt.Sprint("team-", i%7)}
		spec := corev1.PodSpec{ServiceAccountName: name, Containers: []corev1.Container{{Name: "app", Image: "app:1", Ports: []corev1.ContainerPort{{Name: "http", ContainerPort: 8080}}}}}
		add(&appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: ns}, Spec: appsv1.DeploymentSpec{
			Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: spec}}})
		set := name + "-7d9"
		add(&appsv1.ReplicaSet{ObjectMeta: metav1.ObjectMeta{Name: set, Namespace: ns, OwnerReferences: []metav1.OwnerReference{{Kind: "Deployment", Name: name, Controller: &yes}}}})
		for j := range 5 {
			injected := spec
			injected.Containers = append([]corev1.Container{{Name: "istio-proxy", Image: "proxyv2:1.31.0"}}, spec.Containers...)
			add(&corev1.Pod{ObjectMeta: metav1.ObjectMeta{
				Name: fmt.Sprint(set, "-", j), Namespace: ns, UID: "u",
				Labels:          map[string]string{"app": name, "version": "v1", "team": labels["team"], "pod-template-hash": "7d9"},
				Annotations:     map[string]string{"sidecar.istio.io/status": "{}"},
				OwnerReferences: []metav1.OwnerReference{{Kind: "ReplicaSet", Name: set, Controller: &yes}},
			}, Spec: injected, Status: corev1.PodStatus{Phase: corev1.PodRunning}})
		}
		add(&corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: ns}, Spec: corev1.ServiceSpec{
			ClusterIP: "10.0.0.1", Selector: map[string]string{"app": name}, Ports: []corev1.ServicePort{{Name: "http", Port: 80}}}})
		if i%2 == 0 {
			add(&securityv1.AuthorizationPolicy{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: ns}, Spec: apisecurity.AuthorizationPolicy{
				Selector: &typev1beta1.WorkloadSelector{MatchLabels: map[string]string{"app": name}},
				Rules:    []*apisecurity.Rule{{To: []*apisecurity.Rule_To{{Operation: &apisecurity.Operation{Methods: []string{"GET"}}}}}},
			}})
		}
		if i%5 == 0 {
			add(&networkingv1.VirtualService{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: ns}, Spec: apinetworking.VirtualService{
				Hosts: []string{name}, Http: []*apinetworking.HTTPRoute{{Timeout: durationpb.New(1e9)}}}})
		}
	}
	return out.Build()
}

// cpu returns the processor time of this process in nanoseconds, which other processes do not disturb.
func cpu(b *testing.B) int64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return u.Utime.Nano() + u.Stime.Nano()
}

// BenchmarkBuild shows that time and memory per workload do not grow with the mesh: compare the
// columns cpu-ns/workload and B/workload from line to line.
func BenchmarkBuild(b *testing.B) {
	for _, shape := range []struct {
		name         string
		perNamespace int
	}{{"50-workloads-a-namespace", 50}, {"one-namespace", 1 << 30}} {
		for _, pods := range []int{2_000, 20_000, 100_000} {
			b.Run(fmt.Sprintf("%s/pods=%d", shape.name, pods), func(b *testing.B) {
				s := bulk(b, pods, shape.perNamespace)
				var before, after runtime.MemStats
				b.ReportAllocs()
				b.ResetTimer()
				runtime.GC()
				runtime.ReadMemStats(&before)
				start := cpu(b)
				workloads := 0
				for range b.N {
					workloads += len(mesh.Build(s, mesh.Assume{}).Workloads)
				}
				spent := cpu(b) - start
				runtime.ReadMemStats(&after)
				if workloads != b.N*pods/5 {
					b.Fatalf("%d workloads, want %d", workloads, b.N*pods/5)
				}
				b.ReportMetric(float64(spent)/float64(workloads), "cpu-ns/workload")
				b.ReportMetric(float64(after.TotalAlloc-before.TotalAlloc)/float64(workloads), "B/workload")
			})
		}
	}
}

// BenchmarkAuthzWorld shows what one step of a plan pays to be proved on: a world of 4,000 workloads.
func BenchmarkAuthzWorld(b *testing.B) {
	m := mesh.Build(bulk(b, 20_000, 50), mesh.Assume{})
	b.ReportAllocs()
	for b.Loop() {
		if w := mesh.AuthzWorld(m); len(w.Workloads) != 4_000 {
			b.Fatalf("%d workloads", len(w.Workloads))
		}
	}
}
