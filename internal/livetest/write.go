package livetest

import (
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/sidestep-mesh/sidestep/internal/snapshot"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
)

var epoch = time.Date(2026, 9, 1, 12, 0, 0, 0, time.UTC)

func secondsOf(n int) time.Duration { return time.Duration(n) * time.Second }

func uidOf(n int) types.UID { return types.UID("uid-" + strconv.Itoa(n)) }

// dry reports whether a request is only to be tried. A DELETE says so in its body.
func dry(r *http.Request, body []byte) bool {
	var o metav1.DeleteOptions
	return r.URL.Query().Get("dryRun") != "" || r.Method == http.MethodDelete && json.Unmarshal(body, &o) == nil && len(o.DryRun) > 0
}

// write carries a request out and gives its answer.
func (s *Server) write(r *http.Request, k key, gvk schema.GroupVersionKind, body []byte) (int, any) {
	q := r.URL.Query()
	if dry(r, body) {
		saved, revision, uid := s.objects, s.revision, s.uid
		s.objects = map[key]*unstructured.Unstructured{}
		for k, o := range saved {
			s.objects[k] = o
		}
		defer func() { s.objects, s.revision, s.uid = saved, revision, uid }()
	}
	old := s.objects[k]
	if r.Method == http.MethodDelete {
		return s.delete(k, old, body)
	}
	o := &unstructured.Unstructured{}
	if err := o.UnmarshalJSON(body); err != nil {
		return status(400, metav1.StatusReasonBadRequest, err.Error(), nil)
	}
	o.SetGroupVersionKind(gvk)
	o.SetNamespace(k.namespace)
	if v := o.GetResourceVersion(); v != "" && (old == nil || old.GetResourceVersion() != v) {
		return status(409, metav1.StatusReasonConflict, "the object has been modified; please apply your changes to the latest version and try again", nil)
	}
	switch r.Method {
	case http.MethodPost:
		if old != nil {
			return status(409, metav1.StatusReasonAlreadyExists, k.resource+" \""+k.name+"\" already exists", nil)
		}
	case http.MethodPut:
		if old == nil {
			return status(404, metav1.StatusReasonNotFound, k.resource+" \""+k.name+"\" not found", nil)
		}
	case http.MethodPatch:
		if r.Header.Get("Content-Type") != string(types.ApplyPatchType) {
			return status(415, metav1.StatusReasonUnsupportedMediaType, "only server-side apply", nil)
		}
		return s.apply(k, old, o, q.Get("fieldManager"), q.Get("force") == "true")
	}
	if old != nil {
		if immutable, _, _ := unstructured.NestedBool(old.Object, "immutable"); immutable {
			return status(422, metav1.StatusReasonInvalid, "field is immutable when `immutable` is set", nil)
		}
	}
	out, err := s.update(k, o, q.Get("fieldManager"))
	if err != nil {
		return status(500, metav1.StatusReasonInternalError, err.Error(), nil)
	}
	return 200, out
}

func (s *Server) apply(k key, old, o *unstructured.Unstructured, manager string, force bool) (int, any) {
	before := old
	if before == nil {
		before = &unstructured.Unstructured{Object: map[string]any{"apiVersion": o.GetAPIVersion(), "kind": o.GetKind()}}
		before.SetName(k.name)
		before.SetNamespace(k.namespace)
	} else {
		before = before.DeepCopy()
		before.SetAPIVersion(o.GetAPIVersion())
	}
	next, err := s.manager(o.GroupVersionKind()).Apply(before, o, manager, force)
	var conflict apierrors.APIStatus
	switch {
	case errors.As(err, &conflict):
		st := conflict.Status()
		st.TypeMeta = metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}
		return int(st.Code), st
	case err != nil:
		return status(400, metav1.StatusReasonBadRequest, err.Error(), nil)
	case next == nil:
		return 200, old // nothing has changed
	}
	return 200, s.store(k, old, next.(*unstructured.Unstructured))
}

func (s *Server) delete(k key, old *unstructured.Unstructured, body []byte) (int, any) {
	if old == nil {
		return status(404, metav1.StatusReasonNotFound, k.resource+" \""+k.name+"\" not found", nil)
	}
	var o metav1.DeleteOptions
	_ = json.Unmarshal(body, &o)
	if p := o.Preconditions; p != nil && (p.UID != nil && *p.UID != old.GetUID() || p.ResourceVersion != nil && *p.ResourceVersion != old.GetResourceVersion()) {
		return status(409, metav1.StatusReasonConflict, "the precondition does not hold", nil)
	}
	s.remove(k)
	return 200, metav1.Status{TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}, Status: "Success"}
}

func reasonOf(code int) metav1.StatusReason {
	switch code {
	case 403:
		return metav1.StatusReasonForbidden
	case 409:
		return metav1.StatusReasonConflict
	case 422:
		return metav1.StatusReasonInvalid
	}
	return metav1.StatusReasonInternalError
}

func status(code int, reason metav1.StatusReason, message string, details *metav1.StatusDetails) (int, any) {
	return code, metav1.Status{TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}, Status: "Failure", Code: int32(code), Reason: reason, Message: message, Details: details}
}

func refuse(w http.ResponseWriter, code int, reason metav1.StatusReason, message string, details *metav1.StatusDetails) {
	_, st := status(code, reason, message, details)
	answer(w, code, st)
}

func answer(w http.ResponseWriter, code int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(v)
}

func groups() metav1.APIGroupList {
	list := metav1.APIGroupList{TypeMeta: metav1.TypeMeta{Kind: "APIGroupList", APIVersion: "v1"}}
	versions := map[string][]string{}
	var names []string
	for _, k := range snapshot.ServedKinds() {
		if k.Group == "" {
			continue
		}
		if versions[k.Group] == nil {
			names = append(names, k.Group)
		}
		for _, v := range k.Versions {
			if !slices.Contains(versions[k.Group], v) {
				versions[k.Group] = append(versions[k.Group], v)
			}
		}
	}
	for _, name := range names {
		g := metav1.APIGroup{Name: name}
		for _, v := range versions[name] {
			g.Versions = append(g.Versions, metav1.GroupVersionForDiscovery{GroupVersion: name + "/" + v, Version: v})
		}
		list.Groups = append(list.Groups, g)
	}
	return list
}

func resources(gv schema.GroupVersion) metav1.APIResourceList {
	list := metav1.APIResourceList{TypeMeta: metav1.TypeMeta{Kind: "APIResourceList", APIVersion: "v1"}, GroupVersion: gv.String()}
	for _, k := range snapshot.ServedKinds() {
		if k.Group == gv.Group && slices.Contains(k.Versions, gv.Version) {
			list.APIResources = append(list.APIResources, metav1.APIResource{Name: k.Resource, Kind: k.Kind.Kind, Namespaced: k.Namespaced})
		}
	}
	return list
}
