package duty

import (
	"fmt"
	"slices"

	"github.com/sidestep-mesh/sidestep/api/v1alpha1"
	"github.com/sidestep-mesh/sidestep/internal/mesh"
	"github.com/sidestep-mesh/sidestep/internal/snapshot"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// ScopeOf returns the namespaces that a scope names and that exist. An error says what is wrong with its selector.
func ScopeOf(s *v1alpha1.Scope, m *mesh.Mesh) (map[string]bool, error) {
	selector := labels.Nothing()
	if s.NamespaceSelector != nil {
		var err error
		if selector, err = metav1.LabelSelectorAsSelector(s.NamespaceSelector); err != nil {
			return nil, fmt.Errorf("scope.namespaceSelector: %w", err)
		}
	}
	out := map[string]bool{}
	for _, ns := range snapshot.All[*corev1.Namespace](m.Snapshot) {
		if slices.Contains(s.Namespaces, ns.Name) || selector.Matches(labels.Set(ns.Labels)) {
			out[ns.Name] = true
		}
	}
	return out, nil
}
