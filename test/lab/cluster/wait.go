package cluster

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Poll calls check until it returns no error. When ctx ends first, the error is
// the cause of that (a lab process that died, say) together with the last answer of check.
func Poll(ctx context.Context, every time.Duration, check func(context.Context) error) error {
	for {
		err := check(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w; last seen: %w", context.Cause(ctx), err)
		case <-time.After(every):
		}
	}
}

// WaitWorkloads returns when all workloads in the namespaces have their pods ready.
// It asks for workloads, not for pods, so that waiting costs little in a large mesh.
func (c *Client) WaitWorkloads(ctx context.Context, namespaces []string) error {
	return Poll(ctx, 500*time.Millisecond, func(ctx context.Context) error {
		var missing []string
		for _, ns := range namespaces {
			m, err := c.unready(ctx, ns)
			if err != nil {
				return err
			}
			missing = append(missing, m...)
		}
		if len(missing) > 0 {
			return fmt.Errorf("%d workloads are not ready: %s", len(missing), strings.Join(missing[:min(3, len(missing))], ", "))
		}
		return nil
	})
}

func (c *Client) unready(ctx context.Context, ns string) ([]string, error) {
	var missing []string
	note := func(kind, name string, ready, want int32, current bool) {
		if ready < want || !current {
			missing = append(missing, fmt.Sprintf("%s %s/%s (%d of %d)", kind, ns, name, ready, want))
		}
	}
	// From the API server's cache: that is fresh enough to wait on.
	cached := metav1.ListOptions{ResourceVersion: "0"}
	deployments, err := c.Kube.AppsV1().Deployments(ns).List(ctx, cached)
	if err != nil {
		return nil, err
	}
	scalers, err := c.Kube.AutoscalingV2().HorizontalPodAutoscalers(ns).List(ctx, cached)
	if err != nil {
		return nil, err
	}
	least := map[string]int32{} // Deployments start with what they say themselves, and are scaled some seconds later
	for _, h := range scalers.Items {
		if h.Spec.ScaleTargetRef.Kind == "Deployment" {
			least[h.Spec.ScaleTargetRef.Name] = replicas(h.Spec.MinReplicas)
		}
	}
	for _, d := range deployments.Items {
		if want := replicas(d.Spec.Replicas); want > 0 && want < least[d.Name] { // none at all turns scaling off
			note("Deployment", d.Name, want, least[d.Name], false)
			continue
		}
		note("Deployment", d.Name, min(d.Status.ReadyReplicas, d.Status.UpdatedReplicas), replicas(d.Spec.Replicas), rolledOut(&d))
	}
	sets, err := c.Kube.AppsV1().StatefulSets(ns).List(ctx, cached)
	if err != nil {
		return nil, err
	}
	for _, s := range sets.Items {
		note("StatefulSet", s.Name, s.Status.ReadyReplicas, replicas(s.Spec.Replicas), s.Status.ObservedGeneration >= s.Generation)
	}
	daemons, err := c.Kube.AppsV1().DaemonSets(ns).List(ctx, cached)
	if err != nil {
		return nil, err
	}
	for _, d := range daemons.Items {
		note("DaemonSet", d.Name, d.Status.NumberReady, d.Status.DesiredNumberScheduled, d.Status.ObservedGeneration >= d.Generation)
	}
	return missing, nil
}

func rolledOut(d *appsv1.Deployment) bool {
	return d.Status.ObservedGeneration >= d.Generation && d.Status.Replicas == d.Status.UpdatedReplicas
}

func replicas(n *int32) int32 {
	if n == nil {
		return 1
	}
	return *n
}

// WaitNamespacesGone deletes nothing; it returns when none of the namespaces exists any more.
func (c *Client) WaitNamespacesGone(ctx context.Context, namespaces []string) error {
	return Poll(ctx, 200*time.Millisecond, func(ctx context.Context) error {
		all, err := c.Kube.CoreV1().Namespaces().List(ctx, metav1.ListOptions{})
		if err != nil && !apierrors.IsNotFound(err) {
			return err
		}
		for _, ns := range all.Items {
			if slices.Contains(namespaces, ns.Name) {
				return fmt.Errorf("namespace %s is still there", ns.Name)
			}
		}
		return nil
	})
}
