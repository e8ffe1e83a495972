package cli

import (
	"io"
	"path/filepath"
	"time"

	"github.com/sidestep-mesh/sidestep/internal/report"
)

// Env is everything a command may touch of the process it runs in. Tests give their own.
type Env struct {
	// Args0 is the name the program was started under; kubectl-sidestep makes it a kubectl plugin.
	Args0 string
	// Dir is the folder relative paths start from.
	Dir            string
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	// StdoutIsTerminal and StderrIsTerminal decide about colours and progress.
	StdoutIsTerminal, StderrIsTerminal bool
	// Getenv looks an environment variable up.
	Getenv func(string) string
	// Now is the clock.
	Now func() time.Time
}

// Path resolves a path that a user gave.
func (e *Env) Path(p string) string {
	if filepath.IsAbs(p) {
		return p
	}
	return filepath.Join(e.Dir, p)
}

// Colour tells whether standard output wants colours: on a terminal, unless NO_COLOR is set to
// anything (https://no-color.org) or the terminal is dumb.
func (e *Env) Colour() bool {
	return e.StdoutIsTerminal && e.Getenv("NO_COLOR") == "" && e.Getenv("TERM") != "dumb"
}

// provenance says what a report is of and what made it.
func (e *Env) provenance(source string) report.Provenance {
	return report.Provenance{Source: source, Time: e.Now().UTC().Format(time.RFC3339), Program: Version()}
}
