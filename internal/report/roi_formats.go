package report

import (
	"encoding/csv"
	"fmt"
	"html/template"
	"io"
	"strings"
)

// JSON writes the versioned document itself.
func (r *ROI) JSON(w io.Writer) error { return writeJSON(w, r.document) }

// CSV writes section, row label, column, value: one cell a line, which every spreadsheet can pivot.
func (r *ROI) CSV(w io.Writer) error {
	c := csv.NewWriter(w)
	if err := c.Write([]string{"section", "row", "column", "value"}); err != nil {
		return err
	}
	for _, s := range r.Sections {
		label := ""
		for _, row := range s.Rows {
			if row[0] != "" {
				label = row[0]
			}
			for i, cell := range row {
				if i > 0 && cell != "" {
					if err := c.Write([]string{s.Title, label, s.Columns[i], cell}); err != nil {
						return err
					}
				}
			}
		}
	}
	c.Flush()
	return c.Error()
}

// Markdown writes tables for a pull request.
func (r *ROI) Markdown(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "## %s\n\n", r.Title)
	for _, l := range r.Lead {
		fmt.Fprintf(&b, "%s\n", l)
	}
	cell := strings.NewReplacer("|", "\\|", "\n", " ", "<", "&lt;").Replace
	for _, s := range r.Sections {
		fmt.Fprintf(&b, "\n### %s\n\n", s.Title)
		if s.Note != "" {
			fmt.Fprintf(&b, "%s\n\n", s.Note)
		}
		fmt.Fprintf(&b, "| %s |\n|%s\n", strings.Join(s.Columns, " | "), strings.Repeat(" --- |", len(s.Columns)))
		for _, row := range s.Rows {
			cells := make([]string, len(row))
			for i, c := range row {
				cells[i] = cell(c)
			}
			fmt.Fprintf(&b, "| %s |\n", strings.Join(cells, " | "))
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// Text writes tables for a terminal. Sources and what was left out take a line of their own, so that tables stay narrow.
func (r *ROI) Text(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n", r.Title)
	for _, l := range r.Lead {
		fmt.Fprintf(&b, "%s\n", l)
	}
	for _, s := range r.Sections {
		fmt.Fprintf(&b, "\n%s\n", s.Title)
		if s.Note != "" {
			fmt.Fprintf(&b, "  %s\n", s.Note)
		}
		s.text(&b)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// asides are columns that text shows below a row.
var asides = map[string]bool{"source": true, "left out": true, "advice": true, "why": true, "what that costs": true, "rests on": true}

func (s ROISection) text(b *strings.Builder) {
	width := make([]int, len(s.Columns))
	for i, c := range s.Columns {
		width[i] = len(c)
		for _, row := range s.Rows {
			width[i] = max(width[i], len([]rune(row[i])))
		}
	}
	line := func(row []string) {
		out := " "
		for i, c := range row {
			if !asides[s.Columns[i]] {
				out += " " + pad(c, min(width[i], 72)) + " "
			}
		}
		fmt.Fprintln(b, strings.TrimRight(out, " "))
	}
	line(s.Columns)
	for _, row := range s.Rows {
		line(row)
		for i, c := range row {
			if asides[s.Columns[i]] && c != "" {
				fmt.Fprintf(b, "      %s: %s\n", s.Columns[i], c)
			}
		}
	}
}

var roiPage = template.Must(template.New("roi").Parse(`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1"><title>{{.Title}}</title>
<style>
body{font:15px/1.45 system-ui,sans-serif;margin:2rem auto;max-width:72rem;padding:0 1rem;color:#1c2733;background:#fff}
h1{font-size:1.5rem}h2{font-size:1.1rem;margin:1.8rem 0 .3rem}p{margin:.2rem 0;color:#44515e}
table{border-collapse:collapse;width:100%;font-size:.9rem}th,td{text-align:left;vertical-align:top;padding:.3rem .6rem;border-bottom:1px solid #dde3e9}
th{font-weight:600;background:#f4f6f8}div{overflow-x:auto}
@media(prefers-color-scheme:dark){body{background:#12181f;color:#dfe6ee}p{color:#9fb0c0}th{background:#1b242e}th,td{border-color:#2b3743}}
</style></head><body><h1>{{.Title}}</h1>{{range .Lead}}<p>{{.}}</p>{{end}}
{{range .Sections}}<h2>{{.Title}}</h2>{{with .Note}}<p>{{.}}</p>{{end}}<div><table><thead><tr>{{range .Columns}}<th scope="col">{{.}}</th>{{end}}</tr></thead><tbody>
{{range .Rows}}<tr>{{range .}}<td>{{.}}</td>{{end}}</tr>
{{end}}</tbody></table></div>
{{end}}</body></html>
`))

// HTML writes one page that needs nothing else.
func (r *ROI) HTML(w io.Writer) error { return roiPage.Execute(w, r) }
