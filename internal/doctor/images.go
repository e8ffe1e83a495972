package doctor

import (
	"regexp"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/sidestep-mesh/sidestep/internal/mesh"
)

// running is one Istio image that the mesh runs, and what runs it.
type running struct {
	workload  *mesh.Workload
	container string
	image     string
	// version is the tag's, as MAJOR.MINOR.PATCH; minor and patch are -1 where the tag is no version.
	version      string
	minor, patch int
}

// istioContainers are the containers of Istio's own images.
var istioContainers = []string{"istio-proxy", "istio-init", "discovery", "install-cni", "istio-validation"}

var versionPattern = regexp.MustCompile(`^v?1\.(\d+)\.(\d+)`)

// images lists the Istio images of every workload, from its live pods or else its template.
func (v *View) images() []running {
	var out []running
	for _, w := range v.Mesh.Workloads {
		seen := map[string]bool{}
		for _, spec := range specs(w) {
			for _, c := range slices.Concat(spec.InitContainers, spec.Containers) {
				if !slices.Contains(istioContainers, c.Name) || seen[c.Name+c.Image] || !strings.Contains(c.Image, "/") {
					continue
				}
				seen[c.Name+c.Image] = true
				out = append(out, read(w, c))
			}
		}
	}
	return out
}

func specs(w *mesh.Workload) []*corev1.PodSpec {
	var out []*corev1.PodSpec
	for _, p := range w.Pods {
		out = append(out, p.Spec)
	}
	if len(out) == 0 && w.Template != nil {
		out = append(out, &w.Template.Spec)
	}
	return out
}

func read(w *mesh.Workload, c corev1.Container) running {
	r := running{workload: w, container: c.Name, image: c.Image, minor: -1, patch: -1}
	tag := c.Image[strings.LastIndexByte(c.Image, '/')+1:]
	tag, _, _ = strings.Cut(tag, "@")
	if _, t, ok := strings.Cut(tag, ":"); ok {
		if m := versionPattern.FindStringSubmatch(t); m != nil {
			r.version = "1." + m[1] + "." + m[2]
			r.minor, _ = strconv.Atoi(m[1]) // digits only
			r.patch, _ = strconv.Atoi(m[2])
		}
	}
	return r
}

// component names what an image is part of.
func (r *running) component() string {
	switch r.workload.Role {
	case mesh.Istiod:
		return "istiod"
	case mesh.Ztunnel:
		return "ztunnel"
	case mesh.CNI:
		return "istio-cni"
	case mesh.Waypoint:
		return "waypoint"
	case mesh.Gateway:
		return "gateway"
	}
	return "sidecar"
}

// evidence is the image of one container.
func (r *running) evidence() []mesh.Evidence {
	return []mesh.Evidence{{Object: r.workload.Ref, Field: "containers[" + r.container + "].image", Value: r.image}}
}

// manyWorkloads joins findings that differ in the workload alone, so that a thousand sidecars are one finding.
func manyWorkloads(list []running, key func(*running) string, of func(first *running, others int) Finding) []Finding {
	var order []string
	first, count := map[string]*running{}, map[string]int{}
	for i := range list {
		k := key(&list[i])
		if k == "" {
			continue
		}
		if first[k] == nil {
			first[k] = &list[i]
			order = append(order, k)
		}
		count[k]++
	}
	var out []Finding
	for _, k := range order {
		out = append(out, of(first[k], count[k]-1))
	}
	return out
}
