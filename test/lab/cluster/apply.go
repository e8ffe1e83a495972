// Package cluster writes and reads a lab's cluster: it applies manifests by
// server-side apply and waits for workloads.
package cluster

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/yaml"
)

// Client talks to the API server of one lab.
type Client struct {
	REST    *rest.Config
	Kube    kubernetes.Interface
	Dynamic dynamic.Interface

	mapper *restmapper.DeferredDiscoveryRESTMapper
}

// Connect builds a client from a kubeconfig file. The client's own rate limit
// is off: the API server has a fairer one.
func Connect(kubeconfig string) (*Client, error) {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return nil, err
	}
	config.QPS, config.Burst = -1, -1
	config.UserAgent = "sidestep-lab"
	config.WarningHandler = rest.NoWarnings{} // the traps are full of what it warns of
	return ConnectTo(config)
}

// ConnectTo builds a client from a configuration.
func ConnectTo(config *rest.Config) (*Client, error) {
	kube, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	dyn, err := dynamic.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	return &Client{
		REST: config, Kube: kube, Dynamic: dyn,
		mapper: restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(kube.Discovery())),
	}, nil
}

// Parse reads a stream of YAML documents. The source names it in errors.
func Parse(source string, raw []byte) ([]*unstructured.Unstructured, error) {
	var objects []*unstructured.Unstructured
	reader := utilyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(raw)))
	for n := 1; ; n++ {
		doc, err := reader.Read()
		if errors.Is(err, io.EOF) {
			return objects, nil
		}
		if err != nil {
			return nil, fmt.Errorf("%s, document %d: %w", source, n, err)
		}
		var content map[string]any
		if err := yaml.Unmarshal(doc, &content); err != nil {
			return nil, fmt.Errorf("%s, document %d: %w", source, n, err)
		}
		if len(content) == 0 {
			continue // only comments
		}
		object := &unstructured.Unstructured{Object: content}
		if object.GetKind() == "" || object.GetName() == "" {
			return nil, fmt.Errorf("%s, document %d: kind or metadata.name is missing", source, n)
		}
		objects = append(objects, object)
	}
}

// FromTyped turns a typed object, its TypeMeta set, into an untyped one.
func FromTyped(object runtime.Object) (*unstructured.Unstructured, error) {
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(object)
	if err != nil {
		return nil, err
	}
	// A zero status is what a fresh typed object has; applying it would own fields of controllers.
	u := &unstructured.Unstructured{Object: content}
	if u.GetKind() != "Node" {
		unstructured.RemoveNestedField(content, "status")
	}
	unstructured.RemoveNestedField(content, "metadata", "creationTimestamp")
	unstructured.RemoveNestedField(content, "spec", "template", "metadata", "creationTimestamp")
	return u, nil
}

// rank orders kinds so that what others need comes first.
func rank(kind string) int {
	switch kind {
	case "CustomResourceDefinition":
		return 0
	case "Namespace", "Node", "ClusterRole", "PriorityClass", "GatewayClass":
		return 1
	case "ServiceAccount", "ConfigMap", "Secret", "Role":
		return 2
	case "Service", "ClusterRoleBinding", "RoleBinding":
		return 3
	case "Deployment", "StatefulSet", "DaemonSet", "Job", "CronJob", "ReplicaSet", "Pod":
		return 6
	case "MutatingWebhookConfiguration", "ValidatingWebhookConfiguration":
		return 5
	default: // policies and routes: in force before the pods they are about
		return 4
	}
}

// Apply writes objects by server-side apply as the given field manager, in an
// order that respects what depends on what, several at a time. All errors of one
// rank are returned together, each with the kind and name it is about; later ranks are not tried then.
func (c *Client) Apply(ctx context.Context, manager string, objects []*unstructured.Unstructured) error {
	return c.inOrder(objects, false, func(o *unstructured.Unstructured) error {
		resource, err := c.resource(o)
		if err != nil {
			return err
		}
		_, err = resource.Apply(ctx, o.GetName(), o, metav1.ApplyOptions{FieldManager: manager, Force: true})
		return err
	})
}

// Delete removes objects, dependents first in reverse order. What is already gone is fine.
func (c *Client) Delete(ctx context.Context, objects []*unstructured.Unstructured) error {
	background := metav1.DeletePropagationBackground
	return c.inOrder(objects, true, func(o *unstructured.Unstructured) error {
		resource, err := c.resource(o)
		if meta.IsNoMatchError(err) {
			return nil
		}
		if err != nil {
			return err
		}
		err = resource.Delete(ctx, o.GetName(), metav1.DeleteOptions{PropagationPolicy: &background})
		if apierrors.IsNotFound(err) {
			return nil
		}
		return err
	})
}

func (c *Client) resource(o *unstructured.Unstructured) (dynamic.ResourceInterface, error) {
	gvk := o.GroupVersionKind()
	mapping, err := c.mapper.RESTMapping(gvk.GroupKind(), gvk.Version)
	if meta.IsNoMatchError(err) {
		// The kind may have been installed since the last discovery.
		c.mapper.Reset()
		mapping, err = c.mapper.RESTMapping(gvk.GroupKind(), gvk.Version)
	}
	if err != nil {
		return nil, err
	}
	if mapping.Scope.Name() == meta.RESTScopeNameRoot {
		return c.Dynamic.Resource(mapping.Resource), nil
	}
	if o.GetNamespace() == "" {
		return nil, errors.New("metadata.namespace is missing")
	}
	return c.Dynamic.Resource(mapping.Resource).Namespace(o.GetNamespace()), nil
}

func (c *Client) inOrder(objects []*unstructured.Unstructured, reverse bool, do func(*unstructured.Unstructured) error) error {
	const parallel = 16
	byRank := map[int][]*unstructured.Unstructured{}
	ranks := []int{}
	for _, o := range objects {
		r := rank(o.GetKind())
		if byRank[r] == nil {
			ranks = append(ranks, r)
		}
		byRank[r] = append(byRank[r], o)
	}
	slices.Sort(ranks)
	if reverse {
		slices.Reverse(ranks)
	}
	var (
		mu   sync.Mutex
		errs []error
	)
	for _, r := range ranks {
		var wg sync.WaitGroup
		slots := make(chan struct{}, parallel)
		for _, o := range byRank[r] {
			slots <- struct{}{}
			wg.Go(func() {
				defer func() { <-slots }()
				if err := do(o); err != nil {
					mu.Lock()
					errs = append(errs, fmt.Errorf("%s %s/%s: %w", o.GetKind(), o.GetNamespace(), o.GetName(), err))
					mu.Unlock()
				}
			})
		}
		wg.Wait()
		if len(errs) > 0 {
			break
		}
	}
	return errors.Join(errs...)
}
