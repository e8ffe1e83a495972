// Command history writes blocks for Prometheus's database: every series of a
// list, at every step of some past days. It reads lines "C RATE-A-SECOND", "N RATE-A-SECOND" (a counter of
// whole things) or "G VALUE" before name{labels}, as the lab's metrics stand-in writes them:
//
//	C name{label="value"} 0.25
//
// Series that grow alike share their encoded samples, so that hundreds of
// millions of samples are written in a minute.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/prometheus/prometheus/tsdb/chunks"
	"github.com/prometheus/prometheus/tsdb/index"
)

func main() {
	out := flag.String("out", "", "folder of the database")
	days := flag.Int("days", 14, "how many days, up to -end")
	step := flag.Duration("step", time.Minute, "time between samples")
	perBlock := flag.Int("block-days", 1, "days to a block: one keeps the memory of writing and reading small, many save time")
	end := flag.Int64("end", 0, "end of the history, in seconds since 1970")
	flag.Parse()
	if err := write(os.Stdin, *out, *days, *perBlock, *step, time.Unix(*end, 0)); err != nil {
		fmt.Fprintln(os.Stderr, "history:", err)
		os.Exit(1)
	}
}

// series is one line of the list.
type series struct {
	labels labels.Labels
	shape  shape
}

func write(in io.Reader, out string, days, perBlock int, step time.Duration, end time.Time) error {
	all, err := read(in)
	if err != nil {
		return err
	}
	start := end.AddDate(0, 0, -days)
	if err := removeBlocks(out, start, end); err != nil {
		return err
	}
	samples := uint64(0)
	for day := 0; day < days; day += perBlock {
		from := start.AddDate(0, 0, day)
		stats, err := block(out, all, start, from, from.AddDate(0, 0, min(perBlock, days-day)), step)
		if err != nil {
			return err
		}
		samples += stats.NumSamples
	}
	fmt.Printf("%d series, %d samples, %d days\n", len(all), samples, days)
	return nil
}

func read(in io.Reader) ([]series, error) {
	var all []series
	p := parser.NewParser(parser.Options{})
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, 1<<20)
	for n := 1; lines.Scan(); n++ {
		kind, rest, _ := strings.Cut(lines.Text(), " ")
		cut := strings.LastIndexByte(rest, ' ')
		if cut < 0 || len(kind) != 1 || !strings.Contains("CNG", kind) {
			return nil, fmt.Errorf("line %d: want C, N or G, series, number", n)
		}
		number, err := strconv.ParseFloat(rest[cut+1:], 64)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		metric, err := p.ParseMetric(rest[:cut])
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		all = append(all, series{metric, shape{kind[0], number}})
	}
	if len(all) == 0 {
		return nil, errors.New("no series")
	}
	slices.SortFunc(all, func(a, b series) int { return labels.Compare(a.labels, b.labels) })
	return all, lines.Err()
}

// load is the integral of the daily curve 1 - 0.4 cos, in seconds, since the start of the history.
func load(seconds float64) float64 {
	const day = 86400
	return seconds - 0.4*day/(2*math.Pi)*math.Sin(2*math.Pi*seconds/day)
}

// shape is all that decides a series' samples.
type shape struct {
	kind   byte    // C, N or G
	number float64 // growth a second, or value
}

func (s shape) at(seconds float64) float64 {
	switch s.kind {
	case 'C':
		// Rounded to 1/64: floats with few bits compress, and no test looks closer.
		return math.Floor(s.number*load(seconds)*64) / 64
	case 'N':
		return math.Floor(s.number * load(seconds))
	}
	return s.number
}

func block(out string, all []series, start, from, to time.Time, step time.Duration) (*tsdb.BlockStats, error) {
	id := ulid.MustNew(ulid.Timestamp(to), ulid.DefaultEntropy())
	dir := filepath.Join(out, id.String()+".tmp")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	chunkWriter, err := chunks.NewWriter(filepath.Join(dir, "chunks"))
	if err != nil {
		return nil, err
	}
	indexWriter, err := index.NewWriter(context.Background(), filepath.Join(dir, "index"))
	if err != nil {
		return nil, err
	}
	if err := addSymbols(indexWriter, all); err != nil {
		return nil, err
	}
	encoded := map[shape][]chunks.Meta{}
	stats := &tsdb.BlockStats{NumSeries: uint64(len(all))}
	perSeries := uint64(to.Sub(from) / step)
	for i, s := range all {
		samples, ok := encoded[s.shape]
		if !ok {
			if samples, err = encode(s.shape, start, from, to, step); err != nil {
				return nil, err
			}
			encoded[s.shape] = samples
		}
		metas := slices.Clone(samples) // WriteChunks sets where each copy lies
		if err := chunkWriter.WriteChunks(metas...); err != nil {
			return nil, err
		}
		if err := indexWriter.AddSeries(storage.SeriesRef(i+1), s.labels, metas...); err != nil {
			return nil, err
		}
		stats.NumChunks += uint64(len(metas))
		stats.NumSamples += perSeries
	}
	stats.NumFloatSamples = stats.NumSamples
	if err := errors.Join(chunkWriter.Close(), indexWriter.Close()); err != nil {
		return nil, err
	}
	meta := tsdb.BlockMeta{
		ULID: id, MinTime: from.UnixMilli(), MaxTime: to.UnixMilli(), Stats: *stats, Version: 1,
		Compaction: tsdb.BlockMetaCompaction{Level: 1, Sources: []ulid.ULID{id}},
	}
	raw, err := json.MarshalIndent(meta, "", "\t")
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(dir, "meta.json"), raw, 0o644); err != nil {
		return nil, err
	}
	// By rename: the running server sees a whole block or none.
	return stats, os.Rename(dir, strings.TrimSuffix(dir, ".tmp"))
}

// removeBlocks removes the blocks that lie between two times altogether: those of an earlier run.
func removeBlocks(out string, start, end time.Time) error {
	metas, err := filepath.Glob(filepath.Join(out, "*", "meta.json"))
	if err != nil {
		return err
	}
	for _, name := range metas {
		raw, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		var meta tsdb.BlockMeta
		if err := json.Unmarshal(raw, &meta); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if meta.MinTime >= start.UnixMilli() && meta.MaxTime <= end.UnixMilli() {
			if err := os.RemoveAll(filepath.Dir(name)); err != nil {
				return err
			}
		}
	}
	return nil
}

func addSymbols(w *index.Writer, all []series) error {
	set := map[string]struct{}{}
	for _, s := range all {
		s.labels.Range(func(l labels.Label) {
			set[l.Name], set[l.Value] = struct{}{}, struct{}{}
		})
	}
	symbols := make([]string, 0, len(set))
	for symbol := range set {
		symbols = append(symbols, symbol)
	}
	slices.Sort(symbols)
	for _, symbol := range symbols {
		if err := w.AddSymbol(symbol); err != nil {
			return err
		}
	}
	return nil
}

// encode writes a day of one shape, 120 samples to a chunk, as Prometheus itself does.
func encode(s shape, start, from, to time.Time, step time.Duration) ([]chunks.Meta, error) {
	const perChunk = 120
	var metas []chunks.Meta
	for t := from; t.Before(to); {
		chunk := chunkenc.NewXORChunk()
		appender, err := chunk.Appender()
		if err != nil {
			return nil, err
		}
		meta := chunks.Meta{Chunk: chunk, MinTime: t.UnixMilli()}
		for n := 0; n < perChunk && t.Before(to); n++ {
			appender.Append(0, t.UnixMilli(), s.at(t.Sub(start).Seconds()))
			meta.MaxTime = t.UnixMilli()
			t = t.Add(step)
		}
		metas = append(metas, meta)
	}
	return metas, nil
}
