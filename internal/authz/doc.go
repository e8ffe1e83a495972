// Package authz is what Istio's authorization policies mean at each enforcement
// point, and whether two mesh states differ.
//
// A World is everything authorization depends on: the policies, the mode of each
// workload, the services and the waypoints. Can answers one call; Diff compares two
// worlds over every call and names the requests that tell them apart. The same
// compiled form of a policy serves both, so an answer and a proof cannot disagree.
//
// The package is pure: it does no I/O, reads no clock and starts no goroutine.
// docs/semantics.md says what is modelled, what is not, and with which sources.
package authz
