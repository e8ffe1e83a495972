package cli

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"

	"github.com/sidestep-mesh/sidestep/internal/authz"
	"github.com/sidestep-mesh/sidestep/internal/mesh"
	"github.com/sidestep-mesh/sidestep/internal/replay"
	"github.com/sidestep-mesh/sidestep/internal/report"
	"github.com/spf13/cobra"
)

// mostLogLines bounds what explain --log explains one by one; authz shadow is for more.
const mostLogLines = 1000

const logHelp = `

With --log, says of each line of an access log (Envoy's as istiod writes it, text or JSON, or
ztunnel's) which policy at which point decided, with which identity, and the smallest change of
policy that would admit the call, with whatever else that change would admit. Exit codes of
--log: 0 explained, 1 a line is none or cannot be placed, 2 the model decides a line otherwise.`

// logFlags are what explain --log asks beyond its input.
type logFlags struct {
	file     string
	from, to string
}

func (f *logFlags) register(c *cobra.Command) {
	c.Flags().StringVar(&f.file, "log", "", "explain the lines of an access log `FILE` of Envoy or ztunnel; - is standard input")
	c.Flags().StringVar(&f.from, "from", "", "with --log: who called, as in authz can, where the lines do not tell")
	c.Flags().StringVar(&f.to, "to", "", "with --log: the destination, as in authz can, where the lines do not tell")
}

// explainLog explains every line. A line that is none is said to be so, and ends the command with an error after the others.
func explainLog(c *cobra.Command, env *Env, in *inputFlags, f *logFlags, output string, options report.TextOptions) error {
	text, err := readWhole(env, f.file)
	if err != nil {
		return err
	}
	if f.file == "-" && len(in.files) == 1 && in.files[0] == "-" {
		return errors.New("--log - and -f - cannot both be standard input")
	}
	snap, err := in.load(c.Context(), env)
	if err != nil {
		return err
	}
	m := mesh.Build(snap, mesh.Assume{})
	world := mesh.AuthzWorld(m)
	hint, err := f.hint(&world)
	if err != nil {
		return err
	}
	index := replay.NewIndex(&world, mesh.PodOwners(m))
	doc := report.NewLogExplanation()
	scanner := logScanner(text)
	for n := 1; scanner.Scan(); n++ {
		if len(bytes.TrimSpace(scanner.Bytes())) == 0 {
			continue
		}
		if len(doc.Lines) == mostLogLines {
			return fmt.Errorf("%s has more than %d lines; use authz shadow for many, or pick those to explain", f.file, mostLogLines)
		}
		line, err := replay.Parse(scanner.Text())
		var v *replay.Verdict
		if err == nil {
			v, err = index.Decide(line, hint)
		}
		doc.Add(n, v, err)
	}
	switch {
	case scanner.Err() != nil:
		return fmt.Errorf("%s: %w", f.file, scanner.Err())
	case len(doc.Lines) == 0:
		return fmt.Errorf("%s has no line", f.file)
	case output == "json":
		err = doc.JSON(env.Stdout)
	default:
		err = doc.Text(env.Stdout, options)
	}
	problems, differing := doc.Problems()
	switch {
	case err != nil:
		return err
	case problems > 0:
		return &ExitStatus{Code: ExitError}
	case differing > 0:
		return Findings()
	}
	return nil
}

func logScanner(text []byte) *bufio.Scanner {
	s := bufio.NewScanner(bytes.NewReader(text))
	s.Buffer(nil, 1<<20)
	return s
}

func (f *logFlags) hint(w *authz.World) (replay.Hint, error) {
	var h replay.Hint
	if f.from != "" {
		call := callFlags{from: f.from}
		callers, err := call.callers(w)
		if err != nil {
			return h, err
		}
		h.From = &callers[0]
	}
	if f.to != "" {
		call := callFlags{to: f.to}
		_, destinations, err := call.call(w)
		if err != nil {
			return h, err
		}
		h.To = &destinations[0]
	}
	return h, nil
}

func newAuthzShadowCommand(env *Env) *cobra.Command {
	var in inputFlags
	var output, file string
	var moves []string
	var wide bool
	c := &cobra.Command{
		Use:   "shadow BEFORE [AFTER] --log FILE",
		Short: "Replay an access log on another state: which real calls would be decided otherwise, and how many",
		Long: `Reads access logs of Envoy (istiod's default formats, text or JSON) and of ztunnel, and asks two
states about each call. BEFORE is the state that was logged; its pods say who has which address.
AFTER is another, or with --move the same with some workloads in another mode.

Exit codes: 0 every call is decided alike, 1 nothing could be replayed, 2 some calls flip.`,
		Example: `  kubectl logs -n payments -l app=api -c istio-proxy | sidestep authz shadow now.snapshot --move payments=ambient --log -
  sidestep authz shadow before.snapshot after.snapshot --log access.log`,
		Args: cobra.MaximumNArgs(2),
		RunE: func(c *cobra.Command, args []string) error {
			if err := checkFormat(output, "text", "json"); err != nil {
				return err
			}
			if len(args) < 2 && len(moves) == 0 {
				return errors.New("one state tells nothing apart: give BEFORE and AFTER, or --move")
			}
			text, err := readWhole(env, file)
			if err != nil {
				return err
			}
			before, after, err := diffInput(c.Context(), env, &in, args)
			if err != nil {
				return err
			}
			if after, err = moved(after, moves); err != nil {
				return err
			}
			a, b := mesh.AuthzWorld(before), mesh.AuthzWorld(after)
			s := replay.NewShadower(&a, &b, mesh.PodOwners(before))
			scanner := logScanner(text)
			for scanner.Scan() {
				s.Line(scanner.Text())
			}
			if err := scanner.Err(); err != nil {
				return fmt.Errorf("%s: %w", file, err)
			}
			doc := report.NewAuthzShadow(s.Result())
			if output == "json" {
				err = doc.JSON(env.Stdout)
			} else {
				err = doc.Text(env.Stdout, report.TextOptions{Wide: wide, Colour: env.Colour()})
			}
			switch {
			case err != nil:
				return err
			case doc.Decided == 0:
				return fmt.Errorf("%s: none of its %d lines is a call that could be replayed", file, doc.Lines)
			case len(doc.Flips) > 0:
				return Findings()
			}
			return nil
		},
	}
	flags := c.Flags()
	in.clusterFlags.register(c)
	flags.StringVar(&file, "log", "", "access log `FILE`; - is standard input")
	flags.StringArrayVar(&moves, "move", nil, moveUsage)
	flags.BoolVar(&wide, "wide", false, "show every sort of call that flips")
	outputFlag(c, &output, "text", "json")
	if err := c.MarkFlagRequired("log"); err != nil {
		panic(err) // the flag was registered above
	}
	return c
}
