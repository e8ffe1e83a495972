// Package roi is the cost model, node packing and latency statistics. Pure.
package roi
