package plan

import (
	"github.com/sidestep-mesh/sidestep/internal/authz"
	"github.com/sidestep-mesh/sidestep/internal/enrol"
	"github.com/sidestep-mesh/sidestep/internal/mesh"
)

// annotationRestarted makes new pods where their template would not change otherwise.
const annotationRestarted = "sidestep.dev/restarted-for"

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
	switch config, changed, ok := enrol.Listening(w.Template.Annotations); {
	case !ok:
		return nil
	case !changed: // it only has to be made anew
		return map[string]*string{annotationRestarted: text("hbone")}
	default:
		return map[string]*string{mesh.AnnotationProxyConfig: text(config)}
	}
}
