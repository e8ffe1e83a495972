package live

import (
	"slices"

	"github.com/sidestep-mesh/sidestep/internal/snapshot"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// RequiredRole is the ClusterRole that Collect needs for an audit: to list every kind that a verdict depends on, and nothing else.
// There is no watch, no write and no Secret in it. Discovery is granted to every user by Kubernetes'
// own system:discovery role.
func RequiredRole() *rbacv1.ClusterRole {
	byGroup := map[string][]string{}
	var groups []string
	for _, k := range snapshot.ServedKinds() {
		if k.CostOnly {
			continue
		}
		if byGroup[k.Group] == nil {
			groups = append(groups, k.Group)
		}
		byGroup[k.Group] = append(byGroup[k.Group], k.Resource)
	}
	role := &rbacv1.ClusterRole{
		TypeMeta:   metav1.TypeMeta{APIVersion: rbacv1.SchemeGroupVersion.String(), Kind: "ClusterRole"},
		ObjectMeta: metav1.ObjectMeta{Name: "sidestep-audit"},
	}
	for _, g := range groups {
		slices.Sort(byGroup[g])
		role.Rules = append(role.Rules, rbacv1.PolicyRule{APIGroups: []string{g}, Resources: byGroup[g], Verbs: []string{"list"}})
	}
	return role
}
