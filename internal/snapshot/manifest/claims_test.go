package manifest_test

import (
	"bytes"
	"testing"
	"testing/fstest"

	"github.com/sidestep-mesh/sidestep/internal/snapshot"
	"github.com/sidestep-mesh/sidestep/internal/snapshot/manifest"
	corev1 "k8s.io/api/core/v1"
)

const stateful = `
apiVersion: v1
kind: Pod
metadata: {namespace: shop, name: db-0}
spec:
  containers: [{name: db, image: db}]
  volumes:
  - {name: data, persistentVolumeClaim: {claimName: data-db-0, readOnly: true}}
  - {name: scratch, ephemeral: {volumeClaimTemplate: {spec: {storageClassName: fast}}}}
  - {name: tmp, emptyDir: {}}
  - {name: key, secret: {secretName: db}}
---
apiVersion: v1
kind: Pod
metadata: {namespace: shop, name: web-0}
spec:
  containers: [{name: web, image: web}]
  volumes: [{name: tmp, emptyDir: {}}]
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {namespace: shop, name: data-db-0, annotations: {pv.kubernetes.io/bind-completed: "yes"}}
spec: {volumeName: pvc-1, storageClassName: fast, accessModes: [ReadWriteOnce]}
status: {phase: Bound}
---
apiVersion: v1
kind: PersistentVolume
metadata: {name: pvc-1}
spec:
  csi: {driver: ebs.csi.aws.com, volumeHandle: vol-0123456789}
  claimRef: {namespace: shop, name: data-db-0}
  nodeAffinity: {required: {nodeSelectorTerms: [{matchExpressions: [{key: topology.kubernetes.io/zone, operator: In, values: [eu-1a]}]}]}}
`

// TestOnlyClaimsOfVolumesAreKept: enough to tell where a pod can run, and nothing of what the volume is.
func TestOnlyClaimsOfVolumesAreKept(t *testing.T) {
	s := manifest.Load(manifest.Path("mesh.yaml", fstest.MapFS{"mesh.yaml": {Data: []byte(stateful)}}, "mesh.yaml"))
	for _, stage := range []string{"read from YAML", "read from its archive"} {
		pods := snapshot.All[*snapshot.Pod](s)
		if len(pods) != 2 || len(pods[0].Claims) != 2 || pods[1].Claims != nil {
			t.Fatalf("%s: %+v", stage, pods)
		}
		claim, ephemeral := pods[0].Claims[0], pods[0].Claims[1]
		if *claim.PersistentVolumeClaim != (corev1.PersistentVolumeClaimVolumeSource{ClaimName: "data-db-0"}) ||
			ephemeral.Name != "scratch" || ephemeral.Ephemeral == nil || ephemeral.Ephemeral.VolumeClaimTemplate != nil {
			t.Errorf("%s: volumes %+v", stage, pods[0].Claims)
		}
		pvc, _ := snapshot.Get[*corev1.PersistentVolumeClaim](s, "shop", "data-db-0")
		pv, _ := snapshot.Get[*corev1.PersistentVolume](s, "", "pvc-1")
		if pvc == nil || pvc.Spec.VolumeName != "pvc-1" || pvc.Spec.AccessModes != nil || pvc.Annotations != nil || pvc.Status.Phase != "" {
			t.Errorf("%s: claim %+v", stage, pvc)
		}
		if pv == nil || pv.Spec.NodeAffinity == nil || pv.Spec.CSI != nil || pv.Spec.ClaimRef != nil {
			t.Errorf("%s: volume %+v", stage, pv)
		}
		var archive bytes.Buffer
		if err := manifest.WriteArchive(&archive, s); err != nil {
			t.Fatal(err)
		}
		s = manifest.Load(manifest.Stream("mesh.snapshot", &archive))
	}
}
