package packing

import (
	"strings"

	"github.com/sidestep-mesh/sidestep/internal/roi/terms"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/component-helpers/scheduling/corev1/nodeaffinity"
)

// volumes tells where the volumes of pods can be used.
type volumes struct {
	claims map[string]*corev1.PersistentVolumeClaim // by namespace/name
	byName map[string]*corev1.PersistentVolume
}

func newVolumes(c terms.Cluster) volumes {
	v := volumes{map[string]*corev1.PersistentVolumeClaim{}, map[string]*corev1.PersistentVolume{}}
	for _, pvc := range c.Claims {
		v.claims[pvc.Namespace+"/"+pvc.Name] = pvc
	}
	for _, pv := range c.Volumes {
		v.byName[pv.Name] = pv
	}
	return v
}

// zonesOf are the zones where all volumes of a pod can be used. A claim that waits for its first consumer restricts nothing; a volume of one node
// (a local disk) can be used on no new node at all. Where a claim or its volume was not read, known is false, and the pod
// stays in the zone it runs in: most volumes live in one.
func (v volumes) zonesOf(pod *corev1.Pod, p *packer, here zones) (in zones, known bool) {
	in, known = ^zones(0), true
	for _, vol := range pod.Spec.Volumes {
		var name string
		switch {
		case vol.PersistentVolumeClaim != nil:
			name = vol.PersistentVolumeClaim.ClaimName
		case vol.Ephemeral != nil: // the controller names the claim it makes after pod and volume
			name = pod.Name + "-" + vol.Name
		default:
			continue
		}
		claim := v.claims[pod.Namespace+"/"+name]
		if claim != nil && claim.Spec.VolumeName == "" {
			continue
		}
		var pv *corev1.PersistentVolume
		if claim != nil {
			pv = v.byName[claim.Spec.VolumeName]
		}
		z, ok := p.usableIn(pv)
		if !ok {
			z, known = here, false
		}
		in &= z
	}
	return in, known
}

// zoneLabels say the zones of a volume that was made before volumes had node affinity; kube-scheduler's VolumeZone plugin reads them still.
// A volume in two zones has both, joined by two underscores.
var zoneLabels = []string{corev1.LabelTopologyZone, corev1.LabelFailureDomainBetaZone}

// usableIn are the zones in which a new node of some group can use the volume; ok is false when that cannot be told.
func (p *packer) usableIn(pv *corev1.PersistentVolume) (in zones, ok bool) {
	if pv == nil {
		return 0, false
	}
	in = ^zones(0)
	for _, l := range zoneLabels {
		if v := pv.Labels[l]; v != "" {
			in &= p.maskOf(strings.Split(v, "__"))
		}
	}
	if pv.Spec.NodeAffinity == nil || pv.Spec.NodeAffinity.Required == nil {
		return in, true
	}
	selector, err := nodeaffinity.NewNodeSelector(pv.Spec.NodeAffinity.Required)
	if err != nil {
		return 0, false
	}
	var match zones
	for i := range p.groups {
		for _, zn := range p.groups[i].Zones {
			if selector.Match(p.groups[i].template(zn)) {
				match |= p.zoneBit[zn]
			}
		}
	}
	return in & match, true
}
