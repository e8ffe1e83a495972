package mesh

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"github.com/sidestep-mesh/sidestep/internal/snapshot"
	"github.com/sidestep-mesh/sidestep/internal/snapshot/partial"
	networkingv1 "istio.io/client-go/pkg/apis/networking/v1"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Workload kinds, as Ref.Kind spells them.
const (
	kDeployment    = "Deployment"
	kStatefulSet   = "StatefulSet"
	kDaemonSet     = "DaemonSet"
	kReplicaSet    = "ReplicaSet"
	kJob           = "Job"
	kCronJob       = "CronJob"
	kRollout       = "Rollout"
	kReplication   = "ReplicationController"
	kPod           = "Pod"
	kNode          = "Node"
	kWorkloadEntry = "WorkloadEntry"
	kWorkloadGroup = "WorkloadGroup"
)

// gatherWorkloads lists every workload and hands each live pod to the one that made it. Owners are
// followed up to the top (ReplicaSet to Deployment or Rollout, Job to CronJob); an owner that the
// snapshot does not hold becomes a workload of its own, so that no pod is lost.
func (b *builder) gatherWorkloads() {
	b.addControllers()
	b.addRollouts()
	b.addOtherMakers()
	b.addJobs()
	b.addReplicaSets()
	b.addPods()
	b.addVirtualMachines()
	slices.SortFunc(b.mesh.Workloads, func(x, y *Workload) int { return x.Ref.Compare(y.Ref) })
}

// add registers a workload with its template. The name is that of o, or of an owner that the snapshot lacks.
func (b *builder) add(kind, name string, o snapshot.Object, t *corev1.PodTemplateSpec, replicas int) *Workload {
	w := &Workload{
		Ref: Ref{Kind: kind, Namespace: o.GetNamespace(), Name: name}, Object: o, Template: t, Replicas: replicas,
		Labels: t.Labels, Annotations: t.Annotations,
		ServiceAccount: cmp.Or(t.Spec.ServiceAccountName, t.Spec.DeprecatedServiceAccount, "default"),
		HostNetwork:    t.Spec.HostNetwork, Waypoint: unbound,
	}
	w.Role = roleOf(o.GetLabels(), t)
	b.mesh.Workloads = append(b.mesh.Workloads, w)
	b.mesh.workloads[w.Ref] = w
	return w
}

func (b *builder) addControllers() {
	borrowed := map[string]bool{} // Deployments whose template a Rollout borrows
	for _, r := range snapshot.All[*partial.Rollout](b.snap) {
		if ref := r.Spec.WorkloadRef; ref != nil {
			borrowed[r.Namespace+"/"+ref.Name] = true
		}
	}
	for _, d := range snapshot.All[*appsv1.Deployment](b.snap) {
		replicas := replicasOr1(d.Spec.Replicas)
		if replicas == 0 && borrowed[d.Namespace+"/"+d.Name] {
			continue // scaled to nothing in favour of the Rollout
		}
		b.add(kDeployment, d.Name, d, &d.Spec.Template, replicas)
	}
	for _, s := range snapshot.All[*appsv1.StatefulSet](b.snap) {
		b.add(kStatefulSet, s.Name, s, &s.Spec.Template, replicasOr1(s.Spec.Replicas))
	}
	for _, d := range snapshot.All[*appsv1.DaemonSet](b.snap) {
		n := int(d.Status.DesiredNumberScheduled)
		if n == 0 && d.Status.ObservedGeneration == 0 {
			n = 1 // manifests: the number of nodes is not known
		}
		b.add(kDaemonSet, d.Name, d, &d.Spec.Template, n)
	}
}

func (b *builder) addRollouts() {
	for _, r := range snapshot.All[*partial.Rollout](b.snap) {
		t := &r.Spec.Template
		if ref := r.Spec.WorkloadRef; ref != nil {
			if d, ok := snapshot.Get[*appsv1.Deployment](b.snap, r.Namespace, ref.Name); ok {
				t = &d.Spec.Template
			}
		}
		b.add(kRollout, r.Name, r, t, replicasOr1(r.Spec.Replicas))
	}
}

// addOtherMakers adds what has its template where a Deployment has it, whatever its kind.
func (b *builder) addOtherMakers() {
	for _, m := range snapshot.All[*partial.PodMaker](b.snap) {
		b.add(m.Of.Kind, m.Of.Name, m, &m.Spec.Template, replicasOr1(m.Spec.Replicas))
	}
	for _, rc := range snapshot.All[*corev1.ReplicationController](b.snap) {
		if rc.Spec.Template == nil {
			continue // the API server refuses it
		}
		self := Ref{Kind: kReplication, Namespace: rc.Namespace, Name: rc.Name}
		if owner := metav1.GetControllerOf(rc); owner != nil { // an OpenShift DeploymentConfig has one for each version
			up := Ref{Kind: owner.Kind, Namespace: rc.Namespace, Name: owner.Name}
			b.owner[self] = up
			if b.mesh.workloads[up] == nil && replicasOr1(rc.Spec.Replicas) > 0 {
				b.add(up.Kind, owner.Name, rc, rc.Spec.Template, replicasOr1(rc.Spec.Replicas))
			}
			continue
		}
		b.add(kReplication, rc.Name, rc, rc.Spec.Template, replicasOr1(rc.Spec.Replicas))
	}
}

func (b *builder) addJobs() {
	for _, c := range snapshot.All[*batchv1.CronJob](b.snap) {
		b.add(kCronJob, c.Name, c, &c.Spec.JobTemplate.Spec.Template, replicasOr1(c.Spec.JobTemplate.Spec.Parallelism))
	}
	for _, j := range snapshot.All[*batchv1.Job](b.snap) {
		self := Ref{Kind: kJob, Namespace: j.Namespace, Name: j.Name}
		if owner := metav1.GetControllerOf(j); owner != nil && owner.Kind == kCronJob {
			up := Ref{Kind: kCronJob, Namespace: j.Namespace, Name: owner.Name}
			if b.mesh.workloads[up] != nil {
				b.owner[self] = up
				continue
			}
		}
		replicas := replicasOr1(j.Spec.Parallelism)
		if j.Status.CompletionTime != nil {
			replicas = 0
		}
		b.add(kJob, j.Name, j, &j.Spec.Template, replicas)
	}
}

func (b *builder) addReplicaSets() {
	for _, rs := range snapshot.All[*appsv1.ReplicaSet](b.snap) {
		self := Ref{Kind: kReplicaSet, Namespace: rs.Namespace, Name: rs.Name}
		if owner := metav1.GetControllerOf(rs); owner != nil {
			up := Ref{Kind: owner.Kind, Namespace: rs.Namespace, Name: owner.Name}
			b.owner[self] = up
			if b.mesh.workloads[up] == nil && replicasOr1(rs.Spec.Replicas) > 0 {
				b.add(up.Kind, owner.Name, rs, &rs.Spec.Template, replicasOr1(rs.Spec.Replicas))
			}
			continue
		}
		b.add(kReplicaSet, rs.Name, rs, &rs.Spec.Template, replicasOr1(rs.Spec.Replicas))
	}
}

func (b *builder) addPods() {
	for _, p := range snapshot.All[*snapshot.Pod](b.snap) {
		if p.Status.Phase == corev1.PodSucceeded || p.Status.Phase == corev1.PodFailed {
			continue // a finished pod has no traffic and no proxy
		}
		w := b.workloadOf(p)
		w.take(p)
		b.endpoints.meet(p, w)
	}
}

// siblings are the pods of one owner, which come one after the other.
type siblings struct {
	namespace, kind, owner string
	workload               *Workload
}

// workloadOf returns the workload that made a pod, adding one where the snapshot lacks it.
func (b *builder) workloadOf(p *snapshot.Pod) *Workload {
	owner := metav1.GetControllerOfNoCopy(p)
	if owner == nil || owner.Kind == kNode { // static pods are owned by their node
		return b.add(kPod, p.Name, p, b.templateOf(p), 1)
	}
	if s := &b.siblings; s.workload != nil && s.owner == owner.Name && s.kind == owner.Kind && s.namespace == p.Namespace {
		return s.workload
	}
	w := b.workloadOfOwner(p, owner)
	b.siblings = siblings{p.Namespace, owner.Kind, owner.Name, w}
	return w
}

func (b *builder) workloadOfOwner(p *snapshot.Pod, owner *metav1.OwnerReference) *Workload {
	ref := Ref{Kind: owner.Kind, Namespace: p.Namespace, Name: owner.Name}
	if up, ok := b.owner[ref]; ok {
		ref = up
	} else if hash := p.Labels[labelPodTemplateHash]; owner.Kind == kReplicaSet && hash != "" && b.mesh.workloads[ref] == nil {
		// ReplicaSets were not collected: their names are their Deployment's or Rollout's plus the hash.
		for _, kind := range []string{kDeployment, kRollout} {
			up := Ref{Kind: kind, Namespace: p.Namespace, Name: strings.TrimSuffix(owner.Name, "-"+hash)}
			if b.mesh.workloads[up] != nil {
				ref = up
				break
			}
		}
	}
	if w := b.mesh.workloads[ref]; w != nil {
		return w
	}
	w := b.add(ref.Kind, ref.Name, p, b.templateOf(p), 0)
	w.orphan = true
	return w
}

// templateOf returns the template that a pod stands for. Pods of one template stand side by side, so the last one made is
// mostly the one asked for, and then it is shared.
func (b *builder) templateOf(p *snapshot.Pod) *corev1.PodTemplateSpec {
	if t := b.template; t != nil && b.templateSpec == p.Spec && maps.Equal(t.Labels, p.Labels) && maps.Equal(t.Annotations, p.Annotations) {
		return t
	}
	b.template, b.templateSpec = p.Template(), p.Spec
	return b.template
}

// take adds a live pod.
func (w *Workload) take(p *snapshot.Pod) {
	w.Pods = append(w.Pods, p)
	if w.orphan {
		w.Replicas++
	}
}

// addVirtualMachines makes peers outside Kubernetes visible. Entries that a group registered belong to
// the group.
func (b *builder) addVirtualMachines() {
	registered := map[Ref]int{}
	for _, e := range snapshot.All[*networkingv1.WorkloadEntry](b.snap) {
		if group := e.Annotations[annotationRegistrationGroup]; group != "" {
			registered[Ref{Kind: kWorkloadGroup, Namespace: e.Namespace, Name: group}]++
			continue
		}
		labels := merged(e.Labels, e.Spec.GetLabels())
		b.addVM(kWorkloadEntry, e, labels, e.Annotations, e.Spec.GetServiceAccount(), 1)
	}
	for _, g := range snapshot.All[*networkingv1.WorkloadGroup](b.snap) {
		labels := merged(g.Spec.GetMetadata().GetLabels(), g.Spec.GetTemplate().GetLabels())
		ref := Ref{Kind: kWorkloadGroup, Namespace: g.Namespace, Name: g.Name}
		b.addVM(kWorkloadGroup, g, labels, g.Spec.GetMetadata().GetAnnotations(), g.Spec.GetTemplate().GetServiceAccount(), registered[ref])
	}
}

func (b *builder) addVM(kind string, o snapshot.Object, labels, annotations map[string]string, account string, replicas int) {
	w := &Workload{
		Ref: Ref{Kind: kind, Namespace: o.GetNamespace(), Name: o.GetName()}, Object: o, Role: Application,
		Labels: labels, Annotations: annotations, Replicas: replicas,
		ServiceAccount: cmp.Or(account, "default"), account: account, Waypoint: unbound,
	}
	b.mesh.Workloads = append(b.mesh.Workloads, w)
	b.mesh.workloads[w.Ref] = w
}

// settlePods fixes the facts that pods share, once all pods are known.
func (b *builder) settlePods(w *Workload) {
	w.Derived = !slices.ContainsFunc(w.Pods, observed)
	if w.Template != nil && w.Kind != kPod && len(w.Pods) > 0 {
		w.Labels = common(w.Pods, func(p *snapshot.Pod) map[string]string { return p.Labels })
		w.Annotations = common(w.Pods, func(p *snapshot.Pod) map[string]string { return p.Annotations })
		for _, p := range w.Pods {
			w.HostNetwork = w.HostNetwork || p.Spec.HostNetwork
		}
		if w.Role == Application { // injection by hand, or a template that the snapshot lacks
			t := w.Template
			if !w.orphan {
				t = b.templateOf(w.Pods[0])
			}
			w.Role = roleOf(w.Labels, t)
		}
	}
}

// observed tells a pod of a cluster from one in a manifest, where what is not there yet says nothing.
func observed(p *snapshot.Pod) bool {
	return p.UID != "" || !p.CreationTimestamp.IsZero() || p.Status.Phase != "" || p.NodeName != ""
}

// common returns what every pod's map agrees on. Where all agree on everything the first map is shared.
func common(pods []*snapshot.Pod, get func(*snapshot.Pod) map[string]string) map[string]string {
	first := get(pods[0])
	shared := true
	out := first
	for _, p := range pods[1:] {
		m := get(p)
		for k, v := range out {
			if got, ok := m[k]; ok && got == v {
				continue
			}
			if shared {
				out, shared = merged(first), false
			}
			delete(out, k)
		}
	}
	return out
}

// merged copies maps into a new one; later ones win.
func merged(maps ...map[string]string) map[string]string {
	out := map[string]string{}
	for _, m := range maps {
		for k, v := range m {
			out[k] = v
		}
	}
	return out
}

func replicasOr1(n *int32) int {
	if n == nil {
		return 1
	}
	return int(*n)
}
