package manifest_test

import (
	"fmt"
	"reflect"
	"slices"

	"github.com/sidestep-mesh/sidestep/internal/snapshot"
	"google.golang.org/protobuf/proto"
	"k8s.io/apimachinery/pkg/api/equality"
)

// difference says how two snapshots differ, or nothing.
func difference(a, b *snapshot.Snapshot) string {
	as, bs := slices.Collect(a.Objects()), slices.Collect(b.Objects())
	if len(as) != len(bs) {
		return fmt.Sprintf("%d objects, then %d: %v, then %v", len(as), len(bs), loaded(a), loaded(b))
	}
	for i, o := range as {
		if !equalObjects(o, bs[i]) {
			return fmt.Sprintf("objects differ:\n%+v\n%+v", o, bs[i])
		}
		if a.Source(o) != b.Source(bs[i]) || !slices.Equal(a.UnknownFields(o), b.UnknownFields(bs[i])) {
			return fmt.Sprintf("source or unknown fields of %v differ: %v, %v", o, a.Source(o), b.Source(bs[i]))
		}
	}
	if !slices.Equal(a.Ignored(), b.Ignored()) {
		return fmt.Sprintf("ignored differ:\n%v\n%v", a.Ignored(), b.Ignored())
	}
	if !slices.Equal(a.Problems(), b.Problems()) {
		return fmt.Sprintf("problems differ:\n%v\n%v", a.Problems(), b.Problems())
	}
	for _, k := range snapshot.Kinds() {
		if a.Knowledge(k.Kind) != b.Knowledge(k.Kind) {
			return fmt.Sprintf("knowledge of %v differs: %v, %v", k.Kind, a.Knowledge(k.Kind), b.Knowledge(k.Kind))
		}
	}
	return ""
}

// equalObjects compares as the API does: nil and empty are one, protobuf messages compare by content.
func equalObjects(a, b snapshot.Object) bool {
	va, vb := reflect.ValueOf(a).Elem(), reflect.ValueOf(b).Elem()
	if va.Type() != vb.Type() {
		return false
	}
	for i := range va.NumField() {
		fa, fb := va.Field(i).Addr().Interface(), vb.Field(i).Addr().Interface()
		if ma, ok := fa.(proto.Message); ok {
			if !proto.Equal(ma, fb.(proto.Message)) {
				return false
			}
		} else if !equality.Semantic.DeepEqual(fa, fb) {
			return false
		}
	}
	return true
}
