// Package world turns one corpus case into what istiod makes of it: the listeners of the destination's sidecar and of its
// waypoint, and the authorization resources that ztunnel receives. Everything is built by istiod's own packages.
package world

import (
	"encoding/json"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"
	gateway "sigs.k8s.io/gateway-api/apis/v1"

	"istio.io/api/annotation"
	"istio.io/api/label"
	securityclient "istio.io/client-go/pkg/apis/security/v1"
	"istio.io/istio/pkg/config"
	"istio.io/istio/pkg/config/constants"
	"istio.io/istio/pkg/config/schema/collections"
	"istio.io/istio/pkg/config/schema/gvk"
	"istio.io/istio/pkg/config/schema/resource"

	"github.com/sidestep-mesh/sidestep/test/oracle/corpus"
)

// Addresses and ports that are the same in every world.
const (
	WaypointServiceIP = "10.97.0.1"
	waypointPodIP     = "10.98.0.1"
	// TLSPort is a second port of every service, declared as TLS: only there a waypoint reads the SNI.
	TLSPort       = 443
	tlsTargetPort = 8443
	// AuthzPort is the port of every ext-authz provider's service.
	AuthzPort = 9000
)

// kubeObjects lists everything but the policies: namespaces, the workload, its service, the waypoint, ext-authz services.
func kubeObjects(c *corpus.Case) []runtime.Object {
	var objs []runtime.Object
	seen := map[string]bool{}
	for _, ns := range []string{c.Mesh.RootNamespace, c.Workload.Namespace, c.Waypoint.Namespace, c.Service.Namespace} {
		if !seen[ns] {
			objs = append(objs, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: ns, Labels: map[string]string{corev1.LabelMetadataName: ns}}})
		}
		seen[ns] = true
	}
	objs = append(objs,
		pod("workload", c.Workload.Namespace, c.Workload.ServiceAccount, c.Workload.IP, c.Workload.Labels,
			map[string]string{annotation.AmbientRedirection.Name: constants.AmbientRedirectionEnabled}),
		service(c.Service.Name, c.Service.Namespace, c.Service.IP, map[string]string{
			label.IoIstioUseWaypoint.Name:          c.Waypoint.Name,
			label.IoIstioUseWaypointNamespace.Name: c.Waypoint.Namespace,
		}, map[string]string{"app": c.Workload.Labels["app"]},
			corev1.ServicePort{Name: "main", Port: int32(c.Service.Port), TargetPort: intstr.FromInt32(int32(c.Service.TargetPort))},
			corev1.ServicePort{Name: "tls-inner", Port: TLSPort, TargetPort: intstr.FromInt32(tlsTargetPort)}),
	)
	for i, p := range c.Mesh.ExtensionProviders {
		objs = append(objs, service(p, c.Mesh.RootNamespace, fmt.Sprintf("10.97.1.%d", i+1), nil, map[string]string{"app": p},
			corev1.ServicePort{Name: "grpc", Port: AuthzPort, TargetPort: intstr.FromInt32(AuthzPort)}))
	}
	return append(objs, waypointObjects(c)...)
}

func waypointObjects(c *corpus.Case) []runtime.Object {
	gwLabels := map[string]string{
		label.IoK8sNetworkingGatewayGatewayName.Name: c.Waypoint.Name,
		label.GatewayManaged.Name:                    constants.ManagedGatewayMeshControllerLabel,
	}
	ipType := gateway.IPAddressType
	all := gateway.NamespacesFromAll
	return []runtime.Object{
		&gateway.GatewayClass{
			ObjectMeta: metav1.ObjectMeta{Name: c.GatewayClass},
			Spec:       gateway.GatewayClassSpec{ControllerName: constants.ManagedGatewayMeshController},
		},
		&gateway.Gateway{
			ObjectMeta: metav1.ObjectMeta{Name: c.Waypoint.Name, Namespace: c.Waypoint.Namespace,
				Labels: map[string]string{label.IoIstioWaypointFor.Name: constants.AllTraffic}},
			Spec: gateway.GatewaySpec{
				GatewayClassName: gateway.ObjectName(c.GatewayClass),
				Listeners: []gateway.Listener{{Name: "mesh", Port: 15008, Protocol: "HBONE",
					AllowedRoutes: &gateway.AllowedRoutes{Namespaces: &gateway.RouteNamespaces{From: &all}}}},
			},
			Status: gateway.GatewayStatus{Addresses: []gateway.GatewayStatusAddress{{Type: &ipType, Value: WaypointServiceIP}}},
		},
		pod("waypoint-pod", c.Waypoint.Namespace, c.Waypoint.Name, waypointPodIP, gwLabels, nil),
		service(c.Waypoint.Name, c.Waypoint.Namespace, WaypointServiceIP, gwLabels, gwLabels,
			corev1.ServicePort{Name: "mesh", Port: 15008, TargetPort: intstr.FromInt32(15008)}),
	}
}

func pod(name, ns, sa, ip string, labels, annotations map[string]string) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: ns, Labels: labels, Annotations: annotations},
		Spec:       corev1.PodSpec{ServiceAccountName: sa, NodeName: "node", Containers: []corev1.Container{{Name: "app"}}},
		Status: corev1.PodStatus{
			Phase: corev1.PodRunning, PodIP: ip, PodIPs: []corev1.PodIP{{IP: ip}},
			Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}},
		},
	}
}

func service(name, ns, ip string, labels, selector map[string]string, ports ...corev1.ServicePort) *corev1.Service {
	for i := range ports {
		ports[i].Protocol = corev1.ProtocolTCP
	}
	return &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: ns, Labels: labels},
		Spec: corev1.ServiceSpec{ClusterIP: ip, ClusterIPs: []string{ip}, Type: corev1.ServiceTypeClusterIP,
			Selector: selector, Ports: ports},
	}
}

// policies is the case's policy list in the two shapes istiod wants: config for the config store that sidecars and waypoints
// are built from, typed objects for the ambient index that ztunnel is served from.
type policies struct {
	configs []config.Config
	objects []runtime.Object
	invalid []corpus.Invalid
}

// decodePolicies reads the policies and asks istiod's validation about each.
func decodePolicies(raw []json.RawMessage) (*policies, error) {
	out := &policies{}
	for _, r := range raw {
		var meta metav1.PartialObjectMetadata
		if err := json.Unmarshal(r, &meta); err != nil {
			return nil, err
		}
		var (
			schema resource.Schema
			spec   config.Spec
			obj    runtime.Object
		)
		switch meta.Kind {
		case gvk.AuthorizationPolicy.Kind:
			o := &securityclient.AuthorizationPolicy{}
			schema, spec, obj = collections.AuthorizationPolicy, &o.Spec, o
		case gvk.RequestAuthentication.Kind:
			o := &securityclient.RequestAuthentication{}
			schema, spec, obj = collections.RequestAuthentication, &o.Spec, o
		case gvk.PeerAuthentication.Kind:
			o := &securityclient.PeerAuthentication{}
			schema, spec, obj = collections.PeerAuthentication, &o.Spec, o
		default:
			return nil, fmt.Errorf("policy %s/%s: unknown kind %q", meta.Namespace, meta.Name, meta.Kind)
		}
		if err := json.Unmarshal(r, obj); err != nil {
			return nil, fmt.Errorf("%s %s/%s: %w", meta.Kind, meta.Namespace, meta.Name, err)
		}
		cfg := config.Config{Meta: config.Meta{
			GroupVersionKind: schema.GroupVersionKind(), Name: meta.Name, Namespace: meta.Namespace,
			Labels: meta.Labels, Annotations: meta.Annotations, CreationTimestamp: meta.CreationTimestamp.Time,
		}, Spec: spec}
		if _, err := schema.ValidateConfig(cfg); err != nil {
			out.invalid = append(out.invalid, corpus.Invalid{
				Policy: meta.Kind + "/" + meta.Namespace + "/" + meta.Name, Message: err.Error()})
		}
		out.configs = append(out.configs, cfg)
		out.objects = append(out.objects, obj)
	}
	return out, nil
}
