package plainyaml

import (
	"bytes"

	"sigs.k8s.io/yaml"
)

// splitKey cuts a line into its key, as the inside of a JSON string, and what follows the colon. The key is nil
// when the line does not begin with one that is surely a string.
func splitKey(line []byte) (key, rest []byte) {
	if q := line[0]; q == '"' || q == '\'' {
		end := bytes.IndexByte(line[1:], q) + 1
		if end < 1 || end+1 >= len(line) || line[end+1] != ':' || bytes.IndexByte(line[:end], '\\') >= 0 {
			return nil, nil
		}
		if q == '\'' && bytes.IndexByte(line[:end], '"') >= 0 {
			return nil, nil
		}
		return afterColon(line, line[1:end], end+1)
	}
	i := 0
	for i < len(line) && isKeyByte(line[i]) {
		i++
	}
	if i == 0 || i > 128 || i >= len(line) || line[i] != ':' || !isLetter(line[0]) || word(line[:i]) != "" {
		return nil, nil
	}
	return afterColon(line, line[:i], i)
}

// afterColon returns the key and the value after the colon at i, which a space or the line's end must follow.
func afterColon(line, key []byte, i int) ([]byte, []byte) {
	if len(key) > 128 {
		return nil, nil
	}
	if i+1 == len(line) {
		return key, nil
	}
	if line[i+1] != ' ' {
		return nil, nil
	}
	return key, bytes.TrimLeft(line[i+1:], " ")
}

func isKeyByte(c byte) bool {
	return isLetter(c) || c >= '0' && c <= '9' || c == '_' || c == '.' || c == '/' || c == '-'
}

func isLetter(c byte) bool { return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' }

// word returns what YAML 1.1 makes of a plain word that is not text: true, false or null.
func word(s []byte) string {
	if len(s) > 5 {
		return ""
	}
	switch string(s) {
	case "y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON":
		return "true"
	case "n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF":
		return "false"
	case "null", "Null", "NULL":
		return "null"
	}
	return ""
}

// endsLine tells that nothing but a comment follows.
func endsLine(rest []byte) bool {
	trimmed := bytes.TrimLeft(rest, " ")
	return len(trimmed) == 0 || trimmed[0] == '#' && len(trimmed) < len(rest)
}

// flow converts what stands on one line.
type flow struct {
	in, out []byte
}

// value converts a quoted scalar, a flow collection or, inside one, a plain scalar.
func (f *flow) value(depth int) bool {
	if len(f.in) == 0 || depth > maxDepth {
		return false
	}
	switch f.in[0] {
	case '"':
		return f.double()
	case '\'':
		return f.single()
	case '[':
		return f.list(depth)
	case '{':
		return f.object(depth)
	}
	i := 0
	for i < len(f.in) && isKeyByte(f.in[i]) {
		i++
	}
	// What ends a plain scalar here is punctuation of the collection; anything else needs the full parser.
	if i == 0 || i == len(f.in) || f.in[i] != ',' && f.in[i] != ']' && f.in[i] != '}' {
		return false
	}
	s := f.in[:i]
	f.in = f.in[i:]
	return f.resolve(s)
}

func (f *flow) list(depth int) bool {
	f.in = bytes.TrimLeft(f.in[1:], " ")
	f.out = append(f.out, '[')
	if len(f.in) > 0 && f.in[0] == ']' {
		f.in, f.out = f.in[1:], append(f.out, ']')
		return true
	}
	for {
		if !f.value(depth+1) || len(bytes.TrimLeft(f.in, " ")) == 0 {
			return false
		}
		f.in = bytes.TrimLeft(f.in, " ")
		c := f.in[0]
		f.in, f.out = bytes.TrimLeft(f.in[1:], " "), append(f.out, c)
		if c == ']' {
			return true
		}
		if c != ',' {
			return false
		}
	}
}

func (f *flow) object(depth int) bool {
	f.in = bytes.TrimLeft(f.in[1:], " ")
	f.out = append(f.out, '{')
	if len(f.in) > 0 && f.in[0] == '}' {
		f.in, f.out = f.in[1:], append(f.out, '}')
		return true
	}
	var seen keys
	for len(f.in) > 0 {
		key, rest := splitKey(f.in)
		if len(rest) == 0 || !seen.add(key) {
			return false
		}
		f.out = append(append(append(f.out, '"'), key...), '"', ':')
		f.in = rest
		if !f.value(depth+1) || len(bytes.TrimLeft(f.in, " ")) == 0 {
			return false
		}
		f.in = bytes.TrimLeft(f.in, " ")
		c := f.in[0]
		f.in, f.out = bytes.TrimLeft(f.in[1:], " "), append(f.out, c)
		if c == '}' {
			return true
		}
		if c != ',' {
			return false
		}
	}
	return false
}

// double copies a double-quoted scalar; the escapes it takes are those that JSON shares.
func (f *flow) double() bool {
	for i := 1; i < len(f.in); i++ {
		switch f.in[i] {
		case '"':
			f.out = append(f.out, f.in[:i+1]...)
			f.in = f.in[i+1:]
			return true
		case '\\':
			i++
			if i == len(f.in) || bytes.IndexByte([]byte(`"\/nrtbf`), f.in[i]) < 0 {
				return false
			}
		}
	}
	return false // goes on in the next line
}

func (f *flow) single() bool {
	f.out = append(f.out, '"')
	for i := 1; i < len(f.in); i++ {
		if f.in[i] != '\'' {
			f.out = appendByte(f.out, f.in[i])
			continue
		}
		if i+1 == len(f.in) || f.in[i+1] != '\'' {
			f.out = append(f.out, '"')
			f.in = f.in[i+1:]
			return true
		}
		f.out = append(f.out, '\'')
		i++
	}
	return false
}

// plainLine converts a plain scalar that fills the rest of a line.
func (f *flow) plainLine() bool {
	s := f.in
	if c := s[0]; !isLetter(c) && (c < '0' || c > '9') && bytes.IndexByte([]byte("/._$(+-~"), c) < 0 {
		return false
	}
	if i := bytes.Index(s, []byte(" #")); i >= 0 {
		s = bytes.TrimRight(s[:i], " ")
	}
	if s[0] == '-' && (len(s) == 1 || s[1] == ' ') || s[len(s)-1] == ':' || bytes.Contains(s, []byte(": ")) {
		return false
	}
	f.in = nil
	return f.resolve(s)
}

// resolve appends the value of a plain scalar: text, or what YAML 1.1 sees in it.
func (f *flow) resolve(s []byte) bool {
	switch c := s[0]; {
	case isLetter(c):
		if w := word(s); w != "" {
			f.out = append(f.out, w...)
			return true
		}
	case c >= '0' && c <= '9' || c == '+' || c == '-':
		if isInteger(s) {
			f.out = append(f.out, s...)
			return true
		}
		if mayBeNumber(s) {
			return f.ask(s)
		}
	case c == '.' || c == '~':
		return f.ask(s)
	}
	f.out = append(appendEscaped(append(f.out, '"'), s), '"')
	return true
}

// isInteger tells a decimal number that JSON writes the same way and that fits 64 bits.
func isInteger(s []byte) bool {
	if len(s) > 18 || s[0] == '0' && len(s) > 1 {
		return false
	}
	for _, c := range s {
		if c < '0' || c > '9' {
			return false
		}
	}
	return true
}

// mayBeNumber is false for what begins like a number and cannot be one in any notation: an address, a quantity, a
// date, a hash or a UID. Letters other than an exponent's need a base, which begins with 0, and a sign inside
// follows an exponent. Those are told here since every pod has some, and asking is slow.
func mayBeNumber(s []byte) bool {
	digits := s
	if s[0] == '+' || s[0] == '-' {
		digits = s[1:]
	}
	if len(digits) == 0 {
		return false
	}
	if bytes.IndexByte(s, '_') >= 0 {
		return true // digits may be parted by any number of them, at any place
	}
	based, dots := digits[0] == '0', 0
	for i, c := range digits {
		switch {
		case c >= '0' && c <= '9', c == 'e', c == 'E':
		case c == '.':
			if i == 0 {
				return true // -.5 and -.inf
			}
			if dots++; dots > 1 {
				return false
			}
		case c == '+' || c == '-':
			if i == 0 || bytes.IndexByte([]byte("eEb"), digits[i-1]) < 0 { // the parser takes 0b+1
				return false
			}
		case c >= 'a' && c <= 'f', c >= 'A' && c <= 'F', bytes.IndexByte([]byte("xXoO"), c) >= 0:
			if !based {
				return false
			}
		default:
			return false
		}
	}
	return true
}

// ask lets the full parser resolve one scalar. It is asked about a mapping's value, since on a line of its own
// "---" is no scalar.
func (f *flow) ask(s []byte) bool {
	js, err := yaml.YAMLToJSON(append([]byte("v: "), s...))
	inner, ok := bytes.CutPrefix(js, []byte(`{"v":`))
	if err != nil || !ok {
		return false
	}
	f.out = append(f.out, inner[:len(inner)-1]...)
	return true
}

func appendEscaped(out, s []byte) []byte {
	for _, c := range s {
		out = appendByte(out, c)
	}
	return out
}

func appendByte(out []byte, c byte) []byte {
	if c == '"' || c == '\\' {
		out = append(out, '\\')
	}
	return append(out, c)
}
