package plan

import (
	"fmt"
	"slices"
	"strings"

	"github.com/sidestep-mesh/sidestep/internal/mesh"
)

// pinText says in one sentence what keeps a workload.
func (o *order) pinText(at int, p pin) string {
	who := "a caller outside the mesh"
	if len(p.by) > 0 && p.by[0] >= 0 {
		var names []string
		for _, i := range p.by {
			names = append(names, o.start.Workloads[max(i, 0)].Ref.String())
		}
		who = list(names)
	}
	request, evidence := "", ""
	if p.need != nil {
		request, evidence = ": "+p.need.Words, string(p.need.Evidence)
	}
	switch p.code {
	case CodeCycle:
		return fmt.Sprintf("%s call each other, so that none can move before the others%s", who, request)
	case CodePeers:
		return "its own pods call each other, and those with a sidecar cannot call those without" + request
	case CodeOutside:
		return fmt.Sprintf("%s calls it (%s) and would go past the waypoint%s", who, evidence, request)
	case CodeRefused:
		return fmt.Sprintf("%s calls it (%s) in a way that would be refused in the end%s", who, evidence, request)
	case CodeWeaker:
		return fmt.Sprintf("%s keeps its sidecar, and towards ambient callers it would be weaker%s", who, request)
	}
	if p.need != nil && p.need.Reason == ReasonAddress {
		return fmt.Sprintf("it calls %s (%s), which keeps its sidecar and would refuse it%s", who, evidence, request)
	}
	return fmt.Sprintf("%s keeps its sidecar and calls it (%s), past the waypoint%s", who, evidence, request)
}

// list joins names for a sentence, at most three of them by name.
func list(names []string) string {
	const most = 3
	if len(names) > most {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
	}
	if len(names) > 1 {
		return strings.Join(names[:len(names)-1], ", ") + " and " + names[len(names)-1]
	}
	return strings.Join(names, "")
}

// stayOf describes a workload that could have moved and does not.
func (b *search) stayOf(v *mover) Stay {
	s := Stay{Workload: v.w.Ref, Because: v.why, Blockers: v.blockers}
	for _, why := range v.why {
		for _, c := range choicesOf(why.Code, v.w.Ref) {
			if !slices.Contains(s.Choices, c) {
				s.Choices = append(s.Choices, c)
			}
		}
	}
	return s
}

// choicesOf are the ways out of a reason, the safe one first.
func choicesOf(code string, w mesh.Ref) []Choice {
	accept := code + ":" + w.Namespace + "/" + w.Name
	keep := Choice{Name: "keep", Text: "it keeps its sidecar, and so does whoever it waits for", Price: "its sidecars; nothing else changes"}
	measure := Choice{Name: "observe", Text: "give the calls that exist with --calls: what is not called is not waited for", Price: "none"}
	switch code {
	case CodePinned:
		return []Choice{keep, measure,
			{Name: "remnant", Text: "two generations for good: a few pods of it keep the sidecar and serve callers with sidecars, all others go through the waypoint", Price: "2 sidecars, a second Deployment and a DestinationRule"},
			{Name: "bridge", Text: "lead the callers with sidecars to a gateway that goes through the waypoint", Price: "a gateway and a route in every namespace of such callers; one more identity to admit, which no proof covers"},
			{Name: "l4", Text: "write the policy so that ztunnel can hold it: by identity and port", Price: "somebody has to accept that methods, paths and tokens are no longer looked at"},
			{Name: "close", Text: "accept that these calls are refused from its first ambient pod on", Price: "the calls named above fail", Accept: accept}}
	case CodeCycle:
		return []Choice{keep, measure,
			{Name: "generations", Text: "two generations: old pods call old pods only, everybody else enters by the waypoint, and the last old pods of all go together", Price: "up to twice the pods of the cycle for the overlap"},
			{Name: "window", Text: "accept that these calls are refused while they move, in a window of time", Price: "the calls named above fail for the length of a rollout", Accept: accept}}
	case CodePeers:
		return []Choice{keep,
			{Name: "window", Text: "accept that its pods do not reach each other until all have moved: stop the set, move it, start it", Price: "an interruption of the length of a restart", Accept: accept},
			{Name: "services", Text: "give every pod a Service with a cluster address, and let peers use those", Price: "a change of the application"}}
	case CodeOutside:
		return []Choice{keep, measure,
			{Name: "enrol", Text: "enrol the caller in ambient mode first: a label, no restart", Price: "ztunnel on its nodes"},
			{Name: "gateway", Text: "lead it through a gateway, with label istio.io/ingress-use-waypoint on the Service", Price: "one more hop for these calls"},
			{Name: "close", Text: "accept that these calls are refused from its first ambient pod on", Price: "the calls named above fail", Accept: accept}}
	case CodeRefused:
		return []Choice{keep, measure,
			{Name: "principals", Text: "replace what ztunnel and waypoints do not see (addresses, mostly) by identities", Price: "a change of the policy"},
			{Name: "close", Text: "accept that these calls are refused", Price: "the calls named above fail for good", Accept: accept}}
	case CodeWeaker:
		return []Choice{keep,
			{Name: "policy", Text: "change the policy so that it does not rest on what is lost: see the request", Price: "a change of the policy"}}
	case CodePorts:
		return []Choice{keep,
			{Name: "ports", Text: "declare the port in the container, or write the number as the Service's targetPort", Price: "a change of the template or the Service"}}
	}
	return []Choice{keep}
}
