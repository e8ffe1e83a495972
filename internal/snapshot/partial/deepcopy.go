package partial

import (
	"encoding/json"

	"k8s.io/apimachinery/pkg/runtime"
)

// clone copies through JSON: these objects are few and small, and it cannot forget a field.
func clone[T any](in *T) *T {
	if in == nil {
		return nil
	}
	out := new(T)
	raw, err := json.Marshal(in)
	if err == nil {
		err = json.Unmarshal(raw, out)
	}
	if err != nil {
		panic("partial: a decoded object does not encode again: " + err.Error())
	}
	return out
}

// DeepCopyObject implements runtime.Object.
func (in *Rollout) DeepCopyObject() runtime.Object { return clone(in) }

// DeepCopyObject implements runtime.Object.
func (in *PodMaker) DeepCopyObject() runtime.Object { return clone(in) }

// DeepCopyObject implements runtime.Object.
func (in *FelixConfiguration) DeepCopyObject() runtime.Object { return clone(in) }

// DeepCopyObject implements runtime.Object.
func (in *Installation) DeepCopyObject() runtime.Object { return clone(in) }
