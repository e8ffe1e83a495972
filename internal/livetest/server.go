// Package livetest is a small API server with a mesh behind it, for tests of what writes to a cluster: objects, field ownership and
// server-side apply are those of Kubernetes' own library, so are conflicts and preconditions; admission, RBAC and watches are not there.
// What the controllers of a cluster and of a mesh would do happens when a test says so.
package livetest

import (
	"encoding/json"
	"fmt"
	"io"
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
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/managedfields"
	"k8s.io/apimachinery/pkg/util/managedfields/managedfieldstest"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/yaml"
)

// Write is one that has been carried out.
type Write struct {
	Verb, Resource, Namespace, Name, Manager string
}

// String is VERB RESOURCE NAMESPACE/NAME.
func (w Write) String() string {
	return w.Verb + " " + w.Resource + " " + w.Namespace + "/" + w.Name
}

// Server is the API server.
type Server struct {
	*httptest.Server
	// Refuse is asked before a write; a status other than 0 refuses it with that HTTP status. Lost is asked after it was carried out, and
	// cuts the connection where it says so. Both may be nil.
	Refuse func(Write) int
	Lost   func(Write) bool
	// After is called after each write that was carried out, without the lock.
	After func(Write)
	// Alive lets the world step before each list of pods.
	Alive bool
	// Lag, where it is set, answers lists as they were so many revisions ago.
	Lag func() int64

	mu       sync.Mutex
	objects  map[key]*unstructured.Unstructured
	revision int64
	history  []map[key]*unstructured.Unstructured // by revision; shared objects
	writes   []Write
	managers map[schema.GroupVersionKind]*managedfields.FieldManager
	// uid and serial number objects and pods.
	uid, serial int
}

type key struct {
	group, resource, namespace, name string
}

// New serves the objects of manifests until the test ends; see Start.
func New(t testing.TB, manifests string) *Server {
	t.Helper()
	s, err := Start(manifests)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// Start serves the objects of manifests, as a user with kubectl would have made them.
func Start(manifests string) (*Server, error) {
	s := &Server{objects: map[key]*unstructured.Unstructured{}, managers: map[schema.GroupVersionKind]*managedfields.FieldManager{}}
	for _, doc := range strings.Split(manifests, "\n---") {
		doc = strings.TrimPrefix(strings.TrimSpace(doc), "---")
		if strings.TrimSpace(doc) == "" {
			continue
		}
		raw, err := yaml.YAMLToJSON([]byte(doc))
		if err != nil {
			return nil, fmt.Errorf("manifest: %w\n%s", err, doc)
		}
		o := &unstructured.Unstructured{}
		if err := o.UnmarshalJSON(raw); err != nil {
			return nil, fmt.Errorf("manifest: %w\n%s", err, doc)
		}
		if err := s.Put(o, "kubectl"); err != nil {
			return nil, err
		}
	}
	s.Server = httptest.NewServer(http.HandlerFunc(s.serve))
	return s, nil
}

// Cluster is how to reach it.
func (s *Server) Cluster() *live.Cluster {
	return &live.Cluster{Config: &rest.Config{Host: s.URL}, Name: "test", Namespace: "default"}
}

// Writes lists what has been written since the last call, records of migrations left out.
func (s *Server) Writes() []Write {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := slices.DeleteFunc(s.writes, func(w Write) bool { return w.Resource == "configmaps" })
	s.writes = nil
	return out
}

// kind finds a kind by what a path says, the version aside.
func kindBy(group, resource string) (snapshot.KindInfo, bool) {
	for _, k := range snapshot.ServedKinds() {
		if k.Group == group && k.Resource == resource {
			return k, true
		}
	}
	return snapshot.KindInfo{}, false
}

func keyOf(o *unstructured.Unstructured) (key, error) {
	gvk := o.GroupVersionKind()
	info, ok := snapshot.KindOf(gvk.GroupKind())
	if !ok {
		return key{}, fmt.Errorf("%s: not a kind that this server has", gvk)
	}
	return key{gvk.Group, info.Resource, o.GetNamespace(), o.GetName()}, nil
}

// Put writes an object as another manager would by an update, or makes it.
func (s *Server) Put(o *unstructured.Unstructured, manager string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	k, err := keyOf(o)
	if err != nil {
		return err
	}
	_, err = s.update(k, o.DeepCopy(), manager)
	return err
}

// Edit changes an object as another manager would; it is an error where there is none.
func (s *Server) Edit(group, resource, namespace, name, manager string, edit func(o map[string]any)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	k := key{group, resource, namespace, name}
	o := s.objects[k]
	if o == nil {
		return fmt.Errorf("%v: not there", k)
	}
	next := o.DeepCopy()
	edit(next.Object)
	_, err := s.update(k, next, manager)
	return err
}

// Get returns a copy of an object, nil where there is none.
func (s *Server) Get(group, resource, namespace, name string) *unstructured.Unstructured {
	s.mu.Lock()
	defer s.mu.Unlock()
	if o := s.objects[key{group, resource, namespace, name}]; o != nil {
		return o.DeepCopy()
	}
	return nil
}

// Remove deletes an object.
func (s *Server) Remove(group, resource, namespace, name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.remove(key{group, resource, namespace, name})
}

func (s *Server) remove(k key) {
	delete(s.objects, k)
	s.revision++
	s.remember()
}

// Objects gives every object but pods, ReplicaSets and records, as JSON without what the server writes, by resource and name.
func (s *Server) Objects() map[string]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := map[string]string{}
	for k, o := range s.objects {
		if k.resource == "pods" || k.resource == "replicasets" || o.GetLabels()[live.LabelRecord] != "" {
			continue
		}
		o = o.DeepCopy()
		for _, f := range []string{"uid", "resourceVersion", "creationTimestamp", "generation", "managedFields"} {
			unstructured.RemoveNestedField(o.Object, "metadata", f)
		}
		delete(o.Object, "status")
		if len(o.GetLabels()) == 0 { // absent, empty and null are the same
			unstructured.RemoveNestedField(o.Object, "metadata", "labels")
		}
		raw, _ := json.Marshal(o.Object)
		out[k.resource+"."+k.group+" "+k.namespace+"/"+k.name] = string(raw)
	}
	return out
}

// Snapshot reads the objects as a collection would, without the network.
func (s *Server) Snapshot() *snapshot.Snapshot {
	s.mu.Lock()
	defer s.mu.Unlock()
	var b strings.Builder
	for _, o := range s.objects {
		raw, _ := json.Marshal(o.Object)
		b.WriteString("---\n")
		b.Write(raw)
		b.WriteByte('\n')
	}
	return manifest.Load(manifest.Stream("server", strings.NewReader(b.String())))
}

func (s *Server) manager(gvk schema.GroupVersionKind) *managedfields.FieldManager {
	if s.managers[gvk] == nil {
		s.managers[gvk] = managedfieldstest.NewFakeFieldManager(managedfields.NewDeducedTypeConverter(), gvk)
	}
	return s.managers[gvk]
}

// update writes a whole object, or makes it, under the lock.
func (s *Server) update(k key, o *unstructured.Unstructured, manager string) (*unstructured.Unstructured, error) {
	old := s.objects[k]
	before := old
	if before == nil {
		before = &unstructured.Unstructured{Object: map[string]any{"apiVersion": o.GetAPIVersion(), "kind": o.GetKind()}}
	}
	next, err := s.manager(o.GroupVersionKind()).Update(before, o, manager)
	if err != nil {
		return nil, err
	}
	return s.store(k, old, next.(*unstructured.Unstructured)), nil
}

// store keeps an object under the next revision, unless nothing has changed.
func (s *Server) store(k key, old, o *unstructured.Unstructured) *unstructured.Unstructured {
	if old != nil {
		o.SetUID(old.GetUID())
		o.SetCreationTimestamp(old.GetCreationTimestamp())
		o.SetResourceVersion(old.GetResourceVersion())
		o.SetGeneration(old.GetGeneration())
		if same(old, o, "status") && same(old, o, "managedFields") && equalBut(old, o) {
			return old
		}
		if !same(old, o, "spec") {
			o.SetGeneration(old.GetGeneration() + 1)
		}
	} else {
		s.uid++
		o.SetUID(uidOf(s.uid))
		o.SetCreationTimestamp(metav1.Time{Time: epoch.Add(secondsOf(s.uid))})
		o.SetGeneration(1)
	}
	s.revision++
	o.SetResourceVersion(strconv.FormatInt(s.revision, 10))
	s.objects[k] = o
	s.remember()
	return o
}

// remember keeps the state of this revision, for readers that lag.
func (s *Server) remember() {
	if s.Lag == nil {
		return
	}
	state := make(map[key]*unstructured.Unstructured, len(s.objects))
	for k, o := range s.objects {
		state[k] = o
	}
	s.history = append(s.history, state)
}

func same(a, b *unstructured.Unstructured, field string) bool {
	x, y := a.Object[field], b.Object[field]
	if field == "managedFields" {
		x, y = a.GetManagedFields(), b.GetManagedFields()
	}
	return jsonOf(x) == jsonOf(y)
}

func equalBut(a, b *unstructured.Unstructured) bool { return jsonOf(a.Object) == jsonOf(b.Object) }

func jsonOf(v any) string {
	raw, _ := json.Marshal(v)
	return string(raw)
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	parts := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	switch {
	case r.URL.Path == "/api":
		answer(w, 200, metav1.APIVersions{TypeMeta: metav1.TypeMeta{Kind: "APIVersions"}, Versions: []string{"v1"}})
	case r.URL.Path == "/apis":
		answer(w, 200, groups())
	case parts[0] == "api" && len(parts) == 2:
		answer(w, 200, resources(schema.GroupVersion{Version: parts[1]}))
	case parts[0] == "apis" && len(parts) == 3:
		answer(w, 200, resources(schema.GroupVersion{Group: parts[1], Version: parts[2]}))
	case parts[0] == "api":
		s.object(w, r, schema.GroupVersion{Version: parts[1]}, parts[2:])
	default:
		s.object(w, r, schema.GroupVersion{Group: parts[1], Version: parts[2]}, parts[3:])
	}
}

// object answers for [namespaces NS] RESOURCE [NAME].
func (s *Server) object(w http.ResponseWriter, r *http.Request, gv schema.GroupVersion, path []string) {
	k := key{group: gv.Group}
	if len(path) > 2 {
		k.namespace, path = path[1], path[2:]
	}
	k.resource = path[0]
	if len(path) > 1 {
		k.name = path[1]
	}
	info, ok := kindBy(k.group, k.resource)
	if !ok {
		refuse(w, 404, metav1.StatusReasonNotFound, "no such resource", nil)
		return
	}
	if r.Method == http.MethodGet {
		if s.Alive && k.resource == "pods" && k.name == "" {
			s.Step(1)
		}
		s.read(w, r, k, info, gv)
		return
	}
	body, _ := io.ReadAll(r.Body)
	done := Write{Verb: strings.ToLower(r.Method), Resource: k.resource, Namespace: k.namespace, Name: k.name, Manager: r.URL.Query().Get("fieldManager")}
	if done.Name == "" {
		var o unstructured.Unstructured
		_ = o.UnmarshalJSON(body)
		done.Name, k.name = o.GetName(), o.GetName()
	}
	if s.Refuse != nil {
		if code := s.Refuse(done); code != 0 {
			refuse(w, code, reasonOf(code), "refused by the test", nil)
			return
		}
	}
	s.mu.Lock()
	code, out := s.write(r, k, info.WithVersion(gv.Version), body)
	wrote := code < 300 && !dry(r, body)
	if wrote {
		s.writes = append(s.writes, done)
	}
	s.mu.Unlock()
	if wrote && s.After != nil {
		s.After(done)
	}
	if wrote && s.Lost != nil && s.Lost(done) {
		panic(http.ErrAbortHandler)
	}
	if status, ok := out.(metav1.Status); ok {
		answer(w, code, status)
		return
	}
	answer(w, code, out)
}

func (s *Server) read(w http.ResponseWriter, r *http.Request, k key, info snapshot.KindInfo, gv schema.GroupVersion) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if k.name != "" {
		o := s.objects[k]
		if o == nil {
			refuse(w, 404, metav1.StatusReasonNotFound, k.resource+" \""+k.name+"\" not found", nil)
			return
		}
		answer(w, 200, in(o, gv))
		return
	}
	selector, err := labels.Parse(r.URL.Query().Get("labelSelector"))
	if err != nil {
		refuse(w, 400, metav1.StatusReasonBadRequest, err.Error(), nil)
		return
	}
	objects := s.objects
	if s.Lag != nil && r.URL.Query().Get("labelSelector") != live.LabelRecord { // records are read as they are
		if at := int64(len(s.history)) - 1 - s.Lag(); at >= 0 && len(s.history) > 0 {
			objects = s.history[at]
		}
	}
	items := []map[string]any{}
	for have, o := range objects {
		if have.group == k.group && have.resource == k.resource && (k.namespace == "" || have.namespace == k.namespace) && selector.Matches(labels.Set(o.GetLabels())) {
			items = append(items, in(o, gv).Object)
		}
	}
	slices.SortFunc(items, func(a, b map[string]any) int { return strings.Compare(nameIn(a), nameIn(b)) })
	answer(w, 200, map[string]any{"apiVersion": gv.String(), "kind": info.Kind.Kind + "List", "metadata": map[string]any{"resourceVersion": strconv.FormatInt(s.revision, 10)}, "items": items})
}

// in gives an object in a version of its group.
func in(o *unstructured.Unstructured, gv schema.GroupVersion) *unstructured.Unstructured {
	if o.GetAPIVersion() == gv.String() {
		return o
	}
	o = o.DeepCopy()
	o.SetAPIVersion(gv.String())
	return o
}

func nameIn(o map[string]any) string {
	u := unstructured.Unstructured{Object: o}
	return u.GetNamespace() + "/" + u.GetName()
}
