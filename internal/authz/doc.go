// Package authz is what Istio's authorization policies mean at each enforcement
// point, and whether two mesh states differ.
//
// A World is everything authorization depends on: the policies, the mode of each
// workload, the services and the waypoints. Can answers one call; Diff compares two
// worlds over every call and names the requests that tell them apart. The same
// compiled form of a policy serves both, so an answer and a proof cannot disagree.
//
// A reader may take the files in this order:
//
//   - world, policies, answer: what goes in, what comes out
//   - compile, validate, values, identity, pattern, template, literal, interner: one policy,
//     read as written; cubes of literals
//   - envoy, ztunnel, peer: what each enforcement point makes of it; program: of all that attach
//     there; attach, model: which those are; fate: what ztunnel loses
//   - path, client, targets, callers: which points see a call, with which identity
//   - eval, normalize, preflight, can, point, words: one request
//   - fold, region, classes, trie, bitset, search: all requests of a scenario at once; decide, split,
//     cover, split_patterns: one that is too large for that
//   - diff, finding, access, document: all scenarios; what is said of them
//
// The package is pure: it does no I/O, reads no clock and starts no goroutine.
// docs/semantics.md says what is modelled, what is not, and with which sources.
package authz
