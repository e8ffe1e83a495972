package manifest

import (
	"bytes"
	"errors"
	"time"

	"github.com/sidestep-mesh/sidestep/internal/snapshot"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	kjson "sigs.k8s.io/json"
)

// podDecoder decodes the JSON of pods. What is the same text as in one of the pods before is the same value in
// memory, and what a Pod does not keep is not decoded.
type podDecoder struct {
	maps   recent[map[string]string]
	notes  recent[map[string]string]
	owners recent[[]metav1.OwnerReference]
	specs  recent[*corev1.PodSpec]
	words  recent[string]
	buf    []byte
}

func (d *podDecoder) decode(text []byte) (*snapshot.Pod, error) {
	pod := &snapshot.Pod{}
	if d.parts(pod, text) == nil {
		return pod, nil
	}
	// Whatever was wrong, decoding the whole says it with the whole path of the field.
	var full corev1.Pod
	if err := kjson.UnmarshalCaseSensitivePreserveInts(text, &full); err != nil {
		return nil, err
	}
	pod = snapshot.PodOf(&full)
	if pod.Name == "" {
		pod.GenerateName = full.GenerateName
	}
	return pod, nil
}

func (d *podDecoder) parts(pod *snapshot.Pod, text []byte) (err error) {
	walk := members(text, func(key []byte, start, end int) {
		if err != nil {
			return
		}
		switch part := text[start:end]; string(key) {
		case "metadata":
			err = d.metadata(&pod.ObjectMeta, part)
		case "spec":
			err = d.spec(pod, part)
		case "status":
			err = d.status(&pod.Status, part)
		}
	})
	if pod.Spec == nil && err == nil {
		err = d.spec(pod, []byte("{}"))
	}
	return errors.Join(err, walk)
}

func (d *podDecoder) metadata(meta *metav1.ObjectMeta, text []byte) (err error) {
	walk := members(text, func(key []byte, start, end int) {
		part := text[start:end]
		if err != nil {
			return
		}
		switch string(key) {
		case "name":
			meta.Name, err = stringOf(part)
		case "generateName":
			meta.GenerateName, err = stringOf(part)
		case "namespace":
			meta.Namespace, err = d.word(part)
		case "uid":
			var uid string
			uid, err = stringOf(part)
			meta.UID = types.UID(uid)
		case "creationTimestamp":
			meta.CreationTimestamp, err = timeOf(part)
		case "deletionTimestamp":
			var at metav1.Time
			if at, err = timeOf(part); !at.IsZero() {
				meta.DeletionTimestamp = &at
			}
		case "labels":
			meta.Labels, err = shared(&d.maps, part)
		case "annotations":
			meta.Annotations, err = d.annotations(part)
		case "ownerReferences":
			meta.OwnerReferences, err = shared(&d.owners, part)
		}
	})
	if meta.Name != "" {
		meta.GenerateName = ""
	}
	return errors.Join(err, walk)
}

// annotations returns those that are read. What is remembered is what was stripped.
func (d *podDecoder) annotations(text []byte) (map[string]string, error) {
	if v, ok := d.notes.find(text); ok {
		return v, nil
	}
	var v map[string]string
	if err := kjson.UnmarshalCaseSensitivePreserveInts(text, &v); err != nil {
		return nil, err
	}
	v = snapshot.StripAnnotations(v)
	d.notes.remember(text, v)
	return v, nil
}

// spec gathers the text that pods of one template have in common, and decodes it when it is new.
func (d *podDecoder) spec(pod *snapshot.Pod, text []byte) (err error) {
	d.buf = append(d.buf[:0], '{')
	walk := members(text, func(key []byte, start, end int) {
		part := text[start:end]
		switch {
		case err != nil:
		case string(key) == "nodeName":
			pod.NodeName, err = d.word(part)
		case string(key) == "containers", string(key) == "initContainers":
			d.key(key)
			err = d.containers(part)
		case string(key) == "volumes":
			pod.Claims, err = claimsIn(part)
		case string(key) != "hostname" && string(key) != "imagePullSecrets":
			d.key(key)
			d.buf = append(d.buf, part...)
		}
	})
	if err = errors.Join(err, walk); err != nil {
		return err
	}
	d.buf = append(d.buf, '}')
	spec, seen := d.specs.find(d.buf)
	if !seen {
		spec = &corev1.PodSpec{}
		if err := kjson.UnmarshalCaseSensitivePreserveInts(d.buf, spec); err != nil {
			return err
		}
		snapshot.StripPodSpec(spec)
		d.specs.remember(d.buf, spec)
	}
	pod.Spec = spec
	return nil
}

// claimsIn is snapshot.OnlyClaims of a pod's volumes as JSON. Nearly all pods have volumes and few have claims: those without are not decoded.
func claimsIn(text []byte) ([]corev1.Volume, error) {
	if !bytes.Contains(text, []byte(`"persistentVolumeClaim"`)) && !bytes.Contains(text, []byte(`"ephemeral"`)) {
		return nil, nil
	}
	var all []corev1.Volume
	if err := kjson.UnmarshalCaseSensitivePreserveInts(text, &all); err != nil {
		return nil, err
	}
	return snapshot.OnlyClaims(all), nil
}

// containers copies a list of containers without what stripPodSpec removes: mounts name volumes, and those of one pod
// have names of their own.
func (d *podDecoder) containers(text []byte) (err error) {
	if string(text) == "null" {
		d.buf = append(d.buf, text...)
		return nil
	}
	d.buf = append(d.buf, '[')
	walk := elements(text, func(start, end int) {
		container := text[start:end]
		if d.buf[len(d.buf)-1] != '[' {
			d.buf = append(d.buf, ',')
		}
		d.buf = append(d.buf, '{')
		err = errors.Join(err, members(container, func(key []byte, start, end int) {
			switch string(key) {
			case "volumeMounts", "volumeDevices", "terminationMessagePath", "terminationMessagePolicy", "imagePullPolicy":
			default:
				d.key(key)
				d.buf = append(d.buf, container[start:end]...)
			}
		}))
		d.buf = append(d.buf, '}')
	})
	d.buf = append(d.buf, ']')
	return errors.Join(err, walk)
}

// key begins a member of the object in buf. Keys are names of fields: one with a quote in it is none, and makes
// the object fail to decode.
func (d *podDecoder) key(key []byte) {
	if d.buf[len(d.buf)-1] != '{' {
		d.buf = append(d.buf, ',')
	}
	d.buf = append(append(append(d.buf, '"'), key...), '"', ':')
}

func (d *podDecoder) status(status *snapshot.PodStatus, text []byte) (err error) {
	walk := members(text, func(key []byte, start, end int) {
		part := text[start:end]
		if err != nil {
			return
		}
		switch string(key) {
		case "phase":
			var phase string
			phase, err = d.word(part)
			status.Phase = corev1.PodPhase(phase)
		case "podIP":
			status.PodIP, err = stringOf(part)
		case "podIPs":
			err = podIPs(status, part)
		case "conditions":
			err = d.conditions(status, part)
		}
	})
	return errors.Join(err, walk)
}

// podIPs keeps a list of more than one address.
func podIPs(status *snapshot.PodStatus, text []byte) error {
	if string(text) == "null" {
		return nil
	}
	n := 0
	if err := elements(text, func(int, int) { n++ }); err != nil || n == 0 {
		return err
	}
	if n == 1 && status.PodIP != "" {
		return nil
	}
	var all []corev1.PodIP
	if err := kjson.UnmarshalCaseSensitivePreserveInts(text, &all); err != nil {
		return err
	}
	if n > 1 {
		status.PodIPs = all
	}
	if status.PodIP == "" {
		status.PodIP = all[0].IP
	}
	return nil
}

// conditions keeps the condition Ready.
func (d *podDecoder) conditions(status *snapshot.PodStatus, text []byte) (err error) {
	if string(text) == "null" {
		return nil
	}
	walk := elements(text, func(start, end int) {
		condition := text[start:end]
		var kind, value, since []byte
		err = errors.Join(err, members(condition, func(key []byte, start, end int) {
			switch string(key) {
			case "type":
				kind = condition[start:end]
			case "status":
				value = condition[start:end]
			case "lastTransitionTime":
				since = condition[start:end]
			}
		}))
		if string(kind) != `"Ready"` || value == nil || err != nil {
			return
		}
		var ready string
		if ready, err = d.word(value); err != nil || ready == "" {
			return
		}
		status.Ready, status.ReadySince = corev1.ConditionStatus(ready), metav1.Time{}
		if since != nil {
			status.ReadySince, err = timeOf(since)
		}
	})
	return errors.Join(err, walk)
}

// word returns a string that many pods have.
func (d *podDecoder) word(text []byte) (string, error) {
	if s, ok := d.words.find(text); ok {
		return s, nil
	}
	s, err := stringOf(text)
	if err == nil {
		d.words.remember(text, s)
	}
	return s, err
}

// shared returns the value of a JSON text, the same one for the same text.
func shared[T any](seen *recent[T], text []byte) (T, error) {
	if v, ok := seen.find(text); ok {
		return v, nil
	}
	var v T
	if err := kjson.UnmarshalCaseSensitivePreserveInts(text, &v); err != nil {
		return v, err
	}
	seen.remember(text, v)
	return v, nil
}

// stringOf returns a JSON string; null is the empty one.
func stringOf(text []byte) (string, error) {
	if len(text) > 0 && text[0] == '"' {
		for _, c := range text {
			if c == '\\' || c < ' ' || c >= 0x80 {
				var s string
				err := kjson.UnmarshalCaseSensitivePreserveInts(text, &s)
				return s, err
			}
		}
		return string(text[1 : len(text)-1]), nil
	}
	if string(text) == "null" {
		return "", nil
	}
	return "", errJSON
}

// timeOf returns a time as the API's type decodes it.
func timeOf(text []byte) (metav1.Time, error) {
	if string(text) == "null" {
		return metav1.Time{}, nil
	}
	s, err := stringOf(text)
	if err != nil {
		return metav1.Time{}, err
	}
	t, err := time.Parse(time.RFC3339, s)
	return metav1.NewTime(t.Local()), err
}
