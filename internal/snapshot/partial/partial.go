// Package partial holds Go types for the few fields Sidestep reads of third-party kinds whose own
// modules are too heavy to depend on. A field that is not here is dropped at decoding.
package partial

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Rollout is argoproj.io/v1alpha1 Rollout: a Deployment in shape, or a reference to one.
// https://argo-rollouts.readthedocs.io/en/stable/features/specification/
type Rollout struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`
	Spec              RolloutSpec `json:"spec,omitempty"`
}

// RolloutSpec is the part of a Rollout that makes pods.
type RolloutSpec struct {
	Replicas    *int32                 `json:"replicas,omitempty"`
	Selector    *metav1.LabelSelector  `json:"selector,omitempty"`
	Template    corev1.PodTemplateSpec `json:"template,omitempty"`
	WorkloadRef *ObjectRef             `json:"workloadRef,omitempty"`
	Strategy    RolloutStrategy        `json:"strategy,omitempty"`
}

// ObjectRef names the Deployment whose template a Rollout borrows.
type ObjectRef struct {
	APIVersion string `json:"apiVersion,omitempty"`
	Kind       string `json:"kind,omitempty"`
	Name       string `json:"name,omitempty"`
}

// PodMaker is an object of a kind that has no type here and makes pods from a template at spec.template, such as a
// DeploymentConfig, a CloneSet or a Knative Service. It is made by reading such an object; no API server has it. Its own name
// holds the kind, since several kinds share it.
type PodMaker struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`
	Of                Maker        `json:"of"`
	Spec              PodMakerSpec `json:"spec,omitempty"`
}

// Maker names the object that a PodMaker was made of.
type Maker struct {
	APIGroup string `json:"apiGroup,omitempty"`
	Kind     string `json:"kind"`
	Name     string `json:"name"`
}

// PodMakerSpec is the part of the object that makes pods.
type PodMakerSpec struct {
	Replicas *int32                 `json:"replicas,omitempty"`
	Template corev1.PodTemplateSpec `json:"template,omitempty"`
}

// FelixConfiguration is Calico's node agent configuration; it tells whether eBPF is on.
// https://docs.tigera.io/calico/latest/reference/resources/felixconfig
type FelixConfiguration struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`
	Spec              FelixConfigurationSpec `json:"spec,omitempty"`
}

// FelixConfigurationSpec holds the eBPF switches.
type FelixConfigurationSpec struct {
	BPFEnabled                    *bool   `json:"bpfEnabled,omitempty"`
	BPFConnectTimeLoadBalancing   *string `json:"bpfConnectTimeLoadBalancing,omitempty"`
	BPFConnectTimeLoadBalancingOn *bool   `json:"bpfConnectTimeLoadBalancingEnabled,omitempty"`
}

// Installation is the Tigera operator's description of a Calico installation.
// https://docs.tigera.io/calico/latest/reference/installation/api
type Installation struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`
	Spec              InstallationSpec   `json:"spec,omitempty"`
	Status            InstallationStatus `json:"status,omitempty"`
}

// InstallationSpec holds the data plane and CNI choice.
type InstallationSpec struct {
	Variant            string                     `json:"variant,omitempty"`
	KubernetesProvider string                     `json:"kubernetesProvider,omitempty"`
	CNI                *InstallationCNI           `json:"cni,omitempty"`
	CalicoNetwork      *InstallationCalicoNetwork `json:"calicoNetwork,omitempty"`
}

// InstallationCNI names the CNI plugin.
type InstallationCNI struct {
	Type string `json:"type,omitempty"`
}

// InstallationCalicoNetwork names the data plane: Iptables, BPF, VPP, Nftables.
type InstallationCalicoNetwork struct {
	LinuxDataplane *string `json:"linuxDataplane,omitempty"`
}

// InstallationStatus carries the Calico version.
type InstallationStatus struct {
	CalicoVersion string `json:"calicoVersion,omitempty"`
}
