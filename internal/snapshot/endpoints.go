package snapshot

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// sliceController writes EndpointSlices for Services with a selector
// (k8s.io/kubernetes pkg/controller/endpointslice/endpointslice_controller.go).
const sliceController = "endpointslice-controller.k8s.io"

// stripSlice keeps of an EndpointSlice which Service it is for, its addresses, the pods behind them, and its ports. One that the control
// plane wrote for a selector keeps its name alone, so that files and a cluster, which is not asked for it, say the same.
func stripSlice(o *discoveryv1.EndpointSlice) {
	made := o.Labels[discoveryv1.LabelManagedBy] == sliceController
	labels := onlyLabels(o.Labels, discoveryv1.LabelServiceName)
	o.ObjectMeta = metav1.ObjectMeta{Name: o.Name, Namespace: o.Namespace, UID: o.UID, ResourceVersion: o.ResourceVersion, Labels: labels}
	if made {
		o.Labels, o.Endpoints, o.Ports = nil, nil, nil
	}
	for i, e := range o.Endpoints {
		o.Endpoints[i] = discoveryv1.Endpoint{Addresses: e.Addresses, TargetRef: podRef(e.TargetRef)}
	}
	for i, p := range o.Ports {
		o.Ports[i] = discoveryv1.EndpointPort{Name: p.Name, Port: p.Port, Protocol: p.Protocol}
	}
}

// stripEndpoints is stripSlice for Endpoints, of which a cluster makes EndpointSlices.
func stripEndpoints(o *corev1.Endpoints) { //nolint:staticcheck // deprecated, and still written
	labels := onlyLabels(o.Labels, discoveryv1.LabelSkipMirror)
	o.ObjectMeta = metav1.ObjectMeta{Name: o.Name, Namespace: o.Namespace, UID: o.UID, ResourceVersion: o.ResourceVersion, Labels: labels}
	for i := range o.Subsets {
		s := &o.Subsets[i]
		s.Addresses = slices.Concat(s.Addresses, s.NotReadyAddresses)
		s.NotReadyAddresses = nil
		for j, a := range s.Addresses {
			s.Addresses[j] = corev1.EndpointAddress{IP: a.IP, TargetRef: podRef(a.TargetRef)} //nolint:staticcheck // as above
		}
		for j, p := range s.Ports {
			s.Ports[j] = corev1.EndpointPort{Name: p.Name, Port: p.Port, Protocol: p.Protocol} //nolint:staticcheck // as above
		}
	}
}

// podRef keeps a reference to a pod; what else an endpoint may refer to, Istio does not look at.
func podRef(r *corev1.ObjectReference) *corev1.ObjectReference {
	if r == nil || r.Kind != "Pod" {
		return nil
	}
	return &corev1.ObjectReference{Kind: r.Kind, Namespace: r.Namespace, Name: r.Name, UID: r.UID}
}

func onlyLabels(all map[string]string, keys ...string) map[string]string {
	var out map[string]string
	for _, k := range keys {
		if v, has := all[k]; has {
			if out == nil {
				out = map[string]string{}
			}
			out[k] = v
		}
	}
	return out
}
