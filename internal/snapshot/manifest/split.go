package manifest

import (
	"bytes"
	"strings"
)

// unit is a piece of input that decodes on its own: one document, or one item of a list.
type unit struct {
	text []byte
	// line is the 1-based line of text's first byte.
	line int
	*origin
}

// origin is what many units have in common.
type origin struct {
	file string
	json bool
	// dash tells that text is an item of a YAML block sequence and begins with its "- ".
	dash bool
	// listKind and listVersion are what an item of a typed list inherits when it does not say.
	listKind, listVersion string
	// archived tells that text is a line of an archive, JSON in the form of archiveLine.
	archived bool
}

// item is the origin of the items of a list.
func (o origin) item(kind, version string, dash bool) *origin {
	o.listKind, o.listVersion, o.dash = kind, version, dash
	return &o
}

// asJSON is the origin of a JSON document.
func (o origin) asJSON() *origin {
	o.json = true
	return &o
}

// split cuts a stream, whose first line is number line, into documents and lists into items, and appends them to out.
func split(out []unit, o *origin, text []byte, line int) []unit {
	start, docLine := 0, line
	emit := func(end int) {
		if doc := (unit{text: text[start:end], line: docLine, origin: o}); doc.trim() {
			out = doc.items(out)
		}
	}
	for i := 0; i < len(text); {
		next := lineEnd(text, i)
		if isMarker(text[i:next]) {
			emit(i)
			// What follows the marker on its line belongs to the document it opens.
			start, docLine = i+3, line
		}
		i, line = next, line+1
	}
	emit(len(text))
	return out
}

// lastDocument returns where the last document of text begins, with its marker; 0 when text holds no marker
// after its start.
func lastDocument(text []byte) int {
	for end := len(text); ; {
		i := bytes.LastIndex(text[:end], []byte("\n---"))
		if i < 0 {
			return 0
		}
		// The marker's line must be there whole: what comes next may be the rest of a word.
		if next := lineEnd(text, i+1); text[next-1] == '\n' && isMarker(text[i+1:next]) {
			return i + 1
		}
		end = i
	}
}

// lineEnd returns the index after the line break that ends the line at i.
func lineEnd(text []byte, i int) int {
	if n := bytes.IndexByte(text[i:], '\n'); n >= 0 {
		return i + n + 1
	}
	return len(text)
}

// isMarker tells whether a line is a document marker, --- or the rare "..." end.
func isMarker(line []byte) bool {
	if len(line) < 3 || line[0] != '-' && line[0] != '.' {
		return false
	}
	if m := string(line[:3]); m != "---" && m != "..." {
		return false
	}
	return len(line) == 3 || strings.IndexByte(" \t\r\n", line[3]) >= 0
}

// trim drops blank lines, comments and %directives before the content, keeping count of lines; it returns false when
// nothing is left.
func (u *unit) trim() bool {
	for len(u.text) > 0 {
		end := lineEnd(u.text, 0)
		content := bytes.TrimLeft(u.text[:end], " \t\r\n")
		if len(content) > 0 && content[0] != '#' && u.text[0] != '%' {
			return true
		}
		u.text, u.line = u.text[end:], u.line+1
	}
	return false
}

// items cuts a document that is a list into its items where that can be done on the text, and appends them
// to out; otherwise the document. What is not cut here is still a list when it is decoded, only without a
// line of its own for each item.
func (u unit) items(out []unit) []unit {
	first := bytes.TrimLeft(u.text, " \t\r\n")
	if first[0] == '{' || first[0] == '[' {
		return append(out, u.jsonItems()...)
	}
	if items := u.yamlItems(); items != nil {
		return append(out, items...)
	}
	return append(out, u)
}

// yamlItems finds the items of a block sequence under a top-level "items:" key; none where it finds no list.
func (u unit) yamlItems() []unit {
	kind, version, at := listHeader(u.text)
	if at < 0 || bytes.IndexByte(u.text, '&') >= 0 && bytes.Contains(u.text, []byte(" *")) {
		return nil // not a list, or an item may hold an alias to another item
	}
	line := u.line + bytes.Count(u.text[:at], []byte("\n"))
	indent := -1
	var out []unit
	start, startLine := -1, 0
	shared := u.item(kind, version, true)
	flush := func(end int) {
		if start >= 0 {
			out = append(out, unit{text: u.text[start:end], line: startLine, origin: shared})
		}
	}
	for i := at; i < len(u.text); {
		next := lineEnd(u.text, i)
		content := bytes.TrimLeft(u.text[i:next], " ")
		column := next - i - len(content)
		content = bytes.TrimRight(content, "\r\n\t ")
		isDash := len(content) > 0 && content[0] == '-' && (len(content) == 1 || content[1] == ' ')
		switch {
		case len(content) == 0 || content[0] == '#':
		case indent < 0 && isDash:
			indent, start, startLine = column, i, line
		case indent < 0:
			return nil
		case column == indent && isDash:
			flush(i)
			start, startLine = i, line
		case column <= indent:
			flush(i) // the list's next key, as kubectl prints kind and metadata last
			return out
		}
		i, line = next, line+1
	}
	flush(len(u.text))
	return out
}

// listHeader reads the top-level keys of a YAML document. When its kind ends in List and it has a
// block "items:", at is the index after that line; otherwise -1.
func listHeader(text []byte) (kind, version string, at int) {
	at = -1
	if !bytes.Contains(text, []byte("items:")) {
		return "", "", at
	}
	for i := 0; i < len(text); {
		next := lineEnd(text, i)
		line := text[i:next]
		switch {
		case len(line) == 0 || line[0] == ' ' || line[0] == '-' || line[0] == '#':
		case bytes.HasPrefix(line, []byte("kind:")):
			kind = scalar(line[len("kind:"):])
			if !strings.HasSuffix(kind, "List") {
				return "", "", -1
			}
		case bytes.HasPrefix(line, []byte("apiVersion:")):
			version = scalar(line[len("apiVersion:"):])
		case bytes.HasPrefix(line, []byte("items:")):
			if at >= 0 || scalar(line[len("items:"):]) != "" {
				return "", "", -1
			}
			at = next
		}
		i = next
	}
	if kind == "" {
		at = -1
	}
	return kind, version, at
}

// scalar reads a one-line plain or quoted scalar well enough for a kind or a version.
func scalar(b []byte) string {
	s := string(b)
	if i := strings.Index(s, " #"); i >= 0 {
		s = s[:i]
	}
	return strings.Trim(s, " \t\r\n\"'")
}

// jsonItems cuts consecutive JSON values apart, and lists into items.
func (u unit) jsonItems() []unit {
	var out []unit
	line, counted := u.line, 0
	asJSON := u.asJSON()
	for i := skipSpace(u.text, 0); i < len(u.text); {
		end, err := skipValue(u.text, i)
		if err != nil {
			// Not JSON; it may still be YAML in flow style, or it gets its error when decoded.
			rest := unit{text: u.text[i:], line: line + bytes.Count(u.text[counted:i], []byte("\n")), origin: u.origin}
			if len(out) > 0 {
				rest.origin = asJSON
			}
			return append(out, rest)
		}
		line += bytes.Count(u.text[counted:i], []byte("\n"))
		counted = i
		out = append(out, unit{text: u.text[i:end], line: line, origin: asJSON}.jsonListItems()...)
		i = skipSpace(u.text, end)
	}
	return out
}

// jsonListItems returns the items of a JSON list, or the document itself when it is none.
func (u unit) jsonListItems() []unit {
	h := peek(u.text)
	if !strings.HasSuffix(h.kind, "List") || h.items == nil {
		return []unit{u}
	}
	var out []unit
	line, counted := u.line, 0
	shared := u.item(h.kind, h.apiVersion, false)
	err := elements(h.items, func(start, end int) {
		at := h.itemsAt + start
		line += bytes.Count(u.text[counted:at], []byte("\n"))
		counted = at
		out = append(out, unit{text: u.text[at : h.itemsAt+end], line: line, origin: shared})
	})
	if err != nil || len(out) == 0 {
		return []unit{u}
	}
	return out
}
