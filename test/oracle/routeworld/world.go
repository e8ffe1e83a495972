package routeworld

import (
	"encoding/json"
	"fmt"
	"strings"

	cluster "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	endpoint "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	listener "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	route "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"istio.io/api/label"
	networkingclient "istio.io/client-go/pkg/apis/networking/v1"
	"istio.io/istio/pilot/pkg/model"
	"istio.io/istio/pilot/pkg/networking/core"
	"istio.io/istio/pilot/pkg/xds/endpoints"
	"istio.io/istio/pkg/config/constants"
	"istio.io/istio/pkg/config/mesh"
	"istio.io/istio/pkg/spiffe"
	"istio.io/istio/pkg/test"

	"github.com/sidestep-mesh/sidestep/test/oracle/routecorpus"
	"github.com/sidestep-mesh/sidestep/test/oracle/world"
)

const (
	istioVersion  = "1.31.0"
	rootNamespace = "istio-system"
	// gatewayController is the name of istiod's own controller of Gateways.
	gatewayController = "istio.io/gateway-controller"
)

// Proxy is the configuration of one proxy, complete as istiod would send it.
type Proxy struct {
	Point, Name string
	Listeners   []*listener.Listener
	Routes      map[string]*route.RouteConfiguration
	Clusters    map[string]*cluster.Cluster
	Endpoints   map[string]*endpoint.ClusterLoadAssignment
}

// World is what istiod makes of a case.
type World struct {
	Proxies []*Proxy
	// Pods are names by address; Addresses the cluster IPs of Services, by host.
	Pods, Addresses map[string]string
}

// Proxy finds a proxy of the world.
func (w *World) Proxy(point, name string) *Proxy {
	for _, p := range w.Proxies {
		if p.Point == point && p.Name == name {
			return p
		}
	}
	return nil
}

// Build runs istiod on a case, for the proxies that its calls pass.
func Build(b *Base, c *routecorpus.Case) (*World, error) {
	w := &World{Pods: map[string]string{}, Addresses: map[string]string{}}
	in := &objects{}
	for _, list := range [][]json.RawMessage{b.raw, c.Objects} {
		for _, raw := range list {
			if err := in.add(raw); err != nil {
				return nil, fmt.Errorf("case %s: %w", c.ID, err)
			}
		}
	}
	for _, o := range in.kube {
		switch s := o.(type) {
		case *corev1.Service:
			in.kube = append(in.kube, endpointSlices(s, b.pods))
			w.Addresses[s.Name+"."+s.Namespace+".svc."+constants.DefaultClusterLocalDomain] = s.Spec.ClusterIP
		case *networkingclient.ServiceEntry:
			for _, h := range s.Spec.Hosts {
				if len(s.Spec.Addresses) > 0 {
					w.Addresses[h] = s.Spec.Addresses[0]
				}
			}
		}
	}
	for _, p := range b.pods {
		in.kube = append(in.kube, p.DeepCopy())
		w.Pods[p.Status.PodIP] = p.Namespace + "/" + p.Name
	}
	for _, class := range []struct{ name, controller string }{{constants.WaypointGatewayClassName, constants.ManagedGatewayMeshController}, {"istio", gatewayController}} {
		in.kube = append(in.kube, &gatewayv1.GatewayClass{ObjectMeta: metav1.ObjectMeta{Name: class.name},
			Spec: gatewayv1.GatewayClassSpec{ControllerName: gatewayv1.GatewayController(class.controller)}})
	}
	in.kube = append(in.kube, waypointPods(in.kube)...)
	err := test.Wrap(func(t test.Failer) {
		mc := mesh.DefaultMeshConfig()
		mc.RootNamespace = rootNamespace
		gen := world.Start(t, mc, in.kube, in.configs, true)
		done := map[string]bool{}
		for i := range c.Calls {
			k := &c.Calls[i]
			if key := k.Point + " " + k.By; !done[key] {
				done[key] = true
				w.Proxies = append(w.Proxies, configuration(gen, b, k.Point, k.By))
			}
		}
	})
	if err != nil {
		return nil, fmt.Errorf("case %s: istiod: %w", c.ID, err)
	}
	return w, nil
}

// waypointPods are a pod and a Service for every waypoint, and the address in its status.
func waypointPods(list []runtime.Object) []runtime.Object {
	var out []runtime.Object
	for _, o := range list {
		g, ok := o.(*gatewayv1.Gateway)
		if !ok || g.Spec.GatewayClassName != constants.WaypointGatewayClassName {
			continue
		}
		labels := waypointLabels(g.Name)
		n := len(out)/2 + 1
		ip, kind := fmt.Sprintf("10.97.0.%d", n), gatewayv1.IPAddressType
		g.Status.Addresses = []gatewayv1.GatewayStatusAddress{{Type: &kind, Value: ip}}
		pod := podOf(deploymentOf(g.Name, g.Namespace, labels), fmt.Sprintf("10.98.0.%d", n))
		out = append(out, pod, &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: g.Name, Namespace: g.Namespace, Labels: labels},
			Spec: corev1.ServiceSpec{ClusterIP: ip, ClusterIPs: []string{ip}, Type: corev1.ServiceTypeClusterIP, Selector: labels,
				Ports: []corev1.ServicePort{{Name: "mesh", Port: 15008, Protocol: corev1.ProtocolTCP}}}})
	}
	return out
}

func waypointLabels(name string) map[string]string {
	return map[string]string{label.IoK8sNetworkingGatewayGatewayName.Name: name, label.GatewayManaged.Name: constants.ManagedGatewayMeshControllerLabel}
}

// configuration makes the configuration of one proxy.
func configuration(gen *core.ConfigGenTest, b *Base, point, name string) *Proxy {
	node := gen.SetupProxy(proxy(b, point, name))
	out := &Proxy{Point: point, Name: name, Listeners: gen.Listeners(node), Routes: map[string]*route.RouteConfiguration{},
		Clusters: map[string]*cluster.Cluster{}, Endpoints: map[string]*endpoint.ClusterLoadAssignment{}}
	for _, r := range gen.RoutesFromListeners(node, out.Listeners) {
		out.Routes[r.Name] = r
	}
	for _, c := range gen.Clusters(node) {
		out.Clusters[c.Name] = c
		if c.GetType() == cluster.Cluster_EDS {
			name := c.Name
			if s := c.GetEdsClusterConfig().GetServiceName(); s != "" {
				name = s
			}
			builder := endpoints.NewEndpointBuilder(name, node, gen.PushContext())
			out.Endpoints[c.Name] = builder.BuildClusterLoadAssignment(gen.Env().EndpointIndex)
		} else {
			out.Endpoints[c.Name] = c.LoadAssignment
		}
	}
	return out
}

func proxy(b *Base, point, name string) *model.Proxy {
	ns, short, _ := strings.Cut(name, "/")
	kind, labels, ip := model.SidecarProxy, map[string]string{}, "10.98.1.1"
	switch point {
	case routecorpus.Sidecar:
		for _, p := range b.pods {
			if p.Namespace == ns && p.Name == short {
				labels, ip = p.Labels, p.Status.PodIP
			}
		}
	case routecorpus.Waypoint:
		kind, labels = model.Waypoint, waypointLabels(short)
	case routecorpus.Gateway:
		kind, labels = model.Router, map[string]string{"istio": short, label.IoK8sNetworkingGatewayGatewayName.Name: short}
	}
	return &model.Proxy{
		Type: kind, ID: short + "." + ns, ConfigNamespace: ns, IPAddresses: []string{ip}, Labels: labels,
		Metadata:         &model.NodeMetadata{Namespace: ns, ServiceAccount: "default", Labels: labels, IstioVersion: istioVersion, ClusterID: constants.DefaultClusterName},
		VerifiedIdentity: &spiffe.Identity{TrustDomain: constants.DefaultClusterLocalDomain, Namespace: ns, ServiceAccount: "default"},
	}
}
