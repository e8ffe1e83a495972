package account

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/sidestep-mesh/sidestep/internal/metric"
	"github.com/sidestep-mesh/sidestep/internal/roi"
	"github.com/sidestep-mesh/sidestep/internal/roi/terms"
)

// earlier is what was used by pods of Deployments over the window, those that are gone too.
type earlier struct {
	// workload is that of each pod that runs now (namespace/name); empty for other kinds than Deployments.
	workload map[string]string
	// at holds, by workload and resource and then by instant, the values of the pods of that instant.
	at map[[2]string]map[int64][]float64
}

// ofDeployment splits the name of a Deployment's pod: the Deployment's, the hash of its ReplicaSet and the pod's own end (k8s.io/apimachinery/pkg/util/rand's alphabet has no vowels, but hashes were decimal once).
var ofDeployment = regexp.MustCompile(`^(.+)-[0-9a-z]{5,10}-[0-9a-z]{5}$`)

// earlierPods assigns the series of pods to Deployments that run now, by the names that their ReplicaSets give.
func earlierPods(r metric.Result, c terms.Cluster) earlier {
	out := earlier{workload: map[string]string{}, at: map[[2]string]map[int64][]float64{}}
	running := map[string]string{} // namespace/name of the Deployment
	for _, p := range c.Pods {
		if strings.Contains(p.Workload, "/Deployment/") {
			out.workload[p.Object.Namespace+"/"+p.Object.Name] = p.Workload
			running[p.Object.Namespace+"/"+workloadName(p.Workload)] = p.Workload
		}
	}
	for _, s := range r.Series {
		w := ""
		if m := ofDeployment.FindStringSubmatch(s.Labels["pod"]); m != nil {
			w = running[s.Labels["namespace"]+"/"+m[1]]
		}
		if w == "" {
			continue
		}
		key := [2]string{w, s.Labels["resource"]}
		if out.at[key] == nil {
			out.at[key] = map[int64][]float64{}
		}
		for _, p := range s.Points {
			out.at[key][p.T] = append(out.at[key][p.T], p.V)
		}
	}
	return out
}

// mean is the mean over the instants of what a pod of the workload used then; not known where there was one instant only.
func (e earlier) mean(workload, resource string) (float64, bool) {
	at := e.at[[2]string{workload, resource}]
	if len(at) < 2 {
		return 0, false
	}
	sum := 0.0
	for _, values := range at {
		of := 0.0
		for _, v := range values {
			of += v
		}
		sum += of / float64(len(values))
	}
	return terms.Tidy(sum / float64(len(at))), true
}

// youngGaps says when the usage of most of the mesh's pods is that of one instant.
func youngGaps(d metric.Dump, c terms.Cluster, pods []roi.MeshPod) []terms.Gap {
	r := d.Result("proxy_usage")
	if !r.Usable() {
		return nil
	}
	now := map[string]bool{}
	for _, p := range pods {
		now[p.Key()] = true
	}
	e := earlierPods(r, c)
	few, all := 0, 0
	for _, s := range r.Series {
		pod := s.Labels["namespace"] + "/" + s.Labels["pod"]
		if s.Labels["resource"] != "cpu" || !now[pod] {
			continue
		}
		all++
		if _, ok := e.mean(e.workload[pod], "cpu"); len(s.Points) < 2 && !ok {
			few++
		}
	}
	if few*2 <= all {
		return nil
	}
	return []terms.Gap{{What: "usage", Why: fmt.Sprintf("%d of %d pods were seen at one of the instants only: they are younger than the window", few, all),
		Costs: "their usage is that of one hour of the day, not a mean over the window"}}
}
