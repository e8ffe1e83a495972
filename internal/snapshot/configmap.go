package snapshot

import (
	"maps"
	"reflect"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// ConfigMapReason is why most ConfigMaps are left out.
const ConfigMapReason = "only ConfigMaps that configure the mesh, injection, the CNI, a waypoint or a metrics adapter are read"

// InstallationPrefix begins the name of a ConfigMap that stands for an operator's resource (IstioOperator, Sail's Istio and
// IstioRevision) with the mesh configuration and values that the operator renders.
const InstallationPrefix = "istio-installation-"

// SaidInstallation is the name of the one that stands for what the owner of the input says of every control plane in it.
const SaidInstallation = InstallationPrefix + "said"

// overlayKeys are the data keys of a ConfigMap that overlays what istiod generates for a Gateway, by
// infrastructure.parametersRef or for a whole class.
// https://istio.io/latest/docs/tasks/traffic-management/ingress/gateway-api/#automated-deployment
var overlayKeys = []string{"deployment", "service", "serviceAccount", "horizontalPodAutoscaler", "podDisruptionBudget"}

// isClassDefault tells a ConfigMap that overlays every Gateway of a class by its label, gateway's
// defaults-for-class (istiod: pilot/pkg/config/kube/gatewaycommon; the published label list lacks it).
func isClassDefault(cm *corev1.ConfigMap) bool {
	for k := range cm.Labels {
		if strings.HasSuffix(k, "/defaults-for-class") {
			return true
		}
	}
	return false
}

// configMapKeys returns the data keys to keep of a ConfigMap; none means that it is left out. An overlay
// is kept here and dropped by dropForeignConfigMaps unless a Gateway or class asks for it.
func configMapKeys(cm *corev1.ConfigMap) []string {
	switch name := cm.Name; {
	case strings.HasPrefix(name, InstallationPrefix):
		return []string{"mesh", "values", "revision", "version", "kind", "group", "name"}
	case name == "istio" || strings.HasPrefix(name, "istio-") && cm.Data["mesh"] != "":
		return []string{"mesh", "meshNetworks"}
	case name == "istio-sidecar-injector" || strings.HasPrefix(name, "istio-sidecar-injector-"):
		return []string{"config", "values"}
	case strings.HasPrefix(name, "istio-cni") || name == "cilium-config":
		all := make([]string, 0, len(cm.Data))
		for k := range cm.Data {
			all = append(all, k)
		}
		return all
	}
	if k := adapterKey(cm); k != "" {
		return []string{k}
	}
	for k := range cm.Data {
		if slices.Contains(overlayKeys, k) {
			return overlayKeys
		}
	}
	return nil
}

// adapterKey returns the data key that holds the rules of a prometheus-adapter, empty without one. Neither the
// ConfigMap's name nor the key is fixed; the field seriesQuery is in every such document and in no other. A redacted archive has it as JSON.
// https://github.com/kubernetes-sigs/prometheus-adapter/blob/master/docs/config.md
func adapterKey(cm *corev1.ConfigMap) string {
	keys := slices.DeleteFunc(slices.Sorted(maps.Keys(cm.Data)), func(k string) bool {
		return !strings.Contains(cm.Data[k], "seriesQuery:") && !strings.Contains(cm.Data[k], `"seriesQuery":`)
	})
	if len(keys) == 0 {
		return ""
	}
	return keys[0]
}

// isOverlay tells that a ConfigMap was kept for its overlay keys alone.
func isOverlay(cm *corev1.ConfigMap) bool {
	keys := configMapKeys(cm)
	return len(keys) > 0 && &keys[0] == &overlayKeys[0]
}

// KeepConfigMap strips a ConfigMap to the data that is read, and tells whether anything is.
func KeepConfigMap(cm *corev1.ConfigMap) bool {
	keys := configMapKeys(cm)
	if len(keys) == 0 {
		return false
	}
	for k := range cm.Data {
		if !slices.Contains(keys, k) {
			delete(cm.Data, k)
		}
	}
	cm.BinaryData = nil
	return true
}

// dropForeignConfigMaps leaves out ConfigMaps that only look like an overlay: no Gateway names them and
// they are no defaults of a class. An application's ConfigMap with a key "service" must not get into an archive.
func (b *Builder) dropForeignConfigMaps() {
	configMaps := reflect.TypeFor[*corev1.ConfigMap]()
	wanted := map[[2]string]bool{}
	for _, e := range b.objects[reflect.TypeFor[*gatewayv1.Gateway]()] {
		gw := e.object.(*gatewayv1.Gateway)
		if in := gw.Spec.Infrastructure; in != nil && in.ParametersRef != nil {
			wanted[[2]string{gw.Namespace, in.ParametersRef.Name}] = true
		}
	}
	b.objects[configMaps] = slices.DeleteFunc(b.objects[configMaps], func(e entry) bool {
		cm := e.object.(*corev1.ConfigMap)
		if !isOverlay(cm) || wanted[[2]string{cm.Namespace, cm.Name}] || isClassDefault(cm) {
			return false
		}
		b.Ignore(Ignored{APIVersion: "v1", Kind: "ConfigMap", Namespace: cm.Namespace, Name: cm.Name,
			Source: e.place.in(b.files), Reason: ConfigMapReason})
		return true
	})
}

// stripConfigMap takes secrets out of the settings that a ConfigMap holds as text. Injection templates are no YAML and are
// mostly published: only credentials in URLs go.
func stripConfigMap(cm *corev1.ConfigMap) {
	for k, text := range cm.Data {
		switch {
		case k == "config":
			cm.Data[k] = Scrub(text)
		case IsSensitive(k) && !plainValue.MatchString(text):
			cm.Data[k] = HiddenValue
		case strings.ContainsAny(text, "\n{"):
			cm.Data[k] = Scrub(text) // unreadable settings stay: SS916 says so
			if clean := StripProxyConfig(text); clean != "" {
				cm.Data[k] = clean
			}
		default:
			cm.Data[k] = Scrub(text)
		}
	}
}
