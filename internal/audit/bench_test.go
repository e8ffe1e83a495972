package audit

import (
	"fmt"
	"runtime"
	"syscall"
	"testing"

	"github.com/sidestep-mesh/sidestep/internal/mesh"
	"github.com/sidestep-mesh/sidestep/internal/snapshot"
	apinetworking "istio.io/api/networking/v1alpha3"
	securityapi "istio.io/api/security/v1beta1"
	typev1beta1 "istio.io/api/type/v1beta1"
	networkingv1 "istio.io/client-go/pkg/apis/networking/v1"
	securityv1 "istio.io/client-go/pkg/apis/security/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	k8snetv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const podsPerWorkload = 5

// bigMesh has one Deployment and one Service for every five pods; half of the Deployments have an
// AuthorizationPolicy, a fifth a VirtualService, a fifth a NetworkPolicy, and each namespace a policy for all.
func bigMesh(tb testing.TB, pods, perNamespace int) *mesh.Mesh {
	tb.Helper()
	b := snapshot.NewBuilder()
	add := func(o snapshot.Object) {
		if err := b.Add(o, snapshot.Source{File: "big.yaml", Line: 1}); err != nil {
			tb.Fatal(err)
		}
	}
	replicas := int32(podsPerWorkload)
	for i := range pods / podsPerWorkload {
		ns, name := fmt.Sprintf("ns-%d", i/perNamespace), fmt.Sprintf("app-%d", i)
		labels := map[string]string{"app": name}
		meta := metav1.ObjectMeta{Namespace: ns, Name: name}
		if i%perNamespace == 0 {
			add(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: ns, Labels: map[string]string{mesh.LabelInjection: mesh.InjectionEnabled}}})
			add(&securityv1.AuthorizationPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "all"}, Spec: securityapi.AuthorizationPolicy{
				Rules: []*securityapi.Rule{{From: []*securityapi.Rule_From{{Source: &securityapi.Source{Namespaces: []string{ns}}}}}},
			}})
		}
		add(&appsv1.Deployment{ObjectMeta: meta, Spec: appsv1.DeploymentSpec{
			Replicas: &replicas, Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "app"}}}},
		}})
		add(&corev1.Service{ObjectMeta: meta, Spec: corev1.ServiceSpec{Selector: labels, ClusterIP: "10.0.0.1", Ports: []corev1.ServicePort{{Name: "http", Port: 80}}}})
		if i%2 == 0 {
			add(&securityv1.AuthorizationPolicy{ObjectMeta: meta, Spec: securityapi.AuthorizationPolicy{
				Selector: &typev1beta1.WorkloadSelector{MatchLabels: labels}, Action: securityapi.AuthorizationPolicy_DENY,
				Rules: []*securityapi.Rule{{To: []*securityapi.Rule_To{{Operation: &securityapi.Operation{Paths: []string{"/admin"}}}}}},
			}})
		}
		if i%5 == 1 {
			add(&k8snetv1.NetworkPolicy{ObjectMeta: meta, Spec: k8snetv1.NetworkPolicySpec{
				PodSelector: metav1.LabelSelector{MatchLabels: labels}, PolicyTypes: []k8snetv1.PolicyType{k8snetv1.PolicyTypeIngress},
				Ingress: []k8snetv1.NetworkPolicyIngressRule{{}},
			}})
		}
		if i%5 == 0 {
			add(&networkingv1.VirtualService{ObjectMeta: meta, Spec: apinetworking.VirtualService{
				Hosts: []string{name},
				Http:  []*apinetworking.HTTPRoute{{Retries: &apinetworking.HTTPRetry{Attempts: 3}, Route: []*apinetworking.HTTPRouteDestination{{Destination: &apinetworking.Destination{Host: name}}}}},
			}})
		}
	}
	return mesh.Build(b.Build(), mesh.Assume{})
}

// processorTime is what this process has used in nanoseconds; other processes do not disturb it.
func processorTime(b *testing.B) int64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return u.Utime.Nano() + u.Stime.Nano()
}

// BenchmarkRun measures an audit without loading and deriving. The time per workload must not grow with
// the mesh.
func BenchmarkRun(b *testing.B) {
	for _, shape := range []struct{ pods, perNamespace int }{{2_000, 40}, {20_000, 40}, {100_000, 40}, {100_000, 20_000}} {
		b.Run(fmt.Sprintf("pods=%d/namespaces=%d", shape.pods, max(1, shape.pods/podsPerWorkload/shape.perNamespace)), func(b *testing.B) {
			m := bigMesh(b, shape.pods, shape.perNamespace)
			workloads := len(m.Workloads)
			runtime.GC()
			b.ReportAllocs()
			start := processorTime(b)
			b.ResetTimer()
			for range b.N {
				if r := Run(m, Options{}); len(r.Workloads) != workloads {
					b.Fatalf("%d workloads, want %d", len(r.Workloads), workloads)
				}
			}
			b.ReportMetric(float64(processorTime(b)-start)/float64(b.N)/float64(workloads), "cpu-ns/workload")
		})
	}
}

// TestCostPerWorkloadIsFlat counts allocations, which do not depend on how busy the machine is: ten times
// the mesh may take no more than a little over ten times as many.
func TestCostPerWorkloadIsFlat(t *testing.T) {
	perWorkload := func(pods int) float64 {
		m := bigMesh(t, pods, 40)
		return testing.AllocsPerRun(2, func() { Run(m, Options{}) }) / float64(len(m.Workloads))
	}
	small, large := perWorkload(1_000), perWorkload(10_000)
	if large > small*1.2 {
		t.Errorf("%.1f allocations a workload in a mesh of 1,000 pods, %.1f in one of 10,000", small, large)
	}
}
