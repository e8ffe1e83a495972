package live

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strconv"

	"github.com/sidestep-mesh/sidestep/internal/snapshot"
	"github.com/sidestep-mesh/sidestep/internal/snapshot/manifest"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/rest"
)

const (
	protobufType = "application/vnd.kubernetes.protobuf"
	jsonType     = "application/json"
)

// lister reads whole kinds, page by page: built-in kinds as protobuf, the rest as JSON.
type lister struct {
	rest      *rest.RESTClient
	discovery *discovery.DiscoveryClient
	scheme    *runtime.Scheme
	codecs    serializer.CodecFactory
	pageSize  int64
}

func newLister(cfg *rest.Config, pageSize int64) (*lister, error) {
	l := &lister{scheme: runtime.NewScheme(), pageSize: pageSize}
	metav1.AddToGroupVersion(l.scheme, schema.GroupVersion{Version: "v1"})
	for _, add := range []func(*runtime.Scheme) error{
		corev1.AddToScheme, appsv1.AddToScheme, batchv1.AddToScheme, autoscalingv2.AddToScheme,
		policyv1.AddToScheme, networkingv1.AddToScheme, admissionv1.AddToScheme, discoveryv1.AddToScheme,
	} {
		if err := add(l.scheme); err != nil {
			return nil, fmt.Errorf("register API types: %w", err)
		}
	}
	l.codecs = serializer.NewCodecFactory(l.scheme)
	cfg.NegotiatedSerializer = l.codecs.WithoutConversion()
	client, err := rest.HTTPClientFor(cfg)
	if err != nil {
		return nil, fmt.Errorf("read the credentials: %w", err)
	}
	if l.rest, err = rest.UnversionedRESTClientForConfigAndClient(cfg, client); err != nil {
		return nil, fmt.Errorf("read the address: %w", err)
	}
	l.discovery, err = discovery.NewDiscoveryClientForConfigAndClient(cfg, client)
	return l, err
}

// served is what a cluster serves.
type served struct {
	resources map[schema.GroupVersion]*metav1.APIResourceList
	failed    map[schema.GroupVersion]error
	// group to its versions.
	versions map[string][]string
}

// discover asks what is served, in two requests where the server aggregates its discovery (1.27 and newer).
func (l *lister) discover(ctx context.Context) (*served, error) {
	groups, resources, failed, err := l.discovery.GroupsAndMaybeResources()
	if err != nil {
		return nil, err
	}
	s := &served{resources: resources, failed: failed, versions: map[string][]string{}}
	if s.resources == nil {
		s.resources = map[schema.GroupVersion]*metav1.APIResourceList{}
	}
	if s.failed == nil {
		s.failed = map[schema.GroupVersion]error{}
	}
	for _, g := range groups.Groups {
		for _, v := range g.Versions {
			s.versions[g.Name] = append(s.versions[g.Name], v.Version)
		}
	}
	if resources != nil {
		return s, ctx.Err()
	}
	for _, k := range snapshot.ServedKinds() {
		for _, v := range sortedVersions(k, s.versions[k.Group]) {
			gv := schema.GroupVersion{Group: k.Group, Version: v}
			if s.resources[gv] != nil || s.failed[gv] != nil {
				continue
			}
			if s.resources[gv], err = l.discovery.ServerResourcesForGroupVersion(gv.String()); err != nil {
				s.failed[gv] = err
			}
		}
	}
	return s, ctx.Err()
}

// version returns the version to list a kind in, or why it is not listed.
func (s *served) version(kind snapshot.KindInfo) (string, *snapshot.Knowledge) {
	versions := sortedVersions(kind, s.versions[kind.Group])
	for _, v := range versions {
		gv := schema.GroupVersion{Group: kind.Group, Version: v}
		if list := s.resources[gv]; list != nil && slices.ContainsFunc(list.APIResources,
			func(r metav1.APIResource) bool { return r.Name == kind.Resource }) {
			return v, nil
		}
	}
	for gv, err := range s.failed {
		if gv.Group == kind.Group {
			return "", &snapshot.Knowledge{State: snapshot.Hidden, Reason: fmt.Sprintf("discover %s: %s", gv, oneLine(err))}
		}
	}
	if served := s.otherVersions(kind); len(served) > 0 {
		return "", &snapshot.Knowledge{State: snapshot.Hidden,
			Reason: fmt.Sprintf("served only as %v, which this version of Sidestep does not know", served)}
	}
	return "", &snapshot.Knowledge{State: snapshot.NotServed, Reason: "the cluster serves no " + kind.Resource + "." + kind.Group}
}

// otherVersions are those in which a kind is served and that Sidestep cannot read.
func (s *served) otherVersions(kind snapshot.KindInfo) []string {
	var out []string
	for gv, list := range s.resources {
		if gv.Group == kind.Group && list != nil && !slices.Contains(kind.Versions, gv.Version) &&
			slices.ContainsFunc(list.APIResources, func(r metav1.APIResource) bool { return r.Name == kind.Resource }) {
			out = append(out, gv.Version)
		}
	}
	slices.Sort(out)
	return out
}

// all lists a kind in a namespace ("" for all). When the server forgets the list between two pages (410, it
// compacts etcd every five minutes) it starts again and asks for everything at once.
func (l *lister) all(ctx context.Context, kind snapshot.KindInfo, version, ns string) ([]manifest.Item, error) {
	items, err := l.pages(ctx, kind, version, ns, l.pageSize)
	if apierrors.IsResourceExpired(err) || apierrors.IsGone(err) {
		return l.pages(ctx, kind, version, ns, 0)
	}
	return items, err
}

func (l *lister) pages(ctx context.Context, kind snapshot.KindInfo, version, ns string, size int64) (items []manifest.Item, err error) {
	gvk := kind.WithVersion(version)
	builtin := l.scheme.Recognizes(gvk)
	for token := ""; ; {
		text, err := l.page(ctx, kind, gvk, ns, size, token, builtin)
		if err != nil {
			return nil, err
		}
		var some []manifest.Item
		if !builtin {
			some, token = manifest.DecodeList(kind, text)
		} else if some, token, err = l.typed(text, gvk); err != nil {
			return nil, err
		}
		items = append(items, some...)
		if token == "" {
			return items, nil
		}
	}
}

func (l *lister) page(ctx context.Context, kind snapshot.KindInfo, gvk schema.GroupVersionKind, ns string, size int64, token string, builtin bool) ([]byte, error) {
	path := "/apis/" + gvk.Group + "/" + gvk.Version
	if gvk.Group == "" {
		path = "/api/" + gvk.Version
	}
	if ns != "" {
		path += "/namespaces/" + ns
	}
	accept := jsonType
	if builtin {
		accept = protobufType + "," + jsonType
	}
	r := l.rest.Get().AbsPath(path+"/"+kind.Resource).SetHeader("Accept", accept)
	if size > 0 {
		r = r.Param("limit", strconv.FormatInt(size, 10))
	}
	if kind.LabelSelector != "" {
		r = r.Param("labelSelector", kind.LabelSelector)
	}
	if token != "" {
		r = r.Param("continue", token)
	}
	result := r.Do(ctx)
	var status int
	if result.StatusCode(&status); status == http.StatusOK {
		return result.Raw()
	}
	if err := result.Error(); err != nil {
		return nil, err
	}
	return nil, fmt.Errorf("unexpected answer with status %d", status)
}

// namespace reads one namespace.
func (l *lister) namespace(ctx context.Context, name string) (manifest.Item, error) {
	text, err := l.rest.Get().AbsPath("/api/v1/namespaces/"+name).SetHeader("Accept", protobufType+","+jsonType).Do(ctx).Raw()
	if err != nil {
		return manifest.Item{}, err
	}
	var ns corev1.Namespace
	if _, _, err := l.codecs.UniversalDeserializer().Decode(text, nil, &ns); err != nil {
		return manifest.Item{}, fmt.Errorf("decode: %w", err)
	}
	return new(manifest.Lean).Item(&ns), nil
}

// typed decodes a page of a built-in kind.
func (l *lister) typed(text []byte, gvk schema.GroupVersionKind) ([]manifest.Item, string, error) {
	o, _, err := l.codecs.UniversalDeserializer().Decode(text, nil, nil)
	if err != nil {
		return nil, "", fmt.Errorf("decode: %w", err)
	}
	list, err := meta.ListAccessor(o)
	if err != nil {
		return nil, "", fmt.Errorf("decode: a list of %s was expected, not %T", gvk.Kind, o)
	}
	var items []manifest.Item
	var lean manifest.Lean
	err = meta.EachListItem(o, func(item runtime.Object) error {
		typed, ok := item.(snapshot.Object)
		if !ok {
			return fmt.Errorf("decode: %T is no object", item)
		}
		items = append(items, lean.Item(typed))
		return nil
	})
	return items, list.GetContinue(), err
}
