package standin

// Stands in for: the istio-cni node agents, all nodes in one process. It follows
// the same rule as cni/pkg/util/enablement_selector.go and the same flow as
// cni/pkg/nodeagent/informers.go of Istio 1.31: a pod that should be ambient gets the annotation
// ambient.istio.io/redirection, one that should not loses it, live, whenever a
// label on the pod or its namespace changes; a finished pod is left as it is.
//
// Differs: no packet is redirected and no ztunnel is told. The delay between a
// pod being ready for it and being enrolled is set, not measured (the real agent
// needs some tens of milliseconds). A failing agent leaves the annotation at
// "pending", as the real one does when ztunnel does not take the pod over, or does nothing at all.

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	k8slabels "k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/workqueue"
)

// CNIFault makes enrolment slow or makes it fail, everywhere or in some namespaces.
type CNIFault struct {
	Delay      Duration `json:"delay"`
	Fail       string   `json:"fail"` // "" (works), "pending", "never"
	Namespaces []string `json:"namespaces"`
}

func (f CNIFault) validate() error {
	switch f.Fail {
	case "", cniPending, cniNever:
		return nil
	}
	return fmt.Errorf("istio-cni fails by %s or %s, not %q", cniPending, cniNever, f.Fail)
}

// How istio-cni can fail.
const (
	cniPending = "pending" // ztunnel does not accept the pod
	cniNever   = "never"   // the agent is down
)

func (f CNIFault) hits(pod *corev1.Pod) bool {
	return len(f.Namespaces) == 0 || slices.Contains(f.Namespaces, pod.Namespace)
}

// shouldEnrol is the rule: what istio-cni wants for this pod, whatever it has now.
func shouldEnrol(pod *corev1.Pod, namespace map[string]string) bool {
	if pod.Spec.HostNetwork {
		return false // its network namespace is the node's
	}
	if _, sidecar := pod.Annotations[annotationStatus]; sidecar {
		return false // a sidecar always wins, whatever the labels say
	}
	// Only "none" opts out; any other value on the pod, also a mistyped one, does not.
	own := pod.Labels[labelDataplaneMode]
	return own == modeAmbient || namespace[labelDataplaneMode] == modeAmbient && own != modeNone
}

// decide compares the wish with the annotation: what to write ("" removes it), and whether to write at all.
func decide(pod *corev1.Pod, namespace map[string]string, f CNIFault) (value string, change bool) {
	has, annotated := pod.Annotations[annotationRedirection]
	terminal := pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed
	if terminal || pod.DeletionTimestamp != nil {
		return "", false // finished pods leave the mesh, yet keep the annotation
	}
	if f.Fail == cniNever && f.hits(pod) {
		return "", false
	}
	if !shouldEnrol(pod, namespace) {
		return "", annotated
	}
	if pod.Status.PodIP == "" {
		return "", false // not routable yet; its next update comes here again
	}
	want := redirectionEnabled
	if f.Fail == cniPending && f.hits(pod) && has != redirectionEnabled {
		want = redirectionPending
	}
	return want, has != want
}

// CNI is the stand-in.
type CNI struct {
	World   *World
	Control *Control

	queue workqueue.TypedRateLimitingInterface[types.NamespacedName]
}

// Prepare registers for events; call it before the world is synced.
func (c *CNI) Prepare() error {
	c.queue = workqueue.NewTypedRateLimitingQueue(workqueue.DefaultTypedControllerRateLimiter[types.NamespacedName]())
	_, err := c.World.podsInf.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(o any) { c.enqueue(o.(*corev1.Pod)) },
		UpdateFunc: func(_, o any) { c.enqueue(o.(*corev1.Pod)) },
	})
	if err != nil {
		return err
	}
	_, err = c.World.nsInf.AddEventHandler(cache.ResourceEventHandlerFuncs{
		UpdateFunc: func(before, after any) {
			if before.(*corev1.Namespace).Labels[labelDataplaneMode] != after.(*corev1.Namespace).Labels[labelDataplaneMode] {
				c.enqueueAll(after.(*corev1.Namespace).Name)
			}
		},
	})
	return err
}

func (c *CNI) enqueue(pod *corev1.Pod) {
	name := types.NamespacedName{Namespace: pod.Namespace, Name: pod.Name}
	f := c.Control.Faults().CNI
	if f.Delay > 0 && f.hits(pod) {
		c.queue.AddAfter(name, time.Duration(f.Delay))
		return
	}
	c.queue.Add(name)
}

func (c *CNI) enqueueAll(namespace string) {
	pods, err := c.World.Pods.Pods(namespace).List(k8slabels.Everything())
	if err != nil {
		return
	}
	for _, pod := range pods {
		c.enqueue(pod)
	}
}

// Run works until ctx ends.
func (c *CNI) Run(ctx context.Context) {
	go func() { // a fault that is taken back lets waiting pods in
		for {
			select {
			case <-ctx.Done():
				c.queue.ShutDown()
				return
			case <-c.Control.Changed():
				c.enqueueAll(metav1.NamespaceAll)
			}
		}
	}()
	for range 4 {
		go func() {
			for c.work(ctx) {
			}
		}()
	}
	<-ctx.Done()
}

func (c *CNI) work(ctx context.Context) bool {
	name, quit := c.queue.Get()
	if quit {
		return false
	}
	defer c.queue.Done(name)
	pod, err := c.World.Pods.Pods(name.Namespace).Get(name.Name)
	if err != nil {
		return true // deleted meanwhile
	}
	namespace, err := c.World.Namespaces.Get(name.Namespace)
	if err != nil {
		c.queue.AddRateLimited(name)
		return true
	}
	value, change := decide(pod, namespace.Labels, c.Control.Faults().CNI)
	if !change {
		c.queue.Forget(name)
		return true
	}
	var written any = value
	if value == "" {
		written = nil
	}
	patch, _ := json.Marshal(map[string]any{"metadata": map[string]any{
		"annotations": map[string]any{annotationRedirection: written},
	}})
	_, err = c.World.Client.Kube.CoreV1().Pods(name.Namespace).Patch(ctx, name.Name, types.MergePatchType, patch, metav1.PatchOptions{FieldManager: "istio-cni"})
	if err != nil && !apierrors.IsNotFound(err) {
		log.Printf("istio-cni: %s: %v", name, err)
		c.queue.AddRateLimited(name)
		return true
	}
	c.queue.Forget(name)
	return true
}
