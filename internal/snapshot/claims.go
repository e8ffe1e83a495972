package snapshot

import (
	"bytes"

	corev1 "k8s.io/api/core/v1"
	kjson "sigs.k8s.io/json"
)

// onlyClaims reduces volumes to the claims among them, which may tie a pod to a zone: the name of the claim, or
// that the volume is ephemeral (its claim is then called after pod and volume).
func onlyClaims(volumes []corev1.Volume) []corev1.Volume {
	var out []corev1.Volume
	for _, v := range volumes {
		switch {
		case v.PersistentVolumeClaim != nil:
			source := &corev1.PersistentVolumeClaimVolumeSource{ClaimName: v.PersistentVolumeClaim.ClaimName}
			out = append(out, corev1.Volume{Name: v.Name, VolumeSource: corev1.VolumeSource{PersistentVolumeClaim: source}})
		case v.Ephemeral != nil:
			out = append(out, corev1.Volume{Name: v.Name, VolumeSource: corev1.VolumeSource{Ephemeral: &corev1.EphemeralVolumeSource{}}})
		}
	}
	return out
}

// claimsIn is onlyClaims of a pod's volumes as JSON. Nearly all pods have volumes and few have claims: those without are not decoded.
func claimsIn(text []byte) ([]corev1.Volume, error) {
	if !bytes.Contains(text, []byte(`"persistentVolumeClaim"`)) && !bytes.Contains(text, []byte(`"ephemeral"`)) {
		return nil, nil
	}
	var all []corev1.Volume
	if err := kjson.UnmarshalCaseSensitivePreserveInts(text, &all); err != nil {
		return nil, err
	}
	return onlyClaims(all), nil
}

// stripVolume keeps where a volume can be used: its node affinity, and on old volumes the labels that say the zone.
func stripVolume(pv *corev1.PersistentVolume) {
	pv.Annotations, pv.Status = nil, corev1.PersistentVolumeStatus{}
	pv.Spec = corev1.PersistentVolumeSpec{NodeAffinity: pv.Spec.NodeAffinity}
}

// stripClaim keeps which volume a claim is bound to.
func stripClaim(pvc *corev1.PersistentVolumeClaim) {
	pvc.Annotations, pvc.Status = nil, corev1.PersistentVolumeClaimStatus{}
	pvc.Spec = corev1.PersistentVolumeClaimSpec{VolumeName: pvc.Spec.VolumeName}
}
