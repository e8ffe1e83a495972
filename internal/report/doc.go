// Package report is view models and renderers of every result, to an io.Writer.
package report
