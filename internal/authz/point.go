package authz

// PointQuestion names one enforcement point, on its own, without a path to it.
type PointQuestion struct {
	// Point is PointServerSidecar, PointZtunnel or PointWaypoint.
	Point Point
	// Workload that the sidecar or ztunnel enforces for.
	Workload Workload
	// Tunnel asks a sidecar about a call that comes through HBONE, as from ambient callers.
	Tunnel bool
	// Waypoint, and the Service that the call addresses there (nil: a pod).
	Waypoint Waypoint
	Service  *Service
	// Port is the destination port that the point sees.
	Port uint16
}

// Points answers for single enforcement points of one world. It is not safe for
// concurrent use.
type Points struct{ m *model }

// NewPoints compiles a world.
func NewPoints(w *World) *Points { return &Points{newModel(w, newPrograms())} }

// Ask asks one enforcement point about a request, with the identity in
// r.From.Principal. It is what the judges of test/oracle are compared with. The pointers
// in q tell workloads apart: ask about one with one pointer.
func (ps *Points) Ask(q *PointQuestion, r *Request) Hop {
	m := ps.m
	h := hop{point: q.Point, where: q.Workload.Ref, who: whoCaller, port: q.Port, protocol: r.Protocol}
	switch q.Point {
	case PointZtunnel:
		h.protocol = ProtocolTCP
		h.prog = m.server(&q.Workload, dialectZtunnel, false)
	case PointWaypoint:
		h.vip, h.inner = q.Service != nil, true
		h.where = Ref{Kind: kindGateway, Namespace: q.Waypoint.Namespace, Name: q.Waypoint.Name}
		h.prog = m.waypoint(&q.Waypoint, q.Service, envoyDialect(r.Protocol))
	default:
		h.inner = q.Tunnel
		h.prog = m.server(&q.Workload, envoyDialect(r.Protocol), q.Tunnel)
		if mode, by := m.peer(&q.Workload).sidecarMode(q.Port); mode == MTLSStrict && !q.Tunnel {
			h.strict = true
			if by != nil {
				h.strictBy = by.Key()
			}
		}
	}
	e := evaluation{req: r, caller: makeIdentity(r.From.Principal), token: r.JWT}
	return e.at(&h)
}
