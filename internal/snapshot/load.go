package snapshot

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
)

const (
	// maxFile bounds one input file or stream. A cluster of 100,000 pods prints as about half of it.
	maxFile = 2 << 30
	// maxObject bounds the text of one object. etcd takes 1.5 MiB by default, the API server 3 MiB.
	maxObject = 8 << 20
	// chunkBytes is how much text one call of an Each's function decodes.
	chunkBytes = 128 << 10
)

// Input is something to load: a file, a folder or a stream.
type Input struct {
	name string
	fsys fs.FS
	root string
	r    io.Reader
}

// Path is a file, or a folder with everything below it that is named *.yaml, *.yml or *.json. The
// file or folder is root in fsys; name is how it is called in sources and messages.
func Path(name string, fsys fs.FS, root string) Input {
	return Input{name: name, fsys: fsys, root: root}
}

// Stream is text that is read to its end, such as standard input; name is how it is called in
// sources and messages.
func Stream(name string, r io.Reader) Input { return Input{name: name, r: r} }

// Each calls do(0) to do(n-1), in any order and possibly several at once, and returns when all have
// returned. It lets the caller use every core for decoding, since this package starts no goroutine.
type Each func(n int, do func(i int))

// OneByOne is the Each that uses the calling goroutine alone.
func OneByOne(n int, do func(i int)) {
	for i := range n {
		do(i)
	}
}

// Options changes how inputs are loaded. The zero value is good.
type Options struct {
	// Namespace is given to objects of namespaced kinds that name none, as kubectl apply does;
	// "default" when empty.
	Namespace string
	// Each runs the decoding; OneByOne when nil.
	Each Each
}

// Load reads inputs with the default Options; see LoadWith.
func Load(inputs ...Input) *Snapshot { return LoadWith(Options{}, inputs...) }

// LoadWith reads manifests (YAML or JSON, any number of documents, kind List and typed lists), folders
// of them, and archives of WriteArchive. It never fails as a whole: what could not be read is in
// Problems, what was read and not needed in Ignored, each with file and line.
func LoadWith(opts Options, inputs ...Input) *Snapshot {
	if opts.Namespace == "" {
		opts.Namespace = "default"
	}
	if opts.Each == nil {
		opts.Each = OneByOne
	}
	b := NewBuilder()
	var units []unit
	for _, in := range inputs {
		units = append(units, in.units(b)...)
	}
	decodeAll(b, units, opts)
	return b.Build()
}

// decodeAll decodes units in chunks and adds the results in their order, so that the snapshot does not
// depend on how opts.Each schedules.
func decodeAll(b *Builder, units []unit, opts Options) {
	var chunks [][]unit
	for rest := units; len(rest) > 0; {
		n, size := 0, 0
		for n < len(rest) && size < chunkBytes {
			size += len(rest[n].text)
			n++
		}
		chunks, rest = append(chunks, rest[:n]), rest[n:]
	}
	results := make([][]outcome, len(chunks))
	opts.Each(len(chunks), func(i int) {
		d := decoder{namespace: opts.Namespace}
		for _, u := range chunks[i] {
			d.unit(u)
		}
		results[i] = d.out
	})
	for i, out := range results {
		for _, o := range out {
			o.addTo(b)
		}
		results[i] = nil
	}
}

// units reads the input and cuts it into pieces that decode on their own.
func (in Input) units(b *Builder) []unit {
	if in.r != nil {
		return readUnits(b, in.name, in.r)
	}
	info, err := fs.Stat(in.fsys, in.root)
	if err != nil {
		b.Report(Problem{Source: Source{File: in.name}, Message: "cannot be read: " + reason(err)})
		return nil
	}
	if !info.IsDir() {
		return in.file(b, in.root, in.name)
	}
	var units []unit
	found := false
	err = fs.WalkDir(in.fsys, in.root, func(p string, e fs.DirEntry, err error) error {
		shown := path.Join(in.name, strings.TrimPrefix(strings.TrimPrefix(p, in.root), "/"))
		switch {
		case err != nil:
			b.Report(Problem{Source: Source{File: shown}, Message: "cannot be read: " + reason(err)})
		case e.IsDir() && p != in.root && strings.HasPrefix(e.Name(), "."):
			return fs.SkipDir
		case !e.IsDir() && isManifestName(e.Name()):
			found = true
			units = append(units, in.file(b, p, shown)...)
		}
		return nil
	})
	if err == nil && !found {
		b.Report(Problem{Source: Source{File: in.name}, Message: "the folder holds no *.yaml, *.yml or *.json file"})
	}
	return units
}

func isManifestName(name string) bool {
	return slices.Contains([]string{".yaml", ".yml", ".json"}, strings.ToLower(path.Ext(name)))
}

func (in Input) file(b *Builder, p, shown string) []unit {
	f, err := in.fsys.Open(p)
	if err != nil {
		b.Report(Problem{Source: Source{File: shown}, Message: "cannot be read: " + reason(err)})
		return nil
	}
	defer f.Close()
	return readUnits(b, shown, f)
}

// reason strips the path that fs errors repeat: the Problem names the file already.
func reason(err error) string {
	if pe := (*fs.PathError)(nil); errors.As(err, &pe) {
		return pe.Err.Error()
	}
	return err.Error()
}

// readUnits reads r to its end. The start decides what it is, so that a binary file is refused
// before it is read.
func readUnits(b *Builder, name string, r io.Reader) []unit {
	src := Source{File: name}
	head := make([]byte, 4096)
	n, err := io.ReadFull(r, head)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		b.Report(Problem{Source: src, Message: "cannot be read: " + reason(err)})
		return nil
	}
	head = head[:n]
	all := io.MultiReader(bytes.NewReader(head), io.LimitReader(r, maxFile-int64(n)+1))
	if isGzip(head) {
		return readArchive(b, name, all)
	}
	if bytes.IndexByte(head, 0) >= 0 {
		b.Report(Problem{Source: src, Message: "a binary file, not YAML or JSON text in UTF-8"})
		return nil
	}
	var text bytes.Buffer
	if f, ok := r.(fs.File); ok {
		if info, err := f.Stat(); err == nil && info.Size() < maxFile {
			text.Grow(int(info.Size()) + bytes.MinRead)
		}
	}
	if _, err := text.ReadFrom(all); err != nil {
		b.Report(Problem{Source: src, Message: "cannot be read: " + reason(err)})
		return nil
	}
	if text.Len() > maxFile {
		b.Report(Problem{Source: src, Message: fmt.Sprintf("larger than %d MiB: split it", maxFile>>20)})
		return nil
	}
	units := split(name, bytes.TrimPrefix(text.Bytes(), []byte("\xef\xbb\xbf")))
	if len(units) == 0 {
		b.Report(Problem{Source: src, Message: "empty: it holds no object"})
	}
	return units
}
