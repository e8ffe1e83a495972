// Package routeworld lets istiod make the configuration of proxies for a case of routes.
package routeworld

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/yaml"

	"istio.io/istio/pilot/pkg/config/kube/crd"
	"istio.io/istio/pkg/config"
	"istio.io/istio/pkg/config/constants"
	"istio.io/istio/pkg/config/schema/collections"
	kubelib "istio.io/istio/pkg/kube"
)

// Base is the mesh that cases add to.
type Base struct {
	raw []json.RawMessage
	// pods are the pods that stand for Deployments.
	pods []*corev1.Pod
}

// ReadBase reads base.yaml, and gives each Deployment a pod.
func ReadBase(text []byte) (*Base, error) {
	b := &Base{}
	docs := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(text), 4096)
	for {
		var raw json.RawMessage
		if err := docs.Decode(&raw); errors.Is(err, io.EOF) {
			return b, nil
		} else if err != nil {
			return nil, fmt.Errorf("base.yaml: %w", err)
		}
		var d appsv1.Deployment
		if err := json.Unmarshal(raw, &d); err == nil && d.Kind == "Deployment" {
			b.pods = append(b.pods, podOf(&d, fmt.Sprintf("10.1.0.%d", len(b.pods)+1)))
			continue
		}
		b.raw = append(b.raw, raw)
	}
}

func podOf(d *appsv1.Deployment, ip string) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: d.Name, Namespace: d.Namespace, Labels: d.Spec.Template.Labels},
		Spec:       corev1.PodSpec{ServiceAccountName: "default", NodeName: "node", Containers: []corev1.Container{{Name: "app"}}},
		Status: corev1.PodStatus{Phase: corev1.PodRunning, PodIP: ip, PodIPs: []corev1.PodIP{{IP: ip}},
			Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}},
	}
}

// objects are what istiod is given.
type objects struct {
	kube    []runtime.Object
	configs []config.Config
}

// add reads one object; an error says that istiod's validation refuses it.
func (o *objects) add(raw json.RawMessage) error {
	kind := crd.IstioKind{}
	if err := json.Unmarshal(raw, &kind); err != nil {
		return err
	}
	gvk := kind.GroupVersionKind()
	schema, ok := collections.Pilot.FindByGroupVersionAliasesKind(config.FromKubernetesGVK(gvk))
	if ok {
		cfg, err := crd.ConvertObject(schema, &kind, constants.DefaultClusterLocalDomain)
		if err != nil {
			return fmt.Errorf("%s %s/%s: %w", kind.Kind, kind.Namespace, kind.Name, err)
		}
		if _, err := schema.ValidateConfig(*cfg); err != nil {
			return fmt.Errorf("%s %s/%s: %w", kind.Kind, kind.Namespace, kind.Name, err)
		}
		o.configs = append(o.configs, *cfg)
		if gvk.Kind != "ServiceEntry" {
			return nil
		}
	}
	obj, _, err := kubelib.IstioCodec.UniversalDeserializer().Decode(raw, nil, nil)
	if err != nil {
		return fmt.Errorf("%s %s/%s: %w", kind.Kind, kind.Namespace, kind.Name, err)
	}
	if x, ok := obj.(*corev1.Service); ok {
		x.Spec.ClusterIPs = []string{x.Spec.ClusterIP}
		for i := range x.Spec.Ports {
			x.Spec.Ports[i].Protocol = corev1.ProtocolTCP
		}
	}
	defaulted(obj)
	o.kube = append(o.kube, obj)
	return nil
}

// Valid reports what istiod's validation says to an object, nil for nothing.
func Valid(raw json.RawMessage) error { return (&objects{}).add(raw) }

// endpointSlices makes the slices that Kubernetes would.
func endpointSlices(s *corev1.Service, pods []*corev1.Pod) *discoveryv1.EndpointSlice {
	yes := true
	out := &discoveryv1.EndpointSlice{AddressType: discoveryv1.AddressTypeIPv4,
		ObjectMeta: metav1.ObjectMeta{Name: s.Name + "-1", Namespace: s.Namespace, Labels: map[string]string{discoveryv1.LabelServiceName: s.Name}}}
	for _, p := range s.Spec.Ports {
		name, number := p.Name, p.TargetPort.IntVal
		if number == 0 {
			number = p.Port
		}
		out.Ports = append(out.Ports, discoveryv1.EndpointPort{Name: &name, Port: &number, Protocol: &p.Protocol})
	}
	for _, p := range pods {
		if p.Namespace != s.Namespace || len(s.Spec.Selector) == 0 || !selects(s.Spec.Selector, p.Labels) {
			continue
		}
		out.Endpoints = append(out.Endpoints, discoveryv1.Endpoint{Addresses: []string{p.Status.PodIP}, Conditions: discoveryv1.EndpointConditions{Ready: &yes},
			TargetRef: &corev1.ObjectReference{Kind: "Pod", Name: p.Name, Namespace: p.Namespace}})
	}
	return out
}

func selects(selector, labels map[string]string) bool {
	return !slices.ContainsFunc(slices.Collect(maps.Keys(selector)), func(k string) bool { return labels[k] != selector[k] })
}

func deploymentOf(name, namespace string, labels map[string]string) *appsv1.Deployment {
	d := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: namespace}}
	d.Spec.Template.Labels = labels
	return d
}
