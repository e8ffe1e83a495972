// Package sarif holds Sidestep's SARIF output against the schema that OASIS publishes (errata 01 of SARIF 2.1.0). The schema is
// read from a module that carries it, so that it is neither copied here nor fetched when tests run.
package sarif
