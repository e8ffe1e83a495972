package world

import (
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	meshconfig "istio.io/api/mesh/v1alpha1"
	"istio.io/istio/pilot/pkg/config/kube/gateway"
	"istio.io/istio/pilot/pkg/model"
	"istio.io/istio/pilot/pkg/networking/core"
	"istio.io/istio/pilot/pkg/serviceregistry"
	"istio.io/istio/pilot/pkg/serviceregistry/ambient"
	kube "istio.io/istio/pilot/pkg/serviceregistry/kube/controller"
	"istio.io/istio/pkg/activenotifier"
	"istio.io/istio/pkg/config"
	"istio.io/istio/pkg/config/constants"
	"istio.io/istio/pkg/config/mesh/meshwatcher"
	"istio.io/istio/pkg/config/schema/gvr"
	kubelib "istio.io/istio/pkg/kube"
	"istio.io/istio/pkg/kube/kclient/clienttest"
	"istio.io/istio/pkg/kube/krt"
	"istio.io/istio/pkg/kube/multicluster"
	"istio.io/istio/pkg/test"
	"istio.io/istio/pkg/test/util/retry"
	"sigs.k8s.io/gateway-api/pkg/consts"
)

// Start wires istiod's service registry, ambient index and config generator to the given objects, as pilot/test/xds does,
// without the xDS server (that package does not compile with the build tag disable_pgv). withRoutes runs the controller
// that converts Gateway API routes as well.
func Start(t test.Failer, mc *meshconfig.MeshConfig, objects []runtime.Object, configs []config.Config, withRoutes bool) *core.ConfigGenTest {
	client := kubelib.NewFakeClient(objects...)
	watcher := meshwatcher.NewTestWatcher(mc)
	endpoints := model.NewEndpointIndex(model.DisabledCache{})
	updater := model.NewEndpointIndexUpdater(endpoints)
	registry, _ := kube.NewFakeControllerWithOptions(t, kube.FakeControllerOptions{
		Client: client, ClusterID: constants.DefaultClusterName, DomainSuffix: constants.DefaultClusterLocalDomain,
		XDSUpdater: updater, SkipRun: true, ConfigCluster: true, MeshWatcher: watcher,
		CRDs: []schema.GroupVersionResource{
			gvr.AuthorizationPolicy, gvr.PeerAuthentication, gvr.WorkloadEntry, gvr.ServiceEntry, gvr.GatewayClass,
			gvr.KubernetesGateway, gvr.HTTPRoute, gvr.GRPCRoute, gvr.TCPRoute, gvr.TLSRoute, gvr.ReferenceGrant, gvr.BackendTLSPolicy,
		},
	})
	if withRoutes { // istiod reads these kinds of a bundle that is new enough only
		for _, crd := range []schema.GroupVersionResource{gvr.GRPCRoute, gvr.TCPRoute, gvr.TLSRoute, gvr.BackendTLSPolicy} {
			clienttest.MakeCRDWithAnnotations(t, client, crd, map[string]string{consts.BundleVersionAnnotation: consts.BundleVersion})
		}
	}
	// After the registry, so that it closes first: the registry's clean-up waits for the informers to end.
	stop := test.NewStop(t)
	options := core.TestOptions{
		Configs: configs, MeshConfig: mc, XDSUpdater: updater, SkipRun: true, ClusterID: constants.DefaultClusterName,
		ServiceRegistries: []serviceregistry.Instance{registry},
	}
	var routes *gateway.Controller
	if withRoutes {
		options.CreateConfigStore = func(model.ConfigStoreController) model.ConfigStoreController {
			routes = gateway.NewController(client, func(schema.GroupVersionResource, <-chan struct{}) bool { return true },
				kube.Options{DomainSuffix: constants.DefaultClusterLocalDomain, SystemNamespace: mc.RootNamespace}, updater)
			return routes
		}
	}
	gen := core.NewConfigGenTest(t, options)
	gen.Env().EndpointIndex = endpoints
	if withRoutes {
		gen.Env().GatewayAPIController = routes
		routes.Reconcile(gen.PushContext()) // its collections wait for a first push
	}
	clusters := multicluster.NewController(multicluster.ControllerOptions{
		Client: client, ClusterID: constants.DefaultClusterName, SystemNamespace: mc.RootNamespace, MeshConfig: watcher,
		Debugger: krt.GlobalDebugHandler,
	})
	index := ambient.New(ambient.Options{
		SystemNamespace: mc.RootNamespace, DomainSuffix: constants.DefaultClusterLocalDomain,
		ClusterID: constants.DefaultClusterName, XDSUpdater: updater, MeshConfig: watcher,
		StatusNotifier: activenotifier.New(false), Debugger: krt.GlobalDebugHandler, MultiClusterController: clusters,
	})
	if err := clusters.Run(stop); err != nil {
		t.Fatal(err)
	}
	gen.Env().AmbientIndexes = index
	client.RunAndWait(stop)
	go index.Run(stop)
	gen.Run()
	retry.UntilOrFail(t, index.HasSynced, retry.Delay(time.Millisecond))
	if err := gen.Env().InitNetworksManager(updater); err != nil {
		t.Fatal(err)
	}
	gen.PushContext().InitContext(gen.Env(), nil, nil)
	return gen
}
