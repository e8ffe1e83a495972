package manifest

import (
	"bufio"
	"bytes"
	"cmp"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"slices"

	"github.com/sidestep-mesh/sidestep/internal/object"
	"github.com/sidestep-mesh/sidestep/internal/snapshot"
)

// The archive is gzip (without name or time) of JSON lines: an archiveHeader, then one archiveLine for each
// object in the order of Objects. Equal snapshots give equal bytes.
const (
	archiveKind   = "Snapshot"
	archiveFormat = 1
)

type archiveHeader struct {
	APIVersion string             `json:"apiVersion"`
	Kind       string             `json:"kind"`
	Format     int                `json:"format"`
	Objects    int                `json:"objects"`
	Namespaces []string           `json:"namespaces,omitempty"`
	Knowledge  []archiveKnowledge `json:"knowledge,omitempty"`
	Ignored    []snapshot.Ignored `json:"ignored,omitempty"`
	Problems   []snapshot.Problem `json:"problems,omitempty"`
}

type archiveKnowledge struct {
	Group string `json:"group,omitempty"`
	Kind  string `json:"kind"`
	snapshot.Knowledge
}

type archiveLine struct {
	Source        snapshot.Source `json:"source,omitzero"`
	UnknownFields []string        `json:"unknownFields,omitempty"`
	Object        snapshot.Object `json:"object"`
}

// WriteArchive writes the snapshot as one file that Load reads back: the same objects, sources, knowledge,
// ignored objects and problems. It holds no Secret, since no snapshot does; see package redact for names.
func WriteArchive(w io.Writer, s *snapshot.Snapshot) error {
	zip := gzip.NewWriter(w)
	out := bufio.NewWriterSize(zip, 64<<10)
	enc := json.NewEncoder(out)
	enc.SetEscapeHTML(false)
	h := archiveHeader{
		APIVersion: object.APIVersion, Kind: archiveKind, Format: archiveFormat,
		Objects: s.Len(), Namespaces: s.Namespaces(), Ignored: s.Ignored(), Problems: s.Problems(),
	}
	for k, known := range s.Marked() {
		h.Knowledge = append(h.Knowledge, archiveKnowledge{Group: k.Group, Kind: k.Kind, Knowledge: known})
	}
	slices.SortFunc(h.Knowledge, func(a, b archiveKnowledge) int {
		return cmp.Or(cmp.Compare(a.Group, b.Group), cmp.Compare(a.Kind, b.Kind))
	})
	if err := enc.Encode(h); err != nil {
		return fmt.Errorf("write the archive's header: %w", err)
	}
	for o := range s.Objects() {
		line := archiveLine{Source: s.Source(o), UnknownFields: s.UnknownFields(o), Object: o}
		if err := enc.Encode(line); err != nil {
			return fmt.Errorf("write %s %s: %w", o.GetObjectKind().GroupVersionKind().Kind, snapshot.QualifiedName(o.GetNamespace(), o.GetName()), err)
		}
	}
	if err := out.Flush(); err != nil {
		return fmt.Errorf("write the archive: %w", err)
	}
	if err := zip.Close(); err != nil {
		return fmt.Errorf("write the archive: %w", err)
	}
	return nil
}

func isGzip(head []byte) bool { return len(head) > 2 && head[0] == 0x1f && head[1] == 0x8b }

// archive reads an archive: its header, then its lines. Compressed manifests are welcome too. A damaged
// archive gives nothing: half of it would look like a mesh with fewer policies.
func (l *loader) archive(name string, r io.Reader) {
	zip, err := gzip.NewReader(r)
	if err != nil {
		l.problem(name, "not a snapshot archive: %s", reason(err))
		return
	}
	text, err := io.ReadAll(io.LimitReader(zip, maxFile+1))
	switch {
	case err != nil:
		l.problem(name, "a damaged archive: %s", reason(err))
		return
	case len(text) > maxFile:
		l.problem(name, "larger than %d MiB when unpacked", maxFile>>20)
		return
	}
	first, rest, _ := bytes.Cut(text, []byte("\n"))
	var h archiveHeader
	if json.Unmarshal(first, &h) != nil || h.Kind != archiveKind {
		l.text(name, bytes.NewReader(text))
		return
	}
	if h.Format != archiveFormat {
		l.problem(name, "archive format %d is not known, only %d: use a newer sidestep", h.Format, archiveFormat)
		return
	}
	var units []unit
	o := &origin{file: name, json: true, archived: true}
	for line := range bytes.Lines(rest) {
		units = append(units, unit{text: line, line: len(units) + 2, origin: o})
	}
	if len(units) != h.Objects {
		l.problem(name, "a damaged archive: %d objects, its header says %d", len(units), h.Objects)
		return
	}
	for _, k := range h.Knowledge {
		l.b.Mark(snapshot.Kind{Group: k.Group, Kind: k.Kind}, k.Knowledge)
	}
	if h.Namespaces != nil {
		l.b.Only(h.Namespaces)
	}
	for _, i := range h.Ignored {
		l.b.Ignore(i)
	}
	for _, p := range h.Problems {
		l.b.Report(p)
	}
	l.add(units)
}

// archived decodes one archiveLine.
func (d *decoder) archived(u unit) {
	at := snapshot.Source{File: u.file, Line: u.line}
	var line struct {
		Source        snapshot.Source
		UnknownFields []string
		Object        json.RawMessage
	}
	if err := json.Unmarshal(u.text, &line); err != nil {
		d.fail(at, head{}, "a damaged archive: %v", err)
		return
	}
	before := len(d.out)
	d.object(at, line.Object, peek(line.Object))
	for i := range d.out[before:] {
		if o := &d.out[before+i]; o.object != nil {
			o.source, o.unknown = line.Source, append(o.unknown, line.UnknownFields...)
		}
	}
}
