package cli

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/sidestep-mesh/sidestep/internal/generate"
)

const root = "../.."

var (
	links    = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	headings = regexp.MustCompile(`(?m)^#{1,6} +(.+)$`)
	fenced   = regexp.MustCompile("(?s)```.*?```")
	dropped  = regexp.MustCompile(`[^\p{L}\p{N} _-]`)
)

// published is where this repository's files can be read.
const published = "https://github.com/sidestep-mesh/sidestep/blob/main/"

// anchors are the places of a Markdown page that a link may name, as GitHub makes them of headings.
func anchors(t *testing.T, page string) map[string]bool {
	t.Helper()
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]bool{}
	for _, h := range headings.FindAllStringSubmatch(fenced.ReplaceAllString(string(text), ""), -1) {
		title := links.ReplaceAllString(strings.ToLower(h[1]), "")
		out[strings.ReplaceAll(dropped.ReplaceAllString(title, ""), " ", "-")] = true
	}
	return out
}

// deadLink says what is wrong with a link of a page; empty when it leads somewhere, or out of the repository.
func deadLink(t *testing.T, page, link string) string {
	t.Helper()
	target, anchor, _ := strings.Cut(link, "#")
	if own, ok := strings.CutPrefix(target, published); ok {
		target = filepath.Join(root, own)
	} else if strings.Contains(target, "://") || strings.HasPrefix(target, "mailto:") {
		return ""
	} else if target == "" {
		target = page
	} else {
		target = filepath.Join(filepath.Dir(page), target)
	}
	if _, err := os.Stat(target); err != nil {
		return "leads nowhere"
	}
	if anchor != "" && strings.HasSuffix(target, ".md") && !anchors(t, target)[anchor] {
		return "names a heading that " + filepath.Base(target) + " does not have"
	}
	return ""
}

// Every link of every page leads somewhere, and so does the runbook of every alert.
func TestNoLinkIsDead(t *testing.T) {
	var pages []string
	for _, pattern := range []string{"*.md", "docs/*.md", "docs/*/*.md", "examples/*/*.md", "integrations/*/*.md"} {
		some, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			t.Fatal(err)
		}
		pages = append(pages, some...)
	}
	seen := 0
	for _, page := range pages {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range links.FindAllStringSubmatch(fenced.ReplaceAllString(string(text), ""), -1) {
			seen++
			if why := deadLink(t, page, l[1]); why != "" {
				t.Errorf("%s: link %s %s", page, l[1], why)
			}
		}
	}
	if seen < 100 {
		t.Errorf("only %d links were seen", seen)
	}
	runbooks := 0
	for _, g := range generate.Alerts() {
		for _, r := range g.Rules {
			for _, a := range r.Annotations {
				if a[0] == "runbook_url" {
					runbooks++
					if why := deadLink(t, root+"/README.md", a[1]); why != "" {
						t.Errorf("%s: its runbook %s %s", r.Alert, a[1], why)
					}
				}
			}
		}
	}
	if runbooks < 15 {
		t.Errorf("only %d alerts have a runbook", runbooks)
	}
}
