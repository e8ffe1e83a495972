package standin

import (
	"context"
	"errors"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/informers"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/cache"

	"github.com/sidestep-mesh/sidestep/test/lab/cluster"
)

// World is what all stand-ins see of the cluster: caches that watches keep fresh.
type World struct {
	Client     *cluster.Client
	Pods       corelisters.PodLister
	Namespaces corelisters.NamespaceLister
	Nodes      corelisters.NodeLister

	factory informers.SharedInformerFactory
	podsInf cache.SharedIndexInformer
	nsInf   cache.SharedIndexInformer
	nodeInf cache.SharedIndexInformer
}

// NewWorld prepares the caches; Sync fills them.
func NewWorld(client *cluster.Client) *World {
	factory := informers.NewSharedInformerFactoryWithOptions(client.Kube, 0, informers.WithTransform(slim))
	core := factory.Core().V1()
	return &World{
		Client: client, factory: factory,
		Pods: core.Pods().Lister(), Namespaces: core.Namespaces().Lister(), Nodes: core.Nodes().Lister(),
		podsInf: core.Pods().Informer(), nsInf: core.Namespaces().Informer(), nodeInf: core.Nodes().Informer(),
	}
}

// Sync starts the watches and returns once the caches are filled.
func (w *World) Sync(ctx context.Context) error {
	w.factory.Start(ctx.Done())
	for kind, ok := range w.factory.WaitForCacheSync(ctx.Done()) {
		if !ok {
			return errors.New("cannot watch " + kind.String())
		}
	}
	return nil
}

// slim drops what no stand-in reads, which is most of an injected pod.
func slim(object any) (any, error) {
	if o, ok := object.(metav1.Object); ok {
		o.SetManagedFields(nil)
	}
	if pod, ok := object.(*corev1.Pod); ok {
		pod.Spec.Volumes = nil
		for _, containers := range [][]corev1.Container{pod.Spec.InitContainers, pod.Spec.Containers} {
			for i := range containers {
				c := &containers[i]
				c.Env, c.VolumeMounts, c.EnvFrom = nil, nil, nil
				c.ReadinessProbe, c.LivenessProbe, c.StartupProbe, c.Lifecycle, c.SecurityContext = nil, nil, nil, nil, nil
			}
		}
	}
	return object, nil
}
