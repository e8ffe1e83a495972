package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/sidestep-mesh/sidestep/internal/audit"
	"github.com/sidestep-mesh/sidestep/internal/gate"
	"github.com/sidestep-mesh/sidestep/internal/report"
	"github.com/sidestep-mesh/sidestep/internal/snapshot"
	"github.com/spf13/cobra"
)

// gateFlags say which findings are known and do not count.
type gateFlags struct {
	baseline, writeBaseline string
	config                  gate.Config
}

func (g *gateFlags) register(c *cobra.Command) {
	c.Flags().StringVar(&g.baseline, "baseline", "", "count only what is not in this `FILE`, which --write-baseline wrote")
	c.Flags().StringVar(&g.writeBaseline, "write-baseline", "", "write all findings as known into `FILE`, and exit with 0")
}

// configure reads the repository's settings and lets them stand for flags that were not given.
func (g *gateFlags) configure(env *Env, c *cobra.Command, in *inputFlags) error {
	start := env.Dir
	if named := in.named(); len(named) > 0 && named[0] != "-" {
		start = env.Path(named[0])
	}
	file, text, err := findConfig(env, start)
	if err != nil || file == "" {
		return err
	}
	if g.config, err = gate.ParseConfig(file, text); err != nil {
		return err
	}
	for _, code := range g.config.Codes() {
		if _, known := audit.Explain(code); !known {
			return fmt.Errorf("%s: no rule has the code %s", file, code)
		}
	}
	dir := filepath.Dir(file)
	set := func(flag string, values ...string) {
		f := c.Flags().Lookup(flag)
		if err != nil || f == nil || f.Changed {
			return
		}
		for _, v := range values {
			if v != "" && err == nil {
				if err = c.Flags().Set(flag, v); err != nil {
					err = fmt.Errorf("%s: %w", file, err)
				}
			}
		}
	}
	under := func(name string) string {
		if name == "" || filepath.IsAbs(name) {
			return name
		}
		return filepath.Join(dir, name)
	}
	if len(in.named()) == 0 && !in.live && !in.names() {
		for _, p := range g.config.Paths {
			in.files = append(in.files, under(p))
		}
	}
	set("exclude", g.config.Exclude...)
	set("istio-version", g.config.IstioVersion)
	set("mesh-config", under(g.config.MeshConfig))
	set("fail-on", g.config.FailOn)
	set("baseline", under(g.config.Baseline))
	return err
}

// findConfig looks for the settings in a folder and upwards, to the top of the Git repository.
func findConfig(env *Env, start string) (file string, text []byte, err error) {
	dir, err := filepath.Abs(start)
	if err != nil {
		return "", nil, err
	}
	if info, err := os.Stat(dir); err == nil && !info.IsDir() {
		dir = filepath.Dir(dir)
	}
	for {
		file = filepath.Join(dir, gate.ConfigName)
		text, err = os.ReadFile(file)
		if err == nil {
			if short, e := filepath.Rel(env.Dir, file); e == nil && env.Dir != "" {
				file = short
			}
			return file, text, nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return "", nil, err
		}
		if _, err := os.Stat(filepath.Join(dir, ".git")); err == nil || filepath.Dir(dir) == dir {
			return "", nil, nil
		}
		dir = filepath.Dir(dir)
	}
}

// apply marks what is known, and says on standard error which ignores ended or do nothing.
func (g *gateFlags) apply(env *Env, snap *snapshot.Snapshot, r *report.AuditReport) error {
	gate.ApplySeverities(r, g.config)
	ignores := g.config.Ignore
	for o := range snap.Objects() {
		text := o.GetAnnotations()[gate.AnnotationIgnore]
		if text == "" {
			continue
		}
		list, err := gate.FromAnnotation(report.Object{Kind: kindName(o), Namespace: o.GetNamespace(), Name: o.GetName()}, text)
		if err != nil {
			fmt.Fprintf(env.Stderr, "%s: %v; it ignores nothing\n", programName(env), err)
		}
		ignores = append(ignores, list...)
	}
	ended, idle := gate.ApplyIgnores(r, ignores, env.Now())
	for _, i := range ended {
		fmt.Fprintf(env.Stderr, "%s: %s: the ignore of %s ended on %s and hides nothing any more\n", programName(env), i.Where, i.Code, i.Until)
	}
	if !r.Filtered {
		for _, i := range idle {
			fmt.Fprintf(env.Stderr, "%s: %s: the ignore of %s matches no finding and can go\n", programName(env), i.Where, i.Code)
		}
	}
	if g.baseline != "" {
		b, err := g.read(env)
		if err != nil {
			return err
		}
		if gone := b.Apply(r); gone > 0 && !r.Filtered {
			fmt.Fprintf(env.Stderr, "%s: %d findings of %s are gone; write it anew with --write-baseline %[3]s\n", programName(env), gone, g.baseline)
		}
	}
	r.Recount()
	return nil
}

func (g *gateFlags) read(env *Env) (gate.Baseline, error) {
	f, err := os.Open(env.Path(g.baseline))
	if err != nil {
		return gate.Baseline{}, fmt.Errorf("--baseline: %w", err)
	}
	defer f.Close() //nolint:errcheck // it was only read
	b, err := gate.ReadBaseline(f)
	if err != nil {
		return b, fmt.Errorf("--baseline %s: %w", g.baseline, err)
	}
	return b, nil
}

// write records everything as known.
func (g *gateFlags) write(env *Env, in *inputFlags, r *report.AuditReport) error {
	var text strings.Builder
	b := gate.NewBaseline(r)
	if err := b.Write(&text); err != nil {
		return err
	}
	if err := os.WriteFile(env.Path(g.writeBaseline), []byte(text.String()), 0o644); err != nil {
		return fmt.Errorf("--write-baseline: %w", err)
	}
	fmt.Fprintf(env.Stderr, "wrote %d findings as known into %s; from now on: %s audit%s --baseline %[2]s\n", len(b.Findings), g.writeBaseline, programName(env), in.again())
	return nil
}

func kindName(o snapshot.Object) string {
	info, _ := snapshot.InfoOf(o)
	return info.Kind.Kind
}
