// Package analyzers loads the manifests that Istio's own analyzers are tested with, from the module cache, and
// proves that Sidestep reads or accounts for every object in them.
package analyzers
