//go:build lab && !roi

package e2e

import "github.com/sidestep-mesh/sidestep/test/lab/scenario"

// wanted are the scenarios that are loaded before the tests: all of them, side by side.
var wanted = scenario.Names()
