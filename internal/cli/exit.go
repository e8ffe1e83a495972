package cli

import (
	"errors"
	"fmt"
)

// Exit codes are part of the command line's interface and never change their meaning.
const (
	// ExitClean: the command did what it was asked and there is nothing to act on.
	ExitClean = 0
	// ExitError: the command could not do what it was asked.
	ExitError = 1
	// ExitFindings: the command did what it was asked and found something to act on: findings of
	// the severity asked for, divergences, changes pending.
	ExitFindings = 2
	// ExitHeld: a migration is held or halted.
	ExitHeld = 3
)

// ExitStatus ends a command with a code other than 0 or 1. Its message, when there is one, goes to
// standard error.
type ExitStatus struct {
	Code    int
	Message string
}

func (e *ExitStatus) Error() string {
	if e.Message == "" {
		return fmt.Sprintf("exit status %d", e.Code)
	}
	return e.Message
}

// Findings ends a command whose result has something to act on. The result itself has been written.
func Findings() error { return &ExitStatus{Code: ExitFindings} }

// Held ends a command that found a migration held or halted, saying why.
func Held(why string) error { return &ExitStatus{Code: ExitHeld, Message: why} }

// codeOf returns the exit code and the message of an error that a command returned.
func codeOf(err error) (code int, message string) {
	if err == nil {
		return ExitClean, ""
	}
	if status, ok := errors.AsType[*ExitStatus](err); ok {
		return status.Code, status.Message
	}
	return ExitError, err.Error()
}
