// Package cli is the cobra commands, flags and exit codes. No logic lives here.
package cli
