package manifest

import (
	"bytes"
	"encoding/json"
	"errors"
)

var errJSON = errors.New("not a JSON value")

func skipSpace(b []byte, i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\n' || b[i] == '\r' || b[i] == '\t') {
		i++
	}
	return i
}

// skipValue returns the index after the JSON value at i. It balances brackets and strings and leaves
// everything else to the decoder.
func skipValue(b []byte, i int) (int, error) {
	depth := 0
	for i < len(b) {
		switch c := b[i]; c {
		case '{', '[':
			depth++
			i++
		case '}', ']':
			depth--
			i++
			if depth < 0 {
				return i, errJSON
			}
		case '"':
			end, err := skipString(b, i)
			if err != nil {
				return i, err
			}
			i = end
		case ' ', '\n', '\r', '\t', ',', ':':
			i++
			continue
		default:
			for i < len(b) && !isDelimiter(b[i]) {
				i++
			}
		}
		if depth == 0 {
			return i, nil
		}
	}
	return i, errJSON
}

func isDelimiter(c byte) bool {
	switch c {
	case ' ', '\n', '\r', '\t', ',', ':', '{', '}', '[', ']', '"':
		return true
	}
	return false
}

func skipString(b []byte, i int) (int, error) {
	for i++; i < len(b); i++ {
		switch b[i] {
		case '\\':
			i++
		case '"':
			return i + 1, nil
		}
	}
	return i, errJSON
}

// members calls f with each key, which is valid until f returns, and the position of its value in the JSON object at the start of b.
func members(b []byte, f func(key []byte, start, end int)) error {
	i := skipSpace(b, 0)
	if i >= len(b) || b[i] != '{' {
		return errJSON
	}
	for i = skipSpace(b, i+1); i < len(b) && b[i] == '"'; {
		end, err := skipString(b, i)
		if err != nil {
			return err
		}
		key := b[i+1 : end-1]
		if bytes.IndexByte(key, '\\') >= 0 {
			key = []byte(unquote(b[i:end]))
		}
		i = skipSpace(b, end)
		if i >= len(b) || b[i] != ':' {
			return errJSON
		}
		start := skipSpace(b, i+1)
		if end, err = skipValue(b, start); err != nil {
			return err
		}
		f(key, start, end)
		if i = skipSpace(b, end); i < len(b) && b[i] == ',' {
			i = skipSpace(b, i+1)
		}
	}
	if i >= len(b) || b[i] != '}' {
		return errJSON
	}
	return nil
}

// elements calls f with the position of each element of the JSON array at the start of b.
func elements(b []byte, f func(start, end int)) error {
	i := skipSpace(b, 0)
	if i >= len(b) || b[i] != '[' {
		return errJSON
	}
	for i = skipSpace(b, i+1); i < len(b) && b[i] != ']'; {
		end, err := skipValue(b, i)
		if err != nil {
			return err
		}
		f(i, end)
		if i = skipSpace(b, end); i < len(b) && b[i] == ',' {
			i = skipSpace(b, i+1)
		}
	}
	if i >= len(b) {
		return errJSON
	}
	return nil
}

// unquote returns the text of a JSON string, or "" for anything else.
func unquote(b []byte) string {
	if len(b) < 2 || b[0] != '"' {
		return ""
	}
	for _, c := range b {
		if c == '\\' {
			var s string
			if json.Unmarshal(b, &s) != nil {
				return ""
			}
			return s
		}
	}
	return string(b[1 : len(b)-1])
}

// head is what must be known of an object before its type is.
type head struct {
	apiVersion, kind string
	meta             []byte
	// items is the raw "items" array of a list, at itemsAt in the object; nil when there is none.
	items   []byte
	itemsAt int
}

// peek reads an object's apiVersion and kind; it is lenient, since the decoder comes after.
func peek(b []byte) head {
	var h head
	_ = members(b, func(key []byte, start, end int) {
		switch string(key) {
		case "apiVersion":
			h.apiVersion = unquote(b[start:end])
		case "kind":
			h.kind = unquote(b[start:end])
		case "metadata":
			h.meta = b[start:end]
		case "items":
			if b[start] == '[' {
				h.items, h.itemsAt = b[start:end], start
			}
		}
	})
	return h
}

// name reads namespace and name for messages about an object that does not decode.
func (h head) name() (namespace, name string) {
	_ = members(h.meta, func(key []byte, start, end int) {
		switch string(key) {
		case "namespace":
			namespace = unquote(h.meta[start:end])
		case "name":
			name = unquote(h.meta[start:end])
		}
	})
	return namespace, name
}
