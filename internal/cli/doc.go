// Package cli is the commands, flags and exit codes of sidestep. It holds no logic: a command reads
// its flags, asks the packages below, and hands the result to package report.
//
// A command is a constructor newXCommand(env *Env) *cobra.Command in a file of its own, listed in
// root.go. It reaches the outside world through Env alone, so that whole stories run in process in
// tests.
package cli
