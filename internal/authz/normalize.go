package authz

import "strings"

// normalizePath rewrites a path as Envoy does before any policy sees it, with Istio's
// default path normalization (BASE): escapes of unreserved characters decoded,
// backslashes turned, dot segments resolved. Double slashes stay. Query and fragment
// are kept; matchers drop them.
func normalizePath(p string) string {
	path, rest := p, ""
	if i := strings.IndexAny(p, "?#"); i >= 0 {
		path, rest = p[:i], p[i:]
	}
	if !strings.HasPrefix(path, "/") || isNormal(path) {
		return p
	}
	var b strings.Builder
	for i := 0; i < len(path); i++ {
		c := path[i]
		switch {
		case c == '\\':
			c = '/'
		case c == '%' && i+2 < len(path) && hexDigit(path[i+1]) >= 0 && hexDigit(path[i+2]) >= 0:
			if d := byte(hexDigit(path[i+1])<<4 | hexDigit(path[i+2])); unreserved(d) {
				c = d
				i += 2
			}
		}
		b.WriteByte(c)
	}
	return removeDots(b.String()) + rest
}

// removeDots resolves "." and ".." segments.
func removeDots(path string) string {
	segs := strings.Split(path[1:], "/")
	out := make([]string, 0, len(segs))
	for i, s := range segs {
		last := i == len(segs)-1
		switch s {
		case ".":
			if last {
				out = append(out, "")
			}
		case "..":
			if len(out) > 0 {
				out = out[:len(out)-1]
			}
			if last {
				out = append(out, "")
			}
		default:
			out = append(out, s)
		}
	}
	return "/" + strings.Join(out, "/")
}

func hexDigit(c byte) int {
	switch {
	case '0' <= c && c <= '9':
		return int(c - '0')
	case 'a' <= c && c <= 'f':
		return int(c-'a') + 10
	case 'A' <= c && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}

func unreserved(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '.' || c == '_' || c == '~'
}

// isNormal says whether normalization leaves a path without query alone.
func isNormal(path string) bool {
	s := normalState(0)
	for i := 0; i < len(path); i++ {
		if s = s.step(path[i]); s < 0 {
			return false
		}
	}
	return s.ends()
}

// normalState recognises normalized paths byte by byte; negative means that no path that
// begins so is one. It holds what was read of a dot segment (0 nothing of interest, 1 a
// slash, 2 "/.", 3 "/..") and of an escape (0 none, 1 "%", 2+h "%" and a digit).
type normalState int32

func (s normalState) step(c byte) normalState {
	seg, esc := s%4, s/4
	if c == '\\' || c == '?' || c == '#' || c <= ' ' || c == 0x7f {
		return -1
	}
	switch {
	case c == '/':
		if seg >= 2 {
			return -1
		}
		seg = 1
	case c == '.' && seg >= 1 && seg < 3:
		seg++
	default:
		seg = 0
	}
	h := hexDigit(c)
	switch {
	case c == '%':
		esc = 1
	case esc == 1 && h >= 0:
		esc = 2 + normalState(h)
	case esc >= 2 && h >= 0:
		if unreserved(byte(int(esc-2)<<4 | h)) {
			return -1
		}
		esc = 0
	default:
		esc = 0
	}
	return esc*4 + seg
}

// ends says whether a path may end here.
func (s normalState) ends() bool { return s%4 < 2 }
