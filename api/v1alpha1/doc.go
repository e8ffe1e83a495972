// Package v1alpha1 holds the types of the API group sidestep.dev that a cluster stores. They are data: what they ask for is decided
// elsewhere. The CustomResourceDefinition and the copies are generated from them; see generate.go.
//
// +kubebuilder:object:generate=true
// +groupName=sidestep.dev
package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// GroupVersion is the group and version of these types.
var GroupVersion = schema.GroupVersion{Group: "sidestep.dev", Version: "v1alpha1"}

// AddToScheme registers the types.
func AddToScheme(s *runtime.Scheme) error {
	s.AddKnownTypes(GroupVersion, &Migration{}, &MigrationList{})
	metav1.AddToGroupVersion(s, GroupVersion)
	return nil
}
