package live_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/sidestep-mesh/sidestep/internal/live"
	"github.com/sidestep-mesh/sidestep/internal/snapshot"
	"github.com/sidestep-mesh/sidestep/internal/snapshot/manifest"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"
)

// apiServer stands in for an API server in the shapes that a healthy one does not have: it refuses, forgets,
// hangs. It serves the objects of a snapshot as JSON, page by page, and knows neither protobuf nor
// admission nor RBAC; what a real server does is tested in the lab.
type apiServer struct {
	*httptest.Server
	objects *snapshot.Snapshot
	// lacks are resources that are not served; fault, when it returns true, has answered the request itself.
	lacks []string
	fault func(w http.ResponseWriter, r *http.Request) bool

	mu       sync.Mutex
	requests []string
}

func serve(t *testing.T, manifests string) *apiServer {
	a := &apiServer{objects: manifest.Load(manifest.Stream("in", strings.NewReader(manifests)))}
	if p := a.objects.Problems(); len(p) > 0 {
		t.Fatal(p)
	}
	a.Server = httptest.NewServer(http.HandlerFunc(a.answer))
	t.Cleanup(a.Close)
	return a
}

func (a *apiServer) cluster() *live.Cluster {
	return &live.Cluster{Config: &rest.Config{Host: a.URL}, Name: "test", Namespace: "default"}
}

func (a *apiServer) answer(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	a.requests = append(a.requests, r.Method+" "+r.URL.String())
	a.mu.Unlock()
	if a.fault != nil && a.fault(w, r) {
		return
	}
	parts := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	switch {
	case r.URL.Path == "/api":
		send(w, 200, metav1.APIVersions{TypeMeta: metav1.TypeMeta{Kind: "APIVersions"}, Versions: []string{"v1"}})
	case r.URL.Path == "/apis":
		send(w, 200, a.groups())
	case parts[0] == "api" && len(parts) == 2:
		send(w, 200, a.resources(schema.GroupVersion{Version: parts[1]}))
	case parts[0] == "apis" && len(parts) == 3:
		send(w, 200, a.resources(schema.GroupVersion{Group: parts[1], Version: parts[2]}))
	case parts[0] == "api":
		a.list(w, r, schema.GroupVersion{Version: parts[1]}, parts[2:])
	default:
		a.list(w, r, schema.GroupVersion{Group: parts[1], Version: parts[2]}, parts[3:])
	}
}

func (a *apiServer) groups() metav1.APIGroupList {
	list := metav1.APIGroupList{TypeMeta: metav1.TypeMeta{Kind: "APIGroupList", APIVersion: "v1"}}
	for _, k := range snapshot.ServedKinds() {
		if k.Group == "" || slices.ContainsFunc(list.Groups, func(g metav1.APIGroup) bool { return g.Name == k.Group }) {
			continue
		}
		g := metav1.APIGroup{Name: k.Group}
		seen := map[string]bool{}
		for _, same := range snapshot.ServedKinds() {
			for _, v := range same.Versions {
				if same.Group == k.Group && !seen[v] {
					seen[v] = true
					g.Versions = append(g.Versions, metav1.GroupVersionForDiscovery{GroupVersion: k.Group + "/" + v, Version: v})
				}
			}
		}
		list.Groups = append(list.Groups, g)
	}
	return list
}

func (a *apiServer) resources(gv schema.GroupVersion) metav1.APIResourceList {
	list := metav1.APIResourceList{TypeMeta: metav1.TypeMeta{Kind: "APIResourceList", APIVersion: "v1"}, GroupVersion: gv.String()}
	for _, k := range snapshot.ServedKinds() {
		if k.Group == gv.Group && slices.Contains(k.Versions, gv.Version) && !slices.Contains(a.lacks, k.Resource) {
			list.APIResources = append(list.APIResources, metav1.APIResource{Name: k.Resource, Kind: k.Kind.Kind, Namespaced: k.Namespaced})
		}
	}
	return list
}

// list answers [namespaces NS] RESOURCE and namespaces NS.
func (a *apiServer) list(w http.ResponseWriter, r *http.Request, gv schema.GroupVersion, path []string) {
	ns, resource := "", path[0]
	if len(path) == 3 {
		ns, resource = path[1], path[2]
	}
	var items []snapshot.Object
	kind := ""
	for o := range a.objects.Objects() {
		gvk := o.GetObjectKind().GroupVersionKind()
		info, _ := snapshot.KindOf(gvk.GroupKind())
		if info.Resource == resource && info.Group == gv.Group {
			kind = gvk.Kind
			if len(path) == 2 && o.GetName() == path[1] {
				send(w, 200, o)
				return
			}
			if ns == "" || o.GetNamespace() == ns {
				items = append(items, o)
			}
		}
	}
	if len(path) == 2 {
		refuse(w, http.StatusNotFound, metav1.StatusReasonNotFound, "namespaces \""+path[1]+"\" not found")
		return
	}
	start, _ := strconv.Atoi(r.URL.Query().Get("continue"))
	end, next := len(items), ""
	if limit, _ := strconv.Atoi(r.URL.Query().Get("limit")); limit > 0 && start+limit < end {
		end = start + limit
		next = strconv.Itoa(end)
	}
	send(w, 200, map[string]any{"apiVersion": gv.String(), "kind": kindOf(gv, resource, kind) + "List",
		"metadata": map[string]any{"continue": next}, "items": append([]snapshot.Object{}, items[start:end]...)})
}

func kindOf(gv schema.GroupVersion, resource, kind string) string {
	for _, k := range snapshot.ServedKinds() {
		if k.Group == gv.Group && k.Resource == resource {
			return k.Kind.Kind
		}
	}
	return kind
}

func send(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	text, _ := json.Marshal(v)
	// The objects were decoded once and have lost what is not known; a server has it.
	_, _ = w.Write(bytes.ReplaceAll(text, []byte(`"source":{}`), []byte(`"source":{"planets":["mars"]}`)))
}

func refuse(w http.ResponseWriter, code int, reason metav1.StatusReason, message string) {
	send(w, code, metav1.Status{TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"},
		Status: "Failure", Code: int32(code), Reason: reason, Message: message})
}

func namespacesAndPods(pods int) string {
	text := "apiVersion: v1\nkind: Namespace\nmetadata: {name: a}\n---\napiVersion: v1\nkind: Namespace\nmetadata: {name: b}\n"
	for i := range pods {
		text += fmt.Sprintf("---\napiVersion: v1\nkind: Pod\nmetadata: {name: p%03d, namespace: %s}\nspec: {volumes: [{name: v}], containers: [{name: c, env: [{name: A, value: b}]}]}\n", i, "ab"[i%2:i%2+1])
	}
	return text + `---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: p, namespace: a}
spec: {rules: [{from: [{source: {planets: [mars]}}]}]}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: istio, namespace: istio-system}
data: {mesh: "rootNamespace: istio-system"}
`
}
