package cli

import (
	"errors"
	"fmt"
	"runtime"
	"strconv"
	"strings"

	"github.com/sidestep-mesh/sidestep/internal/mesh"
	"github.com/sidestep-mesh/sidestep/internal/report"
	"github.com/sidestep-mesh/sidestep/internal/route"
	"github.com/spf13/cobra"
)

func newRouteCommand(env *Env) *cobra.Command {
	c := &cobra.Command{
		Use:   "route",
		Short: "Ask where a call goes, or which calls two states of a mesh route otherwise",
	}
	c.AddCommand(newRouteCanCommand(env), newRouteDiffCommand(env), newRouteTranslateCommand(env))
	return c
}

// routeFlags describe one call.
type routeFlags struct {
	from, to, method, path, host, sni string
	headers                           []string
	tcp                               bool
}

func newRouteCanCommand(env *Env) *cobra.Command {
	var in inputFlags
	var call routeFlags
	var output string
	c := &cobra.Command{
		Use:   "can --from NS/WORKLOAD --to NS/SERVICE:PORT",
		Short: "Say where a call goes, what is done to it on the way, and which fields say so",
		Long: `Follows one call to the proxy that routes it: the caller's sidecar, the waypoint of the
Service, or nobody. What is not given is taken to be absent.

Exit codes: 0 it goes somewhere, 1 the question has no answer, 2 it is refused.`,
		Example: `  sidestep route can --from shop/cart --to shop/reviews:9080 --path /v2/list
  sidestep route can --from shop/cart --to api.example.com:443 -f mesh/`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := checkFormat(output, "text", "json"); err != nil {
				return err
			}
			snap, err := in.load(c.Context(), env)
			if err != nil {
				return err
			}
			m := mesh.Build(snap, mesh.Assume{})
			doc, err := call.answer(m)
			if err != nil {
				return err
			}
			if output == "json" {
				err = doc.JSON(env.Stdout)
			} else {
				err = doc.Text(env.Stdout, report.TextOptions{Colour: env.Colour()})
			}
			if err == nil && doc.Refused() {
				err = Findings()
			}
			return err
		},
	}
	in.register(c)
	call.register(c)
	outputFlag(c, &output, "text", "json")
	return c
}

func (f *routeFlags) register(c *cobra.Command) {
	flags := c.Flags()
	flags.StringVar(&f.from, "from", "", "caller: `NS/[KIND/]WORKLOAD`")
	flags.StringVar(&f.to, "to", "", "destination: `NS/SERVICE:PORT` or HOST:PORT")
	flags.StringVar(&f.method, "method", "", "HTTP `METHOD`")
	flags.StringVar(&f.path, "path", "", "HTTP `PATH`, with its query if it has one")
	flags.StringVar(&f.host, "host", "", "HTTP `HOST`, where it is not the destination's")
	flags.StringArrayVar(&f.headers, "header", nil, "HTTP header `NAME=VALUE`; repeatable")
	flags.StringVar(&f.sni, "sni", "", "server `NAME` of the TLS connection")
	flags.BoolVar(&f.tcp, "tcp", false, "the caller does not speak HTTP")
	for _, name := range []string{"from", "to"} {
		if err := c.MarkFlagRequired(name); err != nil {
			panic(err) // the flag was registered above
		}
	}
}

// answer asks once for each workload that --from means.
func (f *routeFlags) answer(m *mesh.Mesh) (*report.RouteAnswer, error) {
	q, err := f.query()
	if err != nil {
		return nil, err
	}
	world := mesh.RouteWorld(m)
	var answers []route.Answer
	for _, w := range m.Workloads {
		if w.Role != mesh.Application || !report.Means(f.from, w.Namespace, w.Kind, w.Name) {
			continue
		}
		q.From = route.Ref(w.Ref)
		a, err := route.Can(&world, q)
		if err != nil {
			return nil, err
		}
		answers = append(answers, a)
	}
	if len(answers) == 0 {
		return nil, fmt.Errorf("--from %s: no application workload is called so", f.from)
	}
	return report.NewRouteAnswer(answers), nil
}

func (f *routeFlags) query() (route.Query, error) {
	i := strings.LastIndexByte(f.to, ':')
	if i <= 0 {
		return route.Query{}, fmt.Errorf("--to %s: want NS/SERVICE:PORT or HOST:PORT", f.to)
	}
	port, err := strconv.ParseUint(f.to[i+1:], 10, 16)
	if err != nil || port == 0 {
		return route.Query{}, fmt.Errorf("--to %s: %s is no port", f.to, f.to[i+1:])
	}
	path, query, _ := strings.Cut(f.path, "?")
	if path != "" && !strings.HasPrefix(path, "/") {
		return route.Query{}, fmt.Errorf("--path %s: an HTTP path begins with a slash", f.path)
	}
	q := route.Query{To: f.to[:i], Port: uint32(port), Request: route.Request{Method: f.method, Path: path, Authority: f.host, SNI: f.sni}}
	if f.tcp {
		q.Speech = route.SpeakTCP
	}
	pairs := func(list []string, flag string, lower bool) (map[string]string, error) {
		out := map[string]string{}
		for _, h := range list {
			name, value, ok := strings.Cut(h, "=")
			if !ok {
				return nil, fmt.Errorf("%s %s: want NAME=VALUE", flag, h)
			}
			if lower {
				name = strings.ToLower(name)
			}
			out[name] = value
		}
		return out, nil
	}
	if q.Headers, err = pairs(f.headers, "--header", true); err != nil {
		return q, err
	}
	if query != "" {
		q.Query, err = pairs(strings.Split(query, "&"), "--path", false)
	}
	return q, err
}

func newRouteTranslateCommand(env *Env) *cobra.Command {
	var in inputFlags
	var output string
	var all bool
	c := &cobra.Command{
		Use:   "translate",
		Short: "Write VirtualServices as routes of the Gateway API, and say what that would change",
		Long: `Turns each VirtualService of the mesh, and the subsets that it names, into HTTPRoutes, TCPRoutes
and TLSRoutes on the Service, with a Service for each version. Today's sidecars are then compared with the waypoint
that would have these routes, for every class of calls. Fields that no route expresses are named, with what would.

With -o yaml the objects are written that change nothing; --all writes the others too. Nothing is applied.

Exit codes: 0 everything can be written so that nothing changes, 1 error, 2 something is lost or differs.`,
		Example: `  sidestep route translate -f mesh/
  sidestep route translate -f mesh/ -o yaml > routes.yaml`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := checkFormat(output, "text", "json", "yaml"); err != nil {
				return err
			}
			snap, err := in.load(c.Context(), env)
			if err != nil {
				return err
			}
			world := mesh.RouteWorld(mesh.Build(snap, mesh.Assume{}))
			doc := report.NewRouteTranslation(route.Translate(&world))
			switch output {
			case "json":
				err = doc.JSON(env.Stdout)
			case "yaml":
				err = doc.YAML(env.Stdout, all)
			default:
				err = doc.Text(env.Stdout, report.TextOptions{Colour: env.Colour()})
			}
			if err == nil && !doc.Exact() {
				err = Findings()
			}
			return err
		},
	}
	in.register(c)
	c.Flags().BoolVar(&all, "all", false, "with -o yaml: write translations that change calls as well")
	outputFlag(c, &output, "text", "json", "yaml")
	return c
}

func newRouteDiffCommand(env *Env) *cobra.Command {
	var in inputFlags
	var output string
	var moves []string
	var wide bool
	c := &cobra.Command{
		Use:   "diff BEFORE [AFTER]",
		Short: "Say whether two states of a mesh route every call alike, or which calls tell them apart",
		Long: `Compares what becomes of every class of calls of every workload to every host: where it
goes, what is changed on the way, time limits, retries, TLS and balance. Nothing is sampled. BEFORE and
AFTER are files, folders or snapshots. With -f, AFTER is the state after kubectl apply -f of these
files, once the pods of changed workloads are new. With --move, AFTER is BEFORE, or the AFTER given, with
some workloads in another mode; without BEFORE, the current context is read.

Exit codes: 0 equivalent, 1 not comparable, 2 a call is routed otherwise, or something was left out.`,
		Example: `  sidestep route diff before.snapshot after.snapshot
  sidestep route diff mesh/ --move shop=ambient`,
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
			a, b := mesh.RouteWorld(before), mesh.RouteWorld(after)
			parts := make([]route.Result, runtime.GOMAXPROCS(0))
			onEveryCore(len(parts), func(i int) { parts[i] = route.DiffShard(&a, &b, i, len(parts)) })
			doc := report.NewRouteDiff(route.Merge(parts...))
			if output == "json" {
				err = doc.JSON(env.Stdout)
			} else {
				err = doc.Text(env.Stdout, report.TextOptions{Wide: wide, Colour: env.Colour()})
			}
			if err == nil && !doc.Equivalent {
				err = Findings()
			}
			return err
		},
	}
	flags := c.Flags()
	in.registerDiff(c)
	flags.StringArrayVar(&moves, "move", nil, moveUsage)
	flags.BoolVar(&wide, "wide", false, "show every difference")
	outputFlag(c, &output, "text", "json")
	return c
}
