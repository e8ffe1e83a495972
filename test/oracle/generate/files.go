package generate

import (
	"maps"
	"slices"

	"github.com/sidestep-mesh/sidestep/test/oracle/corpus"
)

// File is one corpus file before judgement.
type File struct {
	Name  string
	Cases []*corpus.Case
}

// Files makes all cases of the corpus.
func Files(seed uint64, generated, oddCases int) ([]File, error) {
	written := File{Name: "written.jsonl.gz"}
	for _, f := range slices.Concat(scenarios(), singleFields(), mistakes()) {
		c, err := fixedCase(seed, f)
		if err != nil {
			return nil, err
		}
		written.Cases = append(written.Cases, c)
	}
	made := File{Name: "generated.jsonl.gz"}
	for n := range generated {
		c, err := Case(seed, n)
		if err != nil {
			return nil, err
		}
		made.Cases = append(made.Cases, c)
	}
	odd := File{Name: "odd.jsonl.gz"}
	for n := range oddCases {
		c, err := OddCase(seed, n)
		if err != nil {
			return nil, err
		}
		odd.Cases = append(odd.Cases, c)
	}
	edges := File{Name: "edges.jsonl.gz"}
	for n := range oddCases / 10 {
		c, err := EdgeCase(seed, n)
		if err != nil {
			return nil, err
		}
		edges.Cases = append(edges.Cases, c)
	}
	return []File{written, edges, odd, made}, nil
}

func sorted(m map[string]string) []string { return slices.Sorted(maps.Keys(m)) }
