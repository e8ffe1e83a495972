package snapshot

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Item is an object on its way into a Builder, or the reason why it does not get there. Items can be made on
// several goroutines at once; a Builder takes them on one.
type Item struct{ outcome }

// AddItem puts in what an Item holds.
func (b *Builder) AddItem(i Item) { i.addTo(b) }

// LeanItem makes an Item of a typed object of a live cluster, at once without what no verdict depends on, so
// that a large listing never stands in memory whole. It takes the object over.
func LeanItem(o Object) Item {
	if cm, ok := o.(*corev1.ConfigMap); ok && !keepConfigMap(cm) {
		ignored := &Ignored{APIVersion: "v1", Kind: "ConfigMap", Namespace: cm.Namespace, Name: cm.Name, Reason: configMapReason}
		*cm = corev1.ConfigMap{} // the list it lies in lives on
		return Item{outcome{ignored: ignored}}
	}
	if full, ok := o.(*corev1.Pod); ok {
		pod := podOf(full)
		*full = corev1.Pod{}
		o = pod
	}
	strip(o)
	return Item{outcome{object: o}}
}

// DecodeList decodes the JSON of a list as an API server sends it. next is the token to ask for the rest of
// the list with, empty at its end.
func DecodeList(kind KindInfo, text []byte) (items []Item, next string) {
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
			d.typed(Source{}, item, ih, gv)
		})
	}
	if err != nil || gv.Group != kind.Group {
		d.fail(Source{}, head{apiVersion: kind.Group + "/" + kind.Versions[0], kind: kind.Kind.Kind}, "the answer is no list of %s", kind.Resource)
		d.out[len(d.out)-1].problem.Namespace = ""
		next = ""
	}
	for _, o := range d.out {
		if o.object != nil {
			strip(o.object)
		}
		items = append(items, Item{o})
	}
	return items, next
}
