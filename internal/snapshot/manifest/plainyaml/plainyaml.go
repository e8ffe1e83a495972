// Package plainyaml turns the YAML that Kubernetes manifests are mostly written in, and that kubectl prints,
// into JSON: block mappings and sequences, scalars and flow collections on one line, literal text. Everything else
// (anchors, tags, folded text, scalars over several lines, tabs, characters outside ASCII) it leaves to a
// full parser. What it does convert means the same as sigs.k8s.io/yaml makes of it, which a fuzz target holds.
// It exists for speed: a mesh is tens of megabytes of YAML, and a full parser reads two or three in a second.
package plainyaml

import "bytes"

// maxDepth bounds recursion; no API object is that deep.
const maxDepth = 64

// Append appends the JSON of a document to dst and returns it. With item set, text is one item of a block
// sequence, with its dash, and the JSON is that of the item. It returns false, and dst as it was, when text is
// not plain enough; whether it is YAML at all is then unknown.
func Append(dst, text []byte, item bool) ([]byte, bool) {
	if !plain(text) {
		return dst, false
	}
	p := parser{src: text, out: dst}
	if !p.next() {
		return dst, false
	}
	var ok bool
	if item {
		ok = p.isDash() && p.item(p.indent, 0)
	} else {
		ok = !p.isDash() && p.mapping(p.indent, 0)
	}
	if !ok || p.more {
		return dst, false
	}
	return p.out, true
}

// plain tells that text holds only printable ASCII and line feeds.
func plain(text []byte) bool {
	for _, c := range text {
		if c < ' ' && c != '\n' || c >= 0x7f {
			return false
		}
	}
	return true
}

// parser stands on one line that has content.
type parser struct {
	src []byte
	pos int // the start of the line after this one
	out []byte

	// more is false at the end. Otherwise line is what is left of the current line, and indent the column
	// that it starts in.
	more   bool
	line   []byte
	indent int
}

// next goes to the next line that is neither blank nor a comment.
func (p *parser) next() bool {
	for p.pos < len(p.src) {
		raw := p.rawLine()
		i := 0
		for i < len(raw) && raw[i] == ' ' {
			i++
		}
		if i == len(raw) || raw[i] == '#' {
			continue
		}
		p.line, p.indent, p.more = bytes.TrimRight(raw[i:], " "), i, true
		return true
	}
	p.line, p.indent, p.more = nil, -1, false
	return false
}

// rawLine reads the line at pos, without its line feed.
func (p *parser) rawLine() []byte {
	rest := p.src[p.pos:]
	if n := bytes.IndexByte(rest, '\n'); n >= 0 {
		p.pos += n + 1
		return rest[:n]
	}
	p.pos = len(p.src)
	return rest
}

// isDash tells that the line begins an item of a sequence.
func (p *parser) isDash() bool {
	return p.line[0] == '-' && (len(p.line) == 1 || p.line[1] == ' ')
}

// block converts the mapping or sequence that begins on the current line.
func (p *parser) block(depth int) bool {
	if depth > maxDepth {
		return false
	}
	if p.isDash() {
		return p.sequence(p.indent, depth)
	}
	return p.mapping(p.indent, depth)
}

// sequence converts items whose dashes are in column indent.
func (p *parser) sequence(indent, depth int) bool {
	p.out = append(p.out, '[')
	for first := true; p.more && p.indent == indent && p.isDash(); first = false {
		if !first {
			p.out = append(p.out, ',')
		}
		if !p.item(indent, depth) {
			return false
		}
	}
	p.out = append(p.out, ']')
	return !p.more || p.indent <= indent
}

// item converts one item, from its dash on.
func (p *parser) item(indent, depth int) bool {
	rest := bytes.TrimLeft(p.line[1:], " ")
	if len(rest) == 0 || rest[0] == '#' {
		p.next()
		if !p.more || p.indent <= indent {
			p.out = append(p.out, "null"...)
			return true
		}
		return p.block(depth + 1)
	}
	p.indent += len(p.line) - len(rest)
	p.line = rest
	if p.isDash() {
		return false // a sequence right inside a sequence
	}
	if key, _ := splitKey(rest); key != nil {
		return depth < maxDepth && p.mapping(p.indent, depth+1)
	}
	return p.value(rest, indent)
}

// mapping converts entries whose keys are in column indent.
func (p *parser) mapping(indent, depth int) bool {
	var seen keys
	p.out = append(p.out, '{')
	for first := true; p.more && p.indent == indent && !p.isDash(); first = false {
		key, rest := splitKey(p.line)
		if key == nil || !seen.add(key) {
			return false
		}
		if !first {
			p.out = append(p.out, ',')
		}
		p.out = append(append(append(p.out, '"'), key...), '"', ':')
		if !p.entry(rest, indent, depth) {
			return false
		}
	}
	p.out = append(p.out, '}')
	return !p.more || p.indent < indent || p.indent == indent && p.isDash()
}

// entry converts the value of a key in column indent; rest is what follows the key on its line.
func (p *parser) entry(rest []byte, indent, depth int) bool {
	switch {
	case len(rest) == 0 || rest[0] == '#':
		p.next()
		if p.more && (p.indent > indent || p.indent == indent && p.isDash()) {
			return p.block(depth + 1)
		}
		p.out = append(p.out, "null"...)
		return true
	case rest[0] == '|':
		return p.literal(rest, indent)
	}
	return p.value(rest, indent)
}

// value converts a value that must end with its line.
func (p *parser) value(rest []byte, indent int) bool {
	f := flow{in: rest, out: p.out}
	var ok bool
	switch rest[0] {
	case '"', '\'', '[', '{':
		ok = f.value(0) && endsLine(f.in)
	default:
		ok = f.plainLine()
	}
	p.out = f.out
	if !ok {
		return false
	}
	p.next()
	return !p.more || p.indent <= indent // deeper would be the rest of a scalar over several lines
}

// literal converts text after | or |-, in the lines that are deeper than column indent.
func (p *parser) literal(mark []byte, indent int) bool {
	keep := string(mark) == "|"
	if !keep && string(mark) != "|-" {
		return false
	}
	inner := -1
	blank := 0
	p.out = append(p.out, '"')
	for p.pos < len(p.src) {
		start := p.pos
		raw := p.rawLine()
		text := bytes.TrimLeft(raw, " ")
		column := len(raw) - len(text)
		if len(text) == 0 {
			if inner < 0 || column > inner {
				return false // blank lines may carry spaces or come first: rare, and with rules of their own
			}
			blank++
			continue
		}
		if inner < 0 && column > indent {
			inner = column
		} else if inner < 0 || column < inner {
			p.pos = start
			if column > indent {
				return false
			}
			break
		} else {
			p.out = append(p.out, `\n`...)
		}
		for ; blank > 0; blank-- {
			p.out = append(p.out, `\n`...)
		}
		p.out = appendEscaped(p.out, raw[inner:])
	}
	if inner < 0 || p.src[len(p.src)-1] != '\n' && p.pos == len(p.src) {
		return false // without a last line feed there is none to keep
	}
	if keep {
		p.out = append(p.out, `\n`...)
	}
	p.out = append(p.out, '"')
	p.next()
	return true
}

// keys remembers the keys of one mapping, to find one that comes twice.
type keys struct {
	few  [16][]byte
	n    int
	many map[string]bool
}

// add returns false when the key is there already.
func (k *keys) add(key []byte) bool {
	if k.many != nil {
		if k.many[string(key)] {
			return false
		}
		k.many[string(key)] = true
		return true
	}
	for _, have := range k.few[:k.n] {
		if bytes.Equal(have, key) {
			return false
		}
	}
	if k.n < len(k.few) {
		k.few[k.n] = key
		k.n++
		return true
	}
	k.many = make(map[string]bool, 4*len(k.few))
	for _, have := range k.few {
		k.many[string(have)] = true
	}
	k.many[string(key)] = true
	return true
}
