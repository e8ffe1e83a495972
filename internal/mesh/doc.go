// Package mesh is facts per workload and service, derived from a snapshot: role, mode in effect, identity, waypoint, L7 features, policies. Pure.
package mesh
