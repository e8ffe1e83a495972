// Package roitest makes clusters for the tests of roi and its rooms.
package roitest

import (
	"fmt"

	"github.com/sidestep-mesh/sidestep/internal/roi/terms"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Asks makes requests.
func Asks(cpu, mem string) corev1.ResourceRequirements {
	return corev1.ResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse(cpu), corev1.ResourceMemory: resource.MustParse(mem)}}
}

// Node is a node of four availability labels with room for 58 pods.
func Node(name, zone string, cpu, mem string) *corev1.Node {
	return &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{corev1.LabelTopologyZone: zone, corev1.LabelInstanceTypeStable: "m6i.xlarge", corev1.LabelHostname: name}},
		Status: corev1.NodeStatus{Allocatable: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse(cpu), corev1.ResourceMemory: resource.MustParse(mem), corev1.ResourcePods: resource.MustParse("58")}}}
}

// Yes points to true.
func Yes() *bool { v := true; return &v }

// Meshed is a pod of a workload with a sidecar of the given kind.
func Meshed(workload string, i int, nodeName, cpu, mem string, kind terms.Sidecar) terms.Pod {
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: fmt.Sprintf("%s-%d", workload, i), Labels: map[string]string{"app": workload},
		OwnerReferences: []metav1.OwnerReference{{Kind: "ReplicaSet", Name: workload, Controller: Yes()}}},
		Spec: corev1.PodSpec{NodeName: nodeName, Containers: []corev1.Container{{Name: "app", Resources: Asks(cpu, mem)}}}}
	proxy := corev1.Container{Name: "istio-proxy", Resources: Asks("100m", "128Mi")}
	switch kind {
	case terms.Classic:
		p.Spec.Containers = append(p.Spec.Containers, proxy)
	case terms.Native:
		always := corev1.ContainerRestartPolicyAlways
		proxy.RestartPolicy = &always
		p.Spec.InitContainers = []corev1.Container{proxy}
	}
	return terms.Pod{Object: p, Role: terms.Application, Sidecar: kind, Mode: terms.ModeSidecar, Workload: "shop/Deployment/" + workload}
}

// Crowd is n nodes, each nearly full of small meshed pods.
func Crowd(n int) terms.Cluster {
	var c terms.Cluster
	for i := range n {
		name := fmt.Sprintf("node-%d", i)
		c.Nodes = append(c.Nodes, Node(name, string(rune('a'+i%3)), "4", "16Gi"))
		for j := range 12 {
			c.Pods = append(c.Pods, Meshed(fmt.Sprintf("app-%d", j), i, name, "200m", "200Mi", []terms.Sidecar{terms.Classic, terms.Native}[j%2]))
		}
	}
	return c
}

// LeaveAll takes the sidecar from every workload.
func LeaveAll(c terms.Cluster) terms.Change {
	ch := terms.Change{Leaves: map[string]bool{}, Ztunnel: terms.DefaultZtunnel, CNI: terms.DefaultCNI}
	for _, p := range c.Pods {
		if p.Sidecar != terms.NoSidecar {
			ch.Leaves[p.Workload] = true
		}
	}
	return ch
}
