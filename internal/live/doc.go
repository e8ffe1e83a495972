// Package live is the only package that talks to a network: collecting objects, and Prometheus.
package live
