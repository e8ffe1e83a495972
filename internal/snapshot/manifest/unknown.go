package manifest

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// decodeProto decodes a protobuf message from JSON. Fields and enum values that the message does not have
// are appended to unknown, each with its path; only a wrong type is an error.
func decodeProto(m proto.Message, path string, text []byte, unknown []string) ([]string, error) {
	if string(text) == "null" {
		return unknown, nil
	}
	strict := protojson.Unmarshal(text, m)
	if strict == nil {
		return unknown, nil
	}
	proto.Reset(m)
	if err := (protojson.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(text, m); err != nil {
		return unknown, fmt.Errorf("%s: %w", path, err)
	}
	var raw any
	if err := json.Unmarshal(text, &raw); err != nil {
		return unknown, err
	}
	found := unknownIn(m.ProtoReflect().Descriptor(), path, raw, nil)
	if len(found) == 0 {
		return unknown, fmt.Errorf("%s: %w", path, strict)
	}
	return append(unknown, found...), nil
}

// unknownIn walks JSON beside the descriptor of the message it was decoded into.
func unknownIn(d protoreflect.MessageDescriptor, path string, raw any, out []string) []string {
	object, ok := raw.(map[string]any)
	if !ok || d.FullName().Parent() == "google.protobuf" {
		return out // a well-known type (Struct, Duration, wrappers) has its own JSON form
	}
	for _, key := range slices.Sorted(maps.Keys(object)) {
		at := path + "." + key
		f := d.Fields().ByJSONName(key)
		if f == nil {
			f = d.Fields().ByTextName(key)
		}
		switch {
		case f == nil:
			out = append(out, at)
		case f.IsMap():
			entries, _ := object[key].(map[string]any)
			for _, k := range slices.Sorted(maps.Keys(entries)) {
				out = unknownValue(f.MapValue(), at+"["+k+"]", entries[k], out)
			}
		case f.IsList():
			list, _ := object[key].([]any)
			for i, item := range list {
				out = unknownValue(f, fmt.Sprintf("%s[%d]", at, i), item, out)
			}
		default:
			out = unknownValue(f, at, object[key], out)
		}
	}
	return out
}

func unknownValue(f protoreflect.FieldDescriptor, at string, raw any, out []string) []string {
	switch f.Kind() {
	case protoreflect.MessageKind, protoreflect.GroupKind:
		return unknownIn(f.Message(), at, raw, out)
	case protoreflect.EnumKind:
		if name, ok := raw.(string); ok && f.Enum().Values().ByName(protoreflect.Name(name)) == nil {
			return append(out, at+"="+name)
		}
	}
	return out
}
