package generate

import "github.com/sidestep-mesh/sidestep/test/oracle/corpus"

// File is one corpus file before judgement.
type File struct {
	Name  string
	Cases []*corpus.Case
}

// Files makes all cases of the corpus.
func Files(seed uint64, generated int) ([]File, error) {
	f := File{Name: "generated.jsonl.gz"}
	for n := range generated {
		c, err := Case(seed, n)
		if err != nil {
			return nil, err
		}
		f.Cases = append(f.Cases, c)
	}
	return []File{f}, nil
}
