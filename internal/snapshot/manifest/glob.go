package manifest

import (
	"fmt"
	"regexp"
	"strings"
)

// CheckGlob tells what is wrong with a glob of Options.Exclude. A glob without a slash is the name of a file or of a folder at any
// depth; one with a slash is a path below the folder that is read, or from where the command runs. A * and a ? stay within a
// name, ** crosses folders, [a-z] is one of these. Everything below a folder that matches is left out with it.
func CheckGlob(glob string) error {
	_, err := globPattern(glob)
	return err
}

func globPattern(glob string) (*regexp.Regexp, error) {
	text := strings.TrimSuffix(strings.TrimPrefix(glob, "./"), "/")
	var re strings.Builder
	re.WriteString("^")
	if !strings.Contains(text, "/") {
		re.WriteString("(?:.*/)?")
	}
	for i := 0; i < len(text); i++ {
		rest := text[i:]
		switch {
		case strings.HasPrefix(rest, "**/"):
			re.WriteString("(?:.*/)?")
			i += 2
		case strings.HasPrefix(rest, "**"):
			re.WriteString(".*")
			i++
		case rest[0] == '*':
			re.WriteString("[^/]*")
		case rest[0] == '?':
			re.WriteString("[^/]")
		case rest[0] == '[' && strings.IndexByte(rest, ']') > 1:
			set := rest[1:strings.IndexByte(rest, ']')]
			i += len(set) + 1
			re.WriteString("[" + strings.ReplaceAll(strings.Replace(set, "!", "^", 1), `\`, `\\`) + "]")
		default:
			re.WriteString(regexp.QuoteMeta(rest[:1]))
		}
	}
	re.WriteString("(?:/.*)?$")
	out, err := regexp.Compile(re.String())
	if err != nil || text == "" {
		return nil, fmt.Errorf("%q is no glob such as *.tmpl.yaml, charts or overlays/**/test", glob)
	}
	return out, nil
}

// excluded reports whether a path is left out.
func (l *loader) excluded(name string) bool {
	for _, re := range l.exclude {
		if re.MatchString(name) {
			return true
		}
	}
	return false
}
