// Package authz is what Istio's authorization policies mean at each enforcement point, and whether two mesh states differ. Pure.
package authz
