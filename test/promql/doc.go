// Package promql runs the metric catalogue on the real PromQL engine, and the client on the real HTTP API. Its tests are its only content.
package promql
