// Package snapshot is an immutable, indexed set of typed API objects, read from and written to files. It never holds a Secret. Pure.
package snapshot
