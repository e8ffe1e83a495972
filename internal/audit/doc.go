// Package audit is rules over mesh facts, their findings, and the verdict: the cheapest mode that keeps a workload's behaviour. Pure.
package audit
