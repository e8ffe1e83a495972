package live

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/sidestep-mesh/sidestep/internal/snapshot"
	"github.com/sidestep-mesh/sidestep/internal/snapshot/manifest"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
)

// watcher opens watches: built-in kinds as protobuf, the rest as JSON.
type watcher struct {
	config  *rest.Config
	http    *http.Client
	lister  *lister
	dynamic *dynamic.DynamicClient
	meta    metadata.Interface
}

func newWatcher(cfg *rest.Config) (*watcher, error) {
	w := &watcher{config: cfg}
	var err error
	if w.http, err = rest.HTTPClientFor(cfg); err != nil {
		return nil, fmt.Errorf("read the credentials: %w", err)
	}
	if w.lister, err = newLister(rest.CopyConfig(cfg), 500); err != nil {
		return nil, err
	}
	if w.dynamic, err = dynamic.NewForConfigAndClient(cfg, w.http); err != nil {
		return nil, err
	}
	w.meta, err = metadata.NewForConfigAndClient(cfg, w.http)
	return w, err
}

// watch feeds one kind until ctx ends.
func (w *watcher) watch(ctx context.Context, info snapshot.KindInfo, version string, to *feed) {
	lw, example, err := w.source(info, version, to)
	if err != nil {
		to.failed(err)
		return
	}
	r := cache.NewReflectorWithOptions(lw, example, to, cache.ReflectorOptions{Name: "sidestep " + info.Resource})
	run(ctx, r, to.failed)
}

// run lists and watches until ctx ends, waiting longer after each failure.
func run(ctx context.Context, r *cache.Reflector, failed func(error)) {
	wait := time.Second
	for ctx.Err() == nil {
		began := time.Now()
		if err := r.ListAndWatchWithContext(ctx); err != nil && ctx.Err() == nil {
			failed(err)
		}
		if time.Since(began) > time.Minute {
			wait = time.Second
		}
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
		wait = min(2*wait, 30*time.Second)
	}
}

// source is how a kind is listed and watched, with an example of what comes.
func (w *watcher) source(info snapshot.KindInfo, version string, to *feed) (cache.ListerWatcher, any, error) {
	gvk := info.WithVersion(version)
	resource := schema.GroupVersionResource{Group: info.Group, Version: version, Resource: info.Resource}
	opened := func(i watch.Interface, err error) (watch.Interface, error) {
		switch {
		case err == nil:
			to.works()
		case apierrors.IsForbidden(err) || apierrors.IsNotFound(err) || apierrors.IsMethodNotSupported(err):
			to.unwatched(err)
		}
		return i, err
	}
	if !w.lister.scheme.Recognizes(gvk) {
		return &cache.ListWatch{
			ListWithContextFunc: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
				o.LabelSelector = info.LabelSelector
				return w.dynamic.Resource(resource).List(ctx, o)
			},
			WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
				o.LabelSelector = info.LabelSelector
				return opened(w.dynamic.Resource(resource).Watch(ctx, o))
			},
		}, unstructuredOf(gvk), nil
	}
	client, err := w.typed(gvk.GroupVersion())
	if err != nil {
		return nil, nil, err
	}
	example, err := w.lister.scheme.New(gvk)
	if err != nil {
		return nil, nil, err
	}
	list, err := w.lister.scheme.New(gvk.GroupVersion().WithKind(gvk.Kind + "List"))
	if err != nil {
		return nil, nil, err
	}
	options := metav1.ParameterCodec
	return &cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
			into := list.DeepCopyObject()
			o.LabelSelector = info.LabelSelector
			err := client.Get().Resource(info.Resource).VersionedParams(&o, options).Do(ctx).Into(into)
			return into, err
		},
		WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
			o.Watch, o.LabelSelector = true, info.LabelSelector
			return opened(client.Get().Resource(info.Resource).VersionedParams(&o, options).Watch(ctx))
		},
	}, example, nil
}

func unstructuredOf(gvk schema.GroupVersionKind) *unstructured.Unstructured {
	u := &unstructured.Unstructured{}
	u.SetGroupVersionKind(gvk)
	return u
}

// typed is a client of one version of a built-in group.
func (w *watcher) typed(gv schema.GroupVersion) (*rest.RESTClient, error) {
	cfg := rest.CopyConfig(w.config)
	cfg.GroupVersion, cfg.APIPath = &gv, "/apis"
	if gv.Group == "" {
		cfg.APIPath = "/api"
	}
	cfg.NegotiatedSerializer = w.lister.codecs.WithoutConversion()
	cfg.ContentType, cfg.AcceptContentTypes = protobufType, protobufType+","+jsonType
	return rest.RESTClientForConfigAndClient(cfg, w.http)
}

// definitions are the CustomResourceDefinitions, of which the names alone are read: they are large.
var definitions = schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"}

// watchDefinitions calls changed when a CustomResourceDefinition came or went: another kind may be served. Who may not watch
// them is told of new kinds when it starts again.
func (w *watcher) watchDefinitions(ctx context.Context, changed func()) {
	client := w.meta.Resource(definitions)
	lw := &cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) { return client.List(ctx, o) },
		WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
			return client.Watch(ctx, o)
		},
	}
	r := cache.NewReflectorWithOptions(lw, nil, &bell{changed: changed}, cache.ReflectorOptions{Name: "sidestep definitions"})
	run(ctx, r, func(error) {})
}

// bell is a store that only says that something came or went.
type bell struct {
	listed  bool
	changed func()
}

func (b *bell) Add(any) error    { b.changed(); return nil }
func (b *bell) Update(any) error { b.changed(); return nil }
func (b *bell) Delete(any) error { b.changed(); return nil }
func (b *bell) Resync() error    { return nil }
func (b *bell) Replace([]any, string) error {
	if b.listed { // the first list is what discovery saw
		b.changed()
	}
	b.listed = true
	return nil
}

func nameOf(o any) ([2]string, error) {
	if gone, ok := o.(cache.DeletedFinalStateUnknown); ok {
		o = gone.Obj
	}
	m, err := meta.Accessor(o)
	if err != nil {
		return [2]string{}, err
	}
	return [2]string{m.GetNamespace(), m.GetName()}, nil
}

// item makes what a Builder takes of an object as it came.
func (w *feed) item(o any) ([2]string, manifest.Item, error) {
	name, err := nameOf(o)
	if err != nil {
		return name, manifest.Item{}, err
	}
	if u, ok := o.(*unstructured.Unstructured); ok {
		text, err := json.Marshal(u.Object)
		if err != nil {
			return name, manifest.Item{}, fmt.Errorf("%s %s/%s: %w", w.table.info.Kind.Kind, name[0], name[1], err)
		}
		return name, manifest.DecodeObject(w.table.info, text), nil
	}
	typed, ok := o.(snapshot.Object)
	if !ok {
		return name, manifest.Item{}, fmt.Errorf("%T is no object", o)
	}
	return name, w.lean.Item(typed), nil
}
