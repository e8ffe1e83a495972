package manifest

import (
	"slices"

	"github.com/sidestep-mesh/sidestep/internal/snapshot"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Item is an object on its way into a Builder, or the reason why it does not get there. Items can be made on
// several goroutines at once; a Builder takes them on one.
type Item struct{ outcome }

// AddTo puts what the Item holds into a Builder.
func (i Item) AddTo(b *snapshot.Builder) { i.addTo(b) }

// Lean makes Items of the typed objects of a live cluster's list. Pods of one template share what they have in common,
// as those of a file do. Its zero value is ready; it is for one goroutine.
type Lean struct {
	specs  recent[*corev1.PodSpec]
	maps   recent[map[string]string]
	owners recent[[]metav1.OwnerReference]
	buf    []byte
}

// Item makes an Item of a typed object of a live cluster, at once without what no verdict depends on, so
// that a large listing never stands in memory whole. It takes the object over.
func (l *Lean) Item(o snapshot.Object) Item {
	if cm, ok := o.(*corev1.ConfigMap); ok && !snapshot.KeepConfigMap(cm) {
		ignored := &snapshot.Ignored{APIVersion: "v1", Kind: "ConfigMap", Namespace: cm.Namespace, Name: cm.Name, Reason: snapshot.ConfigMapReason}
		*cm = corev1.ConfigMap{} // the list it lies in lives on
		return Item{outcome{ignored: ignored}}
	}
	if full, ok := o.(*corev1.Pod); ok {
		pod := snapshot.PodOf(full)
		*full = corev1.Pod{}
		l.share(pod)
		o = pod
	}
	snapshot.Strip(o)
	return Item{outcome{object: o}}
}

// share replaces what a pod has in common with one of those before. They are compared as the bytes that they are
// encoded to, which is the same for the same value.
func (l *Lean) share(p *snapshot.Pod) {
	p.Spec = sharedAs(&l.specs, l.encoded(p.Spec), p.Spec)
	meta := metav1.ObjectMeta{Labels: p.Labels}
	p.Labels = sharedAs(&l.maps, l.encoded(&meta), p.Labels)
	meta = metav1.ObjectMeta{Annotations: p.Annotations}
	p.Annotations = sharedAs(&l.maps, l.encoded(&meta), p.Annotations)
	meta = metav1.ObjectMeta{OwnerReferences: p.OwnerReferences}
	p.OwnerReferences = sharedAs(&l.owners, l.encoded(&meta), p.OwnerReferences)
}

func sharedAs[T any](seen *recent[T], text []byte, v T) T {
	if text == nil {
		return v
	}
	if had, ok := seen.find(text); ok {
		return had
	}
	seen.remember(text, v)
	return v
}

// encoded returns the protobuf form, valid until the next call; nil where there is none.
func (l *Lean) encoded(m interface {
	Size() int
	MarshalToSizedBuffer([]byte) (int, error)
}) []byte {
	size := m.Size()
	l.buf = slices.Grow(l.buf[:0], size)[:size]
	n, err := m.MarshalToSizedBuffer(l.buf)
	if err != nil || n != size {
		return nil
	}
	return l.buf
}

// DecodeList decodes the JSON of a list as an API server sends it. next is the token to ask for the rest of
// the list with, empty at its end.
func DecodeList(kind snapshot.KindInfo, text []byte) (items []Item, next string) {
	d := decoder{namespace: "default"}
	h := peek(text)
	_ = members(h.meta, func(key []byte, start, end int) {
		if string(key) == "continue" {
			next = unquote(h.meta[start:end])
		}
	})
	gv, err := schema.ParseGroupVersion(h.apiVersion)
	if err == nil && gv.Group == kind.Group {
		err = elements(h.items, func(start, end int) {
			item := h.items[start:end]
			ih := peek(item)
			ih.apiVersion, ih.kind = h.apiVersion, kind.Kind.Kind
			d.typed(snapshot.Source{}, item, ih, gv)
		})
	}
	if err != nil || gv.Group != kind.Group {
		d.fail(snapshot.Source{}, head{apiVersion: kind.Group + "/" + kind.Versions[0], kind: kind.Kind.Kind}, "the answer is no list of %s", kind.Resource)
		d.out[len(d.out)-1].problem.Namespace = ""
		next = ""
	}
	for _, o := range d.out {
		if o.object != nil {
			snapshot.Strip(o.object)
		}
		items = append(items, Item{o})
	}
	return items, next
}

// DecodeObject decodes the JSON of one object of a kind as an API server sends it.
func DecodeObject(kind snapshot.KindInfo, text []byte) Item {
	d := decoder{namespace: "default"}
	h := peek(text)
	gv, err := schema.ParseGroupVersion(h.apiVersion)
	if err == nil && gv.Group == kind.Group && h.kind == kind.Kind.Kind {
		d.typed(snapshot.Source{}, text, h, gv)
	} else {
		d.fail(snapshot.Source{}, head{apiVersion: kind.Group + "/" + kind.Versions[0], kind: kind.Kind.Kind, meta: h.meta}, "the answer is no %s", kind.Kind.Kind)
	}
	out := d.out[0]
	if out.object != nil {
		snapshot.Strip(out.object)
	}
	return Item{out}
}

// Object returns what the Item puts into a Builder; nil where it was left out or could not be read.
func (i Item) Object() snapshot.Object { return i.object }

// LeftOut reports whether the object is of those that a snapshot does not hold.
func (i Item) LeftOut() bool { return i.ignored != nil }

// Same reports whether two Items of one name tell a snapshot the same.
func (i Item) Same(j Item) bool {
	switch {
	case i.object != nil && j.object != nil:
		return snapshot.Same(i.object, j.object) && slices.Equal(i.unknown, j.unknown)
	case i.ignored != nil && j.ignored != nil:
		return *i.ignored == *j.ignored
	case i.problem != nil && j.problem != nil:
		return *i.problem == *j.problem
	}
	return false
}
