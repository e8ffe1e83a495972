package manifest_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/sidestep-mesh/sidestep/internal/audit"
	"github.com/sidestep-mesh/sidestep/internal/demo"
	"github.com/sidestep-mesh/sidestep/internal/mesh"
	"github.com/sidestep-mesh/sidestep/internal/snapshot"
	"github.com/sidestep-mesh/sidestep/internal/snapshot/manifest"
	"github.com/sidestep-mesh/sidestep/internal/snapshot/redact"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"pgregory.net/rapid"
)

// replica is a pod as a cluster prints it: what differs from its siblings is all that a ReplicaSet lets differ.
func replica(name, image string) string {
	return fmt.Sprintf(`apiVersion: v1
kind: Pod
metadata:
  name: %[1]s
  namespace: shop
  uid: 0e4f1a2b-%[1]s
  resourceVersion: "%[3]d"
  labels: {app: cart, pod-template-hash: 6c9f}
  annotations: {sidecar.istio.io/status: "{}"}
  ownerReferences: [{apiVersion: apps/v1, kind: ReplicaSet, name: cart-6c9f, uid: u, controller: true}]
spec:
  nodeName: node-%[1]s
  hostname: %[1]s
  containers:
  - name: app
    image: %[2]s
    env: [{name: PASSWORD, value: secret}]
    volumeMounts: [{name: kube-api-access-%[1]s, mountPath: /var/run/secrets}]
  volumes: [{name: kube-api-access-%[1]s, emptyDir: {}}]
status:
  phase: Running
  podIP: 10.0.0.%[3]d
  conditions: [{type: Ready, status: "True", lastTransitionTime: "2026-01-02T03:04:0%[3]dZ"}]
`, name, image, len(name))
}

func podsOf(t *testing.T, s *snapshot.Snapshot) []*snapshot.Pod {
	t.Helper()
	for _, p := range s.Problems() {
		t.Fatal(p)
	}
	return snapshot.All[*snapshot.Pod](s)
}

func sharesTemplate(a, b *snapshot.Pod) bool {
	same := func(x, y any) bool { return reflect.ValueOf(x).Pointer() == reflect.ValueOf(y).Pointer() }
	return a.Spec == b.Spec && same(a.Labels, b.Labels) && same(a.Annotations, b.Annotations) && same(a.OwnerReferences, b.OwnerReferences)
}

func TestPodsOfOneTemplateShareIt(t *testing.T) {
	text := strings.Join([]string{replica("a", "cart:1"), replica("bb", "cart:1"), replica("ccc", "cart:2")}, "---\n")
	var lean manifest.Lean
	collected := snapshot.NewBuilder()
	for _, p := range podsOf(t, manifest.Load(stream(text))) {
		live := p.Core().DeepCopy()
		live.Spec.Volumes = []corev1.Volume{{Name: "kube-api-access-" + p.Name}}
		live.Spec.Containers[0].VolumeMounts = []corev1.VolumeMount{{Name: "kube-api-access-" + p.Name}}
		live.Spec.Hostname = p.Name
		lean.Item(live).AddTo(collected)
	}
	for from, s := range map[string]*snapshot.Snapshot{"a file": manifest.Load(stream(text)), "a cluster": collected.Build()} {
		pods := podsOf(t, s)
		if len(pods) != 3 || !sharesTemplate(pods[0], pods[1]) {
			t.Errorf("from %s: two pods of one template share no memory", from)
		}
		if pods[0].Spec == pods[2].Spec || pods[2].Spec.Containers[0].Image != "cart:2" {
			t.Errorf("from %s: a pod of another template has a spec not its own: %+v", from, pods[2].Spec)
		}
		for _, p := range pods {
			want := fmt.Sprintf("10.0.0.%d", len(p.Name))
			if p.NodeName != "node-"+p.Name || p.Status.PodIP != want || p.Status.Ready != corev1.ConditionTrue || p.Status.ReadySince.UTC().Second() != len(p.Name) {
				t.Errorf("from %s: %s lost what is its own: %+v", from, p.Name, p)
			}
		}
		if p := pods[0]; p.Spec.Containers[0].Env[0].Value != "" || p.Spec.Volumes != nil || p.Spec.Containers[0].VolumeMounts != nil || p.Spec.NodeName != "" || p.Spec.Hostname != "" {
			t.Errorf("from %s: not stripped: %+v", from, p.Spec)
		}
	}
}

// Sharing is safe as long as nobody writes through it: a whole audit and a redaction leave every byte as it was.
func TestNothingChangesASnapshot(t *testing.T) {
	var inputs []manifest.Input
	for _, m := range demo.Manifests() {
		inputs = append(inputs, manifest.Stream(m.Path, bytes.NewReader(m.Text)))
	}
	s := manifest.Load(inputs...)
	pods, shared := podsOf(t, s), 0
	for i := range pods[1:] {
		if sharesTemplate(pods[i], pods[i+1]) {
			shared++
		}
	}
	if shared < len(pods)/2 {
		t.Errorf("of %d pods only %d share with the one before", len(pods), shared)
	}
	before := archiveOf(t, s)
	audit.Run(mesh.Build(s, mesh.Assume{}), audit.Options{})
	if !bytes.Equal(before, archiveOf(t, s)) {
		t.Error("an audit changed the snapshot")
	}
	redact.Redact(s, []byte("key"))
	if !bytes.Equal(before, archiveOf(t, s)) {
		t.Error("redaction changed the snapshot that it copies")
	}
	for _, p := range pods {
		c := p.Core()
		c.Labels, c.Spec.NodeName, c.Spec.Containers = nil, "", nil
	}
	if !bytes.Equal(before, archiveOf(t, s)) {
		t.Error("replacing parts of the API's type changed the snapshot")
	}
}

// A pod means the same read from a file, taken from a program or a cluster, and read back from an archive.
func TestAPodIsTheSameHoweverItComes(t *testing.T) {
	word := rapid.SampledFrom([]string{"", "a", "b-c", "10.0.0.1", "é\"\\", "true"})
	rapid.Check(t, func(t *rapid.T) {
		draw := func(what string) string { return word.Draw(t, what) }
		at := metav1.Unix(rapid.Int64Range(0, 2_000_000_000).Draw(t, "time"), 0)
		full := &corev1.Pod{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"}, ObjectMeta: metav1.ObjectMeta{
			Name: "p", Namespace: "n", CreationTimestamp: at, Labels: map[string]string{"l": draw("label")},
			Annotations:  map[string]string{"a": draw("annotation"), corev1.LastAppliedConfigAnnotation: "{}"},
			GenerateName: draw("generated"), ResourceVersion: draw("version"), Finalizers: []string{"f"},
		}}
		if rapid.Bool().Draw(t, "going") {
			full.DeletionTimestamp = &at
		}
		full.Spec = corev1.PodSpec{NodeName: draw("node"), Hostname: draw("host"), ServiceAccountName: draw("account"), HostNetwork: rapid.Bool().Draw(t, "network")}
		for range rapid.IntRange(0, 3).Draw(t, "containers") {
			full.Spec.Containers = append(full.Spec.Containers, corev1.Container{
				Name: rapid.SampledFrom([]string{"app", "istio-proxy"}).Draw(t, "container"), Image: draw("image"), Args: []string{draw("argument")},
				Env: []corev1.EnvVar{{Name: "E", Value: draw("value")}}, VolumeMounts: []corev1.VolumeMount{{Name: draw("mount")}}, ImagePullPolicy: "Always",
			})
		}
		full.Status = corev1.PodStatus{Phase: corev1.PodPhase(draw("phase")), PodIP: draw("IP"), Message: draw("message")}
		for range rapid.IntRange(0, 3).Draw(t, "IPs") {
			full.Status.PodIPs = append(full.Status.PodIPs, corev1.PodIP{IP: draw("one IP")})
		}
		for range rapid.IntRange(0, 3).Draw(t, "conditions") {
			full.Status.Conditions = append(full.Status.Conditions, corev1.PodCondition{
				Type:   rapid.SampledFrom([]corev1.PodConditionType{corev1.PodReady, corev1.PodScheduled}).Draw(t, "condition"),
				Status: corev1.ConditionStatus(draw("status")), LastTransitionTime: at, Message: draw("why")})
		}
		text, err := json.Marshal(full)
		if err != nil {
			t.Fatal(err)
		}
		fromFile := manifest.Load(stream(string(text)))
		built, collected := snapshot.NewBuilder(), snapshot.NewBuilder()
		if err := built.Add(full.DeepCopy(), snapshot.Source{File: "in", Line: 1}); err != nil {
			t.Fatal(err)
		}
		var lean manifest.Lean
		lean.Item(full.DeepCopy()).AddTo(collected)
		want := snapshot.All[*snapshot.Pod](fromFile)
		if len(want) != 1 {
			t.Fatal(fromFile.Problems())
		}
		for from, s := range map[string]*snapshot.Snapshot{"a program": built.Build(), "a cluster": collected.Build(),
			"an archive": manifest.Load(manifest.Stream("in", bytes.NewReader(archiveOf(t, fromFile))))} {
			if got := snapshot.All[*snapshot.Pod](s); len(got) != 1 || !equalObjects(want[0], got[0]) {
				t.Fatalf("from a file:\n%+v\n%+v\nfrom %s:\n%+v\n%+v\n%v", want[0], want[0].Spec, from, got[0], got[0].Spec, s.Problems())
			}
		}
		if !equalObjects(want[0], want[0].DeepCopyObject().(*snapshot.Pod)) {
			t.Fatal("a copy differs")
		}
	})
}

func TestToAskForATypeThatNoObjectHasIsAMistake(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("an empty list would look like a mesh without pods")
		}
	}()
	snapshot.All[*corev1.Pod](manifest.Load(stream(replica("a", "b"))))
}
