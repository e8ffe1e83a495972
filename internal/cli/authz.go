package cli

import (
	"context"
	"errors"
	"runtime"

	"github.com/sidestep-mesh/sidestep/internal/authz"
	"github.com/sidestep-mesh/sidestep/internal/mesh"
	"github.com/sidestep-mesh/sidestep/internal/report"
	"github.com/sidestep-mesh/sidestep/internal/snapshot"
	"github.com/spf13/cobra"
)

func newAuthzCommand(env *Env) *cobra.Command {
	c := &cobra.Command{
		Use:   "authz",
		Short: "Ask who may call whom, or which calls two states of a mesh decide differently",
	}
	c.AddCommand(newAuthzCanCommand(env), newAuthzDiffCommand(env), newAuthzAssertCommand(env), newAuthzShadowCommand(env))
	return c
}

func newAuthzCanCommand(env *Env) *cobra.Command {
	var in inputFlags
	var call callFlags
	var output string
	var wide bool
	c := &cobra.Command{
		Use:   "can --from NS/SA --to NS/NAME:PORT",
		Short: "Say whether a call is allowed, by which enforcement point and which policy",
		Long: `Follows one call through the mesh as it is: which proxies see it, with which identity, and
what their policies say. What is not given is taken to be absent, and said so.

Exit codes: 0 allowed, 1 the question has no answer, 2 denied or unknown.`,
		Example: `  sidestep authz can --from shop/cart --to payments/api:80 --method POST --path /v1/pay
  sidestep authz can --from outside --to payments/api:80 --jwt '{"iss":"https://login.example.com","sub":"me"}'
  sidestep authz can --all-callers --to pod:payments/api:8080 -f mesh/`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := checkFormat(output, "text", "json"); err != nil {
				return err
			}
			snap, err := in.load(c.Context(), env)
			if err != nil {
				return err
			}
			world := mesh.AuthzWorld(mesh.Build(snap, mesh.Assume{}))
			text := report.TextOptions{Wide: wide, Colour: env.Colour()}
			if call.allCallers || call.allPaths {
				return listAccess(env, &world, &call, output, text)
			}
			return answerCall(env, &world, &call, output, text)
		},
	}
	in.register(c)
	call.register(c)
	outputFlag(c, &output, "text", "json")
	c.Flags().BoolVar(&wide, "wide", false, "with --all-callers or --all-paths, show examples for everybody")
	return c
}

// answerCall answers one call, once for each mode that its caller has.
func answerCall(env *Env, world *authz.World, call *callFlags, output string, text report.TextOptions) error {
	requests, err := call.requests(world)
	if err != nil {
		return err
	}
	var answers []report.CallAnswer
	for _, r := range requests {
		a, err := authz.Can(world, r)
		if err != nil {
			return err
		}
		answers = append(answers, report.CallAnswer{Request: r, Answer: a})
	}
	doc := report.NewAuthzAnswer(answers)
	if output == "json" {
		err = doc.JSON(env.Stdout)
	} else {
		err = doc.Text(env.Stdout, text)
	}
	if err == nil && !doc.Allowed() {
		err = Findings()
	}
	return err
}

// listAccess lists who may do what at a destination, or what one caller may do on every way to it.
func listAccess(env *Env, world *authz.World, call *callFlags, output string, text report.TextOptions) error {
	list, err := call.access(world)
	if err != nil {
		return err
	}
	doc := report.NewAuthzAccess(list)
	if output == "json" {
		return doc.JSON(env.Stdout)
	}
	return doc.Text(env.Stdout, text)
}

// mostDivergences are kept of a comparison; how many more there are is said.
const mostDivergences = 1_000

func newAuthzDiffCommand(env *Env) *cobra.Command {
	var in inputFlags
	var output string
	var moves []string
	var wide bool
	options := authz.Options{Max: mostDivergences}
	c := &cobra.Command{
		Use:   "diff BEFORE [AFTER]",
		Short: "Say whether two states of a mesh decide every call alike, or which calls tell them apart",
		Long: `Compares every call that any policy can tell from another: nothing is sampled. BEFORE and
AFTER are files, folders or snapshots; without BEFORE, the current context is read. With -f, AFTER is
the state after kubectl apply -f of these files, once the pods of changed workloads are new. What is in
one of them only, or differs and is known to be outside the model, is listed as not compared. With --move,
AFTER is BEFORE, or the AFTER given, after what a person would do to bring workloads into another
mode: label their templates, restart them, and for =waypoint create the Gateway, bind the Services
and copy the policies. A mode that a workload cannot be in is refused with the reason.

Exit codes: 0 equivalent, 1 not comparable, 2 at least one call is decided differently or something was not compared.`,
		Example: `  sidestep authz diff before.snapshot after.snapshot
  sidestep authz diff main/ branch/ -o json
  sidestep authz diff -f change.yaml
  sidestep authz diff mesh/ --move payments=ambient --move orders/deploy/api=ambient`,
		Args: cobra.MaximumNArgs(2),
		RunE: func(c *cobra.Command, args []string) error {
			if err := checkFormat(output, "text", "json"); err != nil {
				return err
			}
			if len(args) < 2 && len(moves)+len(in.named()) == 0 {
				return errors.New("one state cannot be compared: give BEFORE and AFTER, -f or --move")
			}
			before, after, err := diffInput(c.Context(), env, &in, args)
			if err != nil {
				return err
			}
			if after, err = moved(after, moves); err != nil {
				return err
			}
			a, b := mesh.AuthzWorld(before), mesh.AuthzWorld(after)
			if !a.Meets(&b) {
				return errors.New("the two states have no workload in common, so that nothing can be compared: BEFORE and AFTER have to be states of one mesh")
			}
			result := diffOnEveryCore(&a, &b, options)
			if output == "json" {
				err = report.AuthzDiffJSON(env.Stdout, result)
			} else {
				err = report.AuthzDiffText(env.Stdout, result, report.TextOptions{Wide: wide, Colour: env.Colour()})
			}
			if err == nil && !result.Equivalent {
				err = Findings()
			}
			return err
		},
	}
	flags := c.Flags()
	in.registerDiff(c)
	flags.StringArrayVar(&moves, "move", nil, moveUsage)
	flags.BoolVar(&options.OnlyWorkloads, "only-workloads", false, "leave out identities that policies name and no workload has")
	flags.BoolVar(&wide, "wide", false, "show every divergence")
	outputFlag(c, &output, "text", "json")
	return c
}

// registerDiff adds the flags of a command that compares two states.
func (f *inputFlags) registerDiff(c *cobra.Command) {
	flags := c.Flags()
	flags.StringArrayVarP(&f.files, "filename", "f", nil, "compare with the state after kubectl apply of this `FILE` or folder, pods of changed workloads made anew; repeatable")
	flags.StringArrayVarP(&f.kustomizations, "kustomize", "k", nil, "the same with what the kustomization of this `FOLDER` makes; repeatable")
	f.clusterFlags.register(c)
	f.saidFlags.register(c)
}

// diffInput loads the states to compare.
func diffInput(ctx context.Context, env *Env, in *inputFlags, args []string) (before, after *mesh.Mesh, err error) {
	load := func(files ...string) (*snapshot.Snapshot, error) {
		one := *in
		one.files, one.kustomizations = files, nil
		return one.load(ctx, env)
	}
	was, err := load(args[:min(1, len(args))]...)
	if err != nil {
		return nil, nil, err
	}
	before = mesh.Build(was, mesh.Assume{})
	if len(args) < 2 && len(in.named()) == 0 {
		return before, before, nil
	}
	will := was
	if len(args) > 1 {
		if will, err = load(args[1]); err != nil {
			return nil, nil, err
		}
	}
	var assume mesh.Assume
	if len(in.named()) > 0 {
		files, err := in.readFiles(env)
		if err != nil {
			return nil, nil, err
		}
		assume.Restarted = will.Rollouts(files)
		will = will.Overlay(files)
	}
	return before, mesh.Build(will, assume), nil
}

// diffOnEveryCore compares parts of the destinations side by side.
func diffOnEveryCore(before, after *authz.World, options authz.Options) authz.Result {
	parts := authz.NewProver(before).Parts(after, options, runtime.GOMAXPROCS(0))
	results := make([]authz.Result, len(parts))
	onEveryCore(len(parts), func(i int) { results[i] = parts[i]() })
	return authz.Merge(options, results...)
}
