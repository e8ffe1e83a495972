package standin

// Stands in for: a GitOps tool (Argo CD, Flux) with self-healing on: what
// somebody changes in the cluster but not in Git is put back.
//
// Differs: "Git" is what the cluster held when the fault was set; only labels of
// namespaces and of Deployment pod templates are watched; it looks twice a second
// where Argo CD reacts to events and Flux to an interval of minutes.

import (
	"context"
	"encoding/json"
	"log"
	"maps"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// GitOpsFault lists the namespaces whose labels are reverted.
type GitOpsFault struct {
	Namespaces []string `json:"namespaces"`
}

// GitOps is the stand-in.
type GitOps struct {
	World   *World
	Control *Control

	mu  sync.Mutex
	git map[string]map[string]string // "namespace" or "namespace/deployment" to labels
}

// Remember takes what the cluster holds for "Git". It runs before the fault takes effect, so
// that a change right after it is one that Git does not have.
func (g *GitOps) Remember(ctx context.Context, f Faults) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.git = map[string]map[string]string{}
	return g.sync(ctx, f.GitOps)
}

// Run reverts until ctx ends.
func (g *GitOps) Run(ctx context.Context) {
	for {
		if f := g.Control.Faults().GitOps; len(f.Namespaces) > 0 {
			g.mu.Lock()
			err := g.sync(ctx, f)
			g.mu.Unlock()
			if err != nil && ctx.Err() == nil {
				log.Printf("gitops: %v", err)
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-g.Control.Changed():
		case <-time.After(500 * time.Millisecond):
		}
	}
}

// sync reverts what differs from Git. What it sees for the first time is taken into Git.
func (g *GitOps) sync(ctx context.Context, f GitOpsFault) error {
	kube := g.World.Client.Kube
	for _, name := range f.Namespaces {
		ns, err := kube.CoreV1().Namespaces().Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		if patch := g.revert(name, ns.Labels, "metadata"); patch != nil {
			if _, err := kube.CoreV1().Namespaces().Patch(ctx, name, types.MergePatchType, patch, metav1.PatchOptions{FieldManager: "argocd-controller"}); err != nil {
				return err
			}
			log.Printf("gitops: reverted labels of namespace %s", name)
		}
		deployments, err := kube.AppsV1().Deployments(name).List(ctx, metav1.ListOptions{})
		if err != nil {
			return err
		}
		for _, d := range deployments.Items {
			patch := g.revert(name+"/"+d.Name, d.Spec.Template.Labels, "spec", "template", "metadata")
			if patch == nil {
				continue
			}
			if _, err := kube.AppsV1().Deployments(name).Patch(ctx, d.Name, types.MergePatchType, patch, metav1.PatchOptions{FieldManager: "argocd-controller"}); err != nil {
				return err
			}
			log.Printf("gitops: reverted labels of deployment %s/%s", name, d.Name)
		}
	}
	return nil
}

// revert remembers labels at first sight; later it returns the merge patch that restores them, or nil.
func (g *GitOps) revert(key string, now map[string]string, path ...string) []byte {
	git, known := g.git[key]
	if !known {
		g.git[key] = maps.Clone(now)
		return nil
	}
	if maps.Equal(git, now) {
		return nil
	}
	labels := map[string]any{}
	for k := range now {
		labels[k] = nil // what Git does not have goes
	}
	for k, v := range git {
		labels[k] = v
	}
	var patch any = map[string]any{"labels": labels}
	for i := len(path) - 1; i >= 0; i-- {
		patch = map[string]any{path[i]: patch}
	}
	raw, _ := json.Marshal(patch)
	return raw
}
