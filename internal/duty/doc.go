// Package duty compares what a Migration asks for with what is there: counts, conditions, what the modes in effect do not enforce, what
// changed since the last look. It decides nothing about modes, the audit does, and writes nothing: it returns the status and the
// events that tell it.
package duty
