// Package metric is the PromQL catalogue: name, unit, query, and what no data means. Pure.
package metric
