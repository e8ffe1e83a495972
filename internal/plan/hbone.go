package plan

import (
	"github.com/sidestep-mesh/sidestep/internal/authz"
	"github.com/sidestep-mesh/sidestep/internal/mesh"
	"sigs.k8s.io/yaml"
)

const (
	// envEnableHBONE makes a sidecar listen on HBONE; without it ztunnel calls its pod in plaintext.
	envEnableHBONE = "ISTIO_META_ENABLE_HBONE"
	// annotationRestarted makes new pods where their template would not change otherwise.
	annotationRestarted = "sidestep.dev/restarted-for"
)

// learnHBONE sees to it that a sidecar that is refused ambient callers, since they arrive in plaintext, listens on HBONE. It
// reports whether that is something new.
func (b *search) learnHBONE(d *authz.Divergence, at int) bool {
	w := b.start.Workloads[at]
	if isNew(d.Request.To.Workload) || w.Mode != mesh.Sidecar || w.Proxy.HBONE || w.Role != mesh.Application || b.y.restart[w.Ref] != nil || b.y.deaf[w.Ref] || !plaintext(&d.After) {
		return false
	}
	ambient := false
	for c := range d.Callers.All() {
		ambient = ambient || c.ModeAfter == authz.ModeAmbient
		break
	}
	if o := find(b.snap, w.Ref); !ambient || o == nil || templateOf(o) == nil {
		return false
	}
	b.y.restart[w.Ref] = hboneAnnotations(w)
	return b.y.restart[w.Ref] != nil
}

// hboneAnnotations are annotations of a pod template with which injection gives a sidecar that listens on HBONE; nil where the
// present ones cannot be read.
func hboneAnnotations(w *mesh.Workload) map[string]*string {
	config := map[string]any{}
	if old, ok := w.Template.Annotations[mesh.AnnotationProxyConfig]; ok {
		if err := yaml.Unmarshal([]byte(old), &config); err != nil || config == nil {
			return nil
		}
	}
	metadata, ok := config["proxyMetadata"].(map[string]any)
	if !ok && config["proxyMetadata"] != nil {
		return nil
	}
	if metadata == nil {
		metadata = map[string]any{}
	}
	if metadata[envEnableHBONE] == "true" { // it only has to be made anew
		return map[string]*string{annotationRestarted: text("hbone")}
	}
	metadata[envEnableHBONE] = "true"
	config["proxyMetadata"] = metadata
	out, err := yaml.Marshal(config)
	if err != nil {
		return nil
	}
	return map[string]*string{mesh.AnnotationProxyConfig: text(string(out))}
}
