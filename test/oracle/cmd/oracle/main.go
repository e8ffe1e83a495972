// Command oracle makes and checks the authorization corpus.
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"

	"istio.io/istio/pilot/pkg/features"
	"istio.io/istio/pkg/log"

	"github.com/sidestep-mesh/sidestep/test/oracle/corpus"
	"github.com/sidestep-mesh/sidestep/test/oracle/generate"
	"github.com/sidestep-mesh/sidestep/test/oracle/judge"
)

func main() {
	features.EnableAmbient = true
	out := flag.String("out", "../../internal/authz/testdata/corpus/istio-1.31", "corpus folder")
	n := flag.Int("cases", 40, "generated cases")
	flag.Parse()
	o := log.DefaultOptions()
	o.SetDefaultOutputLevel("all", log.NoneLevel)
	_ = log.Configure(o)
	var cases []*corpus.Case
	for i := range *n {
		c, err := generate.Case(1, i)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		if err := judge.All(c); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		cases = append(cases, c)
	}
	f, err := os.Create(filepath.Join(*out, "generated.jsonl.gz"))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	defer f.Close()
	if err := corpus.Write(f, cases); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
