package snapshot

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	kjson "sigs.k8s.io/json"
)

// podDecoder decodes pods. They are most of a mesh, and pods of one workload are all but the same: what is the
// same text becomes one value in memory, which objects of an immutable snapshot can share, and what strip would
// remove is not decoded.
type podDecoder struct {
	labels     map[string]map[string]string
	owners     map[string][]metav1.OwnerReference
	containers map[string][]corev1.Container
	buf        []byte
}

func (d *podDecoder) decode(pod *corev1.Pod, text []byte) error {
	if d.labels == nil {
		d.labels, d.containers = map[string]map[string]string{}, map[string][]corev1.Container{}
		d.owners = map[string][]metav1.OwnerReference{}
	}
	if d.parts(pod, text) == nil {
		return nil
	}
	// Whatever was wrong, decoding the whole says it with the whole path of the field.
	*pod = corev1.Pod{}
	return kjson.UnmarshalCaseSensitivePreserveInts(text, pod)
}

func (d *podDecoder) parts(pod *corev1.Pod, text []byte) (err error) {
	walk := members(text, func(key string, start, end int) {
		if err != nil {
			return
		}
		switch part := text[start:end]; key {
		case "metadata":
			err = d.metadata(&pod.ObjectMeta, part)
		case "spec":
			err = d.spec(&pod.Spec, part)
		case "status":
			err = kjson.UnmarshalCaseSensitivePreserveInts(part, &pod.Status)
		}
	})
	if err == nil {
		err = walk
	}
	return err
}

func (d *podDecoder) metadata(meta *metav1.ObjectMeta, text []byte) (err error) {
	d.buf = append(d.buf[:0], '{')
	walk := members(text, func(key string, start, end int) {
		part := text[start:end]
		switch {
		case err != nil:
		case key == "labels":
			meta.Labels, err = shared(d.labels, part)
		case key == "annotations":
			meta.Annotations, err = shared(d.labels, part)
		case key == "ownerReferences":
			meta.OwnerReferences, err = shared(d.owners, part)
		case key != "managedFields":
			d.keep(key, part)
		}
	})
	if err == nil && walk == nil {
		err = kjson.UnmarshalCaseSensitivePreserveInts(append(d.buf, '}'), meta)
	}
	if err == nil {
		err = walk
	}
	return err
}

func (d *podDecoder) spec(spec *corev1.PodSpec, text []byte) (err error) {
	d.buf = append(d.buf[:0], '{')
	walk := members(text, func(key string, start, end int) {
		part := text[start:end]
		switch {
		case err != nil:
		case key == "containers":
			spec.Containers, err = shared(d.containers, part)
		case key == "initContainers":
			spec.InitContainers, err = shared(d.containers, part)
		case key != "volumes" && key != "ephemeralContainers" && key != "imagePullSecrets":
			d.keep(key, part)
		}
	})
	if err == nil && walk == nil {
		err = kjson.UnmarshalCaseSensitivePreserveInts(append(d.buf, '}'), spec)
	}
	if err == nil {
		err = walk
	}
	return err
}

// keep adds a member to the object in buf. Keys are names of fields: one with a quote in it is none, and makes
// the object fail to decode.
func (d *podDecoder) keep(key string, value []byte) {
	if len(d.buf) > 1 {
		d.buf = append(d.buf, ',')
	}
	d.buf = append(append(append(d.buf, '"'), key...), '"', ':')
	d.buf = append(d.buf, value...)
}

// shared returns the value of a JSON text, the same one for the same text.
func shared[T any](seen map[string]T, text []byte) (T, error) {
	if v, ok := seen[string(text)]; ok {
		return v, nil
	}
	var v T
	if err := kjson.UnmarshalCaseSensitivePreserveInts(text, &v); err != nil {
		return v, err
	}
	seen[string(text)] = v
	return v, nil
}
