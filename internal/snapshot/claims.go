package snapshot

import corev1 "k8s.io/api/core/v1"

// OnlyClaims reduces volumes to the claims among them, which may tie a pod to a zone: the name of the claim, or
// that the volume is ephemeral (its claim is then called after pod and volume).
func OnlyClaims(volumes []corev1.Volume) []corev1.Volume {
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
