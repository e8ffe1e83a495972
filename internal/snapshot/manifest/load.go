// Package manifest reads objects into a snapshot: files, folders, lists and archives, and what a cluster lists; and it writes
// archives.
package manifest

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/sidestep-mesh/sidestep/internal/snapshot"
)

const (
	// maxFile bounds one input file or stream. A cluster of 100,000 pods prints as about half of it.
	maxFile = 2 << 30
	// maxObject bounds the text of one object. etcd takes 1.5 MiB by default, the API server 3 MiB.
	maxObject = 8 << 20
	// windowBytes is how much text is read before it is decoded; a document is never cut.
	windowBytes = 2 << 20
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
	// Exclude are globs of files that are not read; see CheckGlob.
	Exclude []string
	// Each runs the decoding; OneByOne when nil.
	Each Each
}

// Load reads inputs with the default Options; see LoadWith.
func Load(inputs ...Input) *snapshot.Snapshot { return LoadWith(Options{}, inputs...) }

// LoadWith reads manifests (YAML or JSON, any number of documents, kind List and typed lists), folders
// of them, and archives of WriteArchive. It never fails as a whole: what could not be read is in
// Problems, what was read and not needed in Ignored, each with file and line.
func LoadWith(opts Options, inputs ...Input) *snapshot.Snapshot {
	if opts.Namespace == "" {
		opts.Namespace = "default"
	}
	if opts.Each == nil {
		opts.Each = OneByOne
	}
	l := loader{b: snapshot.NewBuilder(), opts: opts}
	for _, glob := range opts.Exclude {
		if re, err := globPattern(glob); err == nil {
			l.exclude = append(l.exclude, re)
		} else {
			l.b.Report(snapshot.Problem{Message: err.Error()})
		}
	}
	for _, in := range inputs {
		in.read(&l)
	}
	l.flush()
	return l.b.Build()
}

// loader gathers units and decodes them window by window, so that the text of a large input never stands in
// memory whole beside the objects made of it.
type loader struct {
	b       *snapshot.Builder
	opts    Options
	exclude []*regexp.Regexp
	units   []unit
	pending int // bytes of text in units
}

func (l *loader) add(units []unit) {
	for _, u := range units {
		l.units = append(l.units, u)
		l.pending += len(u.text)
	}
	if l.pending >= windowBytes {
		l.flush()
	}
}

func (l *loader) problem(file, format string, args ...any) {
	l.b.Report(snapshot.Problem{Source: snapshot.Source{File: file}, Message: fmt.Sprintf(format, args...)})
}

// flush decodes what is gathered, in chunks, and adds the results in the order of the input, so that the snapshot
// does not depend on how opts.Each schedules.
func (l *loader) flush() {
	var chunks [][]unit
	for rest := l.units; len(rest) > 0; {
		n, size := 0, 0
		for n < len(rest) && size < chunkBytes {
			size += len(rest[n].text)
			n++
		}
		chunks, rest = append(chunks, rest[:n]), rest[n:]
	}
	results := make([][]outcome, len(chunks))
	l.opts.Each(len(chunks), func(i int) {
		d := decoder{namespace: l.opts.Namespace, out: make([]outcome, 0, len(chunks[i]))}
		for _, u := range chunks[i] {
			d.unit(u)
		}
		results[i] = d.out
	})
	for _, out := range results {
		for _, o := range out {
			o.addTo(l.b)
		}
	}
	clear(l.units)
	l.units, l.pending = l.units[:0], 0
}

// read cuts the input into units.
func (in Input) read(l *loader) {
	if in.r != nil {
		l.read(in.name, in.r)
		return
	}
	info, err := fs.Stat(in.fsys, in.root)
	if err != nil {
		l.problem(in.name, "cannot be read: %s", reason(err))
		return
	}
	if !info.IsDir() {
		if !l.excluded(in.name) && !l.excluded(path.Base(in.name)) {
			in.file(l, in.root, in.name)
		}
		return
	}
	found := false
	err = fs.WalkDir(in.fsys, in.root, func(p string, e fs.DirEntry, err error) error {
		shown := path.Join(in.name, strings.TrimPrefix(strings.TrimPrefix(p, in.root), "/"))
		switch {
		case err != nil:
			l.problem(shown, "cannot be read: %s", reason(err))
		case p != in.root && (l.excluded(strings.TrimPrefix(strings.TrimPrefix(p, in.root), "/")) || l.excluded(shown)):
			found = true // there are files, and they were not wanted
			if e.IsDir() {
				return fs.SkipDir
			}
		case e.IsDir() && p != in.root && strings.HasPrefix(e.Name(), "."):
			return fs.SkipDir
		case e.IsDir() && in.isChart(p):
			l.problem(shown, "a Helm chart that is not rendered: read what comes out of it, as in helm template %s | sidestep audit -f -", shown)
			found = true
		case e.IsDir() && p != in.root && slices.Contains([]string{"templates", "charts"}, e.Name()) && in.isChart(path.Dir(p)),
			!e.IsDir() && (e.Name() == "Chart.yaml" || strings.HasPrefix(e.Name(), "values")) && in.isChart(path.Dir(p)):
			if e.IsDir() {
				return fs.SkipDir
			}
		case !e.IsDir() && IsKustomization(e.Name()):
			found = true
			in.kustomization(l, p, shown)
		case !e.IsDir() && isManifestName(e.Name()):
			found = true
			in.file(l, p, shown)
		}
		return nil
	})
	if err == nil && !found {
		l.problem(in.name, "the folder holds no *.yaml, *.yml or *.json file")
	}
}

// isChart reports whether a folder is a Helm chart with templates of its own.
func (in Input) isChart(folder string) bool {
	_, err := fs.Stat(in.fsys, path.Join(folder, "Chart.yaml"))
	_, err2 := fs.Stat(in.fsys, path.Join(folder, "templates"))
	return err == nil && err2 == nil
}

func isManifestName(name string) bool {
	return slices.Contains([]string{".yaml", ".yml", ".json"}, strings.ToLower(path.Ext(name)))
}

func (in Input) file(l *loader, p, shown string) {
	f, err := in.fsys.Open(p)
	if err != nil {
		l.problem(shown, "cannot be read: %s", reason(err))
		return
	}
	defer f.Close()
	l.read(shown, f)
}

// reason strips the path that fs errors repeat: the Problem names the file already.
func reason(err error) string {
	if pe := (*fs.PathError)(nil); errors.As(err, &pe) {
		return pe.Err.Error()
	}
	return err.Error()
}

// read reads r to its end. The start decides what it is, so that a binary file is refused before it is read.
func (l *loader) read(name string, r io.Reader) {
	in := bufio.NewReaderSize(r, 4096)
	head, err := in.Peek(4096)
	switch {
	case err != nil && !errors.Is(err, io.EOF):
		l.problem(name, "cannot be read: %s", reason(err))
	case isGzip(head):
		l.archive(name, in)
	case bytes.IndexByte(head, 0) >= 0:
		l.problem(name, "a binary file, not YAML or JSON text in UTF-8")
	default:
		if bytes.HasPrefix(head, []byte("\xef\xbb\xbf")) {
			_, _ = in.Discard(3)
		}
		l.text(name, in)
	}
}

// text reads manifests, a window at a time, each cut where a document begins. A document that is larger than a
// window, such as a list, is read whole.
func (l *loader) text(name string, r io.Reader) {
	o := &origin{file: name}
	found, line, total := 0, 1, 0
	window := make([]byte, 0, 32<<10) // most files are small
	for {
		n, err := io.ReadFull(r, window[len(window):cap(window)])
		window, total = window[:len(window)+n], total+n
		last := errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
		switch {
		case err != nil && !last:
			l.problem(name, "cannot be read: %s", reason(err))
			return
		case total > maxFile:
			l.problem(name, "larger than %d MiB: split it", maxFile>>20)
			return
		}
		cut := len(window)
		if !last {
			cut = lastDocument(window)
		}
		if cut == 0 && !last {
			window = slices.Grow(window, cap(window))
			continue
		}
		before := len(l.units)
		l.units = split(l.units, o, window[:cut], line)
		units := l.units[before:]
		found += len(units)
		for i := range units {
			l.pending += len(units[i].text)
		}
		if last {
			break
		}
		line += bytes.Count(window[:cut], []byte("\n"))
		// The units lie in this window; the next begins with what they left, in the same place once they are decoded.
		if rest := window[cut:]; cap(window) < windowBytes {
			window = append(make([]byte, 0, max(windowBytes, 2*len(rest))), rest...)
		} else {
			l.flush()
			window = window[:copy(window, rest)]
		}
	}
	if l.pending >= windowBytes {
		l.flush()
	}
	if found == 0 {
		l.problem(name, "empty: it holds no object")
	}
}
