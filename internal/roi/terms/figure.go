package terms

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Figure is a number that may be shown: it has a unit, a source and what was left out of it. A figure without a value says why
// it has none; it is never zero instead.
type Figure struct {
	Value *float64 `json:"value,omitempty"`
	// Low and High bound the value where it is a range.
	Low     *float64 `json:"low,omitempty"`
	High    *float64 `json:"high,omitempty"`
	Unit    string   `json:"unit"`
	Source  string   `json:"source,omitempty"`
	LeftOut []string `json:"leftOut,omitempty"`
	// Missing is why there is no value.
	Missing string `json:"missing,omitempty"`
}

// Known makes a figure; a value that is not finite makes it missing instead.
func Known(v float64, unit, source string, leftOut ...string) Figure {
	if _, ok := Finite(v); !ok {
		return Missing(unit, "the arithmetic gave no finite number")
	}
	v = Tidy(v)
	return Figure{Value: &v, Unit: unit, Source: source, LeftOut: leftOut}
}

// Missing makes a figure without a value.
func Missing(unit, why string) Figure { return Figure{Unit: unit, Missing: why} }

// Between gives the figure a range.
func (f Figure) Between(low, high float64) Figure {
	if f.Value == nil {
		return f
	}
	if low > high {
		low, high = high, low
	}
	_, ok1 := Finite(low)
	_, ok2 := Finite(high)
	if ok1 && ok2 {
		low, high = Tidy(low), Tidy(high)
		f.Low, f.High = &low, &high
	}
	return f
}

// Tidy rounds to six significant digits and turns minus zero into zero.
func Tidy(v float64) float64 {
	if v == 0 || math.Abs(v) < 1e-12 {
		return 0
	}
	r, err := strconv.ParseFloat(strconv.FormatFloat(v, 'g', 6, 64), 64)
	if err != nil {
		return v
	}
	return r
}

// String is the figure as a reader sees it.
func (f Figure) String() string {
	if f.Value == nil {
		return "not known (" + f.Missing + ")"
	}
	s := Number(*f.Value) + " " + f.Unit
	if f.Low != nil && f.High != nil && *f.Low != *f.High {
		s += " (" + Number(*f.Low) + " to " + Number(*f.High) + ")"
	}
	return s
}

// Number prints at most two decimals, four below one, with thousands apart.
func Number(v float64) string {
	if _, ok := Finite(v); !ok {
		return "(no finite number)"
	}
	decimals := 2
	if math.Abs(v) < 1 {
		decimals = 4
	}
	s := strconv.FormatFloat(v, 'f', decimals, 64)
	if strings.Contains(s, ".") {
		s = strings.TrimRight(strings.TrimRight(s, "0"), ".")
	}
	if s == "-0" || s == "" {
		s = "0"
	}
	if v != 0 && s == "0" {
		return strconv.FormatFloat(v, 'g', 2, 64)
	}
	sign := ""
	if s[0] == '-' {
		sign, s = "-", s[1:]
	}
	whole, frac, _ := strings.Cut(s, ".")
	for i := len(whole) - 3; i > 0; i -= 3 {
		whole = whole[:i] + "," + whole[i:]
	}
	if frac != "" {
		whole += "." + frac
	}
	return sign + whole
}

// Line is a figure with its name.
type Line struct {
	Name   string `json:"name"`
	Figure Figure `json:"figure"`
}

// Step is one step of arithmetic, for --explain.
type Step struct {
	What string `json:"what"`
	How  string `json:"how"`
}

// Gap is something that could not be had, and what follows from it.
type Gap struct {
	What  string `json:"what"`
	Why   string `json:"why"`
	Costs string `json:"costs,omitempty"`
}

func (g Gap) String() string {
	s := g.What + ": " + g.Why
	if g.Costs != "" {
		s += "; " + g.Costs
	}
	return s
}

func Stepf(what, format string, args ...any) Step { return Step{what, fmt.Sprintf(format, args...)} }

const GiB = float64(1 << 30)

func Cores(milli int64) float64 { return float64(milli) / 1000 }
func GiBs(b int64) float64      { return float64(b) / GiB }
