package standin

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestEnrolment(t *testing.T) {
	const mode = "istio.io/dataplane-mode"
	ambient := map[string]string{mode: "ambient"}
	enrolled := map[string]string{"ambient.istio.io/redirection": "enabled"}
	for name, c := range map[string]struct {
		namespace   map[string]string
		labels      map[string]string
		annotations map[string]string
		host        bool
		noIP        bool
		phase       corev1.PodPhase
		fault       CNIFault
		value       string
		change      bool
	}{
		"a plain pod in an ambient namespace is enrolled":                    {namespace: ambient, value: "enabled", change: true},
		"a pod label enrols without the namespace":                           {labels: ambient, value: "enabled", change: true},
		"a pod opts out with none":                                           {namespace: ambient, labels: map[string]string{mode: "none"}},
		"sidecar is no value, so it opts nobody out":                         {namespace: ambient, labels: map[string]string{mode: "sidecar"}, value: "enabled", change: true},
		"sidecar is no value, so it enrols nobody either":                    {labels: map[string]string{mode: "sidecar"}},
		"a sidecar always wins":                                              {namespace: ambient, labels: ambient, annotations: map[string]string{"sidecar.istio.io/status": "{}"}},
		"host network is never captured":                                     {namespace: ambient, host: true},
		"an enrolled pod stays":                                              {namespace: ambient, annotations: enrolled, value: "enabled"},
		"a pod leaves when the label goes":                                   {annotations: enrolled, change: true},
		"a finished pod keeps its annotation":                                {annotations: enrolled, phase: corev1.PodSucceeded},
		"a pod without an address waits":                                     {namespace: ambient, noIP: true},
		"ztunnel does not accept: the pod is pending":                        {namespace: ambient, fault: CNIFault{Fail: "pending"}, value: "pending", change: true},
		"an enrolled pod does not fall back to pending":                      {namespace: ambient, annotations: enrolled, fault: CNIFault{Fail: "pending"}, value: "enabled"},
		"a dead agent does nothing":                                          {namespace: ambient, fault: CNIFault{Fail: "never"}},
		"a fault in another namespace does not matter":                       {namespace: ambient, fault: CNIFault{Fail: "never", Namespaces: []string{"other"}}, value: "enabled", change: true},
		"a pending pod is enrolled once the fault is gone":                   {namespace: ambient, annotations: map[string]string{"ambient.istio.io/redirection": "pending"}, value: "enabled", change: true},
		"a pending pod leaves when the label goes":                           {annotations: map[string]string{"ambient.istio.io/redirection": "pending"}, change: true},
		"a dead agent does not even remove the annotation when labels leave": {annotations: enrolled, fault: CNIFault{Fail: "never"}},
	} {
		t.Run(name, func(t *testing.T) {
			pod := &corev1.Pod{
				ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Labels: c.labels, Annotations: c.annotations},
				Spec:       corev1.PodSpec{HostNetwork: c.host, NodeName: "n"},
				Status:     corev1.PodStatus{Phase: c.phase, PodIP: "10.0.0.1"},
			}
			if c.noIP {
				pod.Status.PodIP = ""
			}
			value, change := decide(pod, c.namespace, c.fault)
			if change != c.change || change && value != c.value {
				t.Errorf("decide = %q, %v; want %q, %v", value, change, c.value, c.change)
			}
		})
	}
}
