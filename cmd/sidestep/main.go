// Command sidestep moves an Istio mesh from sidecars to a hybrid ambient mesh.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/sidestep-mesh/sidestep/internal/cli"
	"golang.org/x/term"
)

func main() {
	cli.TuneCollector(os.Getenv)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := cli.Run(ctx, &cli.Env{
		Args0:            os.Args[0],
		Stdin:            os.Stdin,
		Stdout:           os.Stdout,
		Stderr:           os.Stderr,
		StdoutIsTerminal: term.IsTerminal(int(os.Stdout.Fd())),
		StderrIsTerminal: term.IsTerminal(int(os.Stderr.Fd())),
		Getenv:           os.Getenv,
		Now:              time.Now,
	}, os.Args[1:])
	stop()
	os.Exit(code)
}
