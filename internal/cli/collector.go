package cli

import "runtime/debug"

// collectorPercent is how much garbage may gather, in percent of what is live, before it is collected. A mesh is
// mostly objects that live to the end, so the default's headroom of all of it again would mostly be paid for in memory.
const collectorPercent = 35

// TuneCollector sets up the garbage collector of this process as the program ships, and returns what undoes it. The
// environment variable GOGC still decides when it is set.
func TuneCollector(getenv func(string) string) (undo func()) {
	if getenv("GOGC") != "" {
		return func() {}
	}
	before := debug.SetGCPercent(collectorPercent)
	return func() { debug.SetGCPercent(before) }
}
