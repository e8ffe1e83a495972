package audit

import (
	"bufio"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/sidestep-mesh/sidestep/internal/mesh"
	"github.com/sidestep-mesh/sidestep/internal/snapshot"
)

func TestEveryRuleIsDocumented(t *testing.T) {
	code := regexp.MustCompile(`^SS[1-9]\d\d$`)
	for _, r := range All() {
		t.Run(r.Code, func(t *testing.T) {
			if !code.MatchString(r.Code) {
				t.Errorf("code %q is not SS and three digits", r.Code)
			}
			if !slices.ContainsFunc(Groups(), func(g Group) bool { return strings.HasPrefix(r.Code, g.Prefix) }) {
				t.Errorf("no group for %s", r.Code)
			}
			for what, text := range map[string]string{"Title": r.Title, "Why": r.Why, "Remedy": r.Remedy} {
				if len(text) < 15 || strings.TrimSpace(text) != text {
					t.Errorf("%s is missing, too short or padded: %q", what, text)
				}
			}
			if strings.HasSuffix(r.Title, ".") || !strings.HasSuffix(r.Why, ".") || !strings.HasSuffix(r.Remedy, ".") {
				t.Error("a title has no full stop; Why and Remedy end with one")
			}
			if len(r.References) == 0 {
				t.Error("names no source")
			}
			if !slices.Contains([]Severity{Error, Warning, Info}, r.Severity) {
				t.Errorf("severity %q", r.Severity)
			}
			if !slices.Contains([]Verdict{VerdictNone, VerdictAmbient, VerdictWaypoint, VerdictSidecar}, r.Requires) {
				t.Errorf("requires %q", r.Requires)
			}
			forms := 0
			for _, set := range []bool{r.Check != nil, r.Consequence != nil, r.Whole != nil} {
				if set {
					forms++
				}
			}
			if forms != 1 {
				t.Errorf("has %d of Check, Consequence and Whole, want exactly one", forms)
			}
			if r.Whole != nil && (len(r.Modes) > 0 || r.Requires != VerdictNone) {
				t.Error("a rule about the mesh has no Modes and requires nothing of a workload")
			}
			if r.Since != 0 && r.Until != 0 && r.Since > r.Until || r.Until > NewestMinor || r.Since > NewestMinor {
				t.Errorf("applies to 1.%d to 1.%d", r.Since, r.Until)
			}
		})
	}
}

func TestCodesAreUniqueAndNeverReused(t *testing.T) {
	f, err := os.Open("testdata/codes.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }() // read only
	ledger := map[string]bool{}      // code to retired
	for s := bufio.NewScanner(f); s.Scan(); {
		fields := strings.Fields(s.Text())
		if len(fields) == 0 || fields[0] == "#" {
			continue
		}
		if _, twice := ledger[fields[0]]; twice {
			t.Errorf("codes.txt lists %s twice", fields[0])
		}
		ledger[fields[0]] = len(fields) > 1 && fields[1] == "retired"
	}
	live := map[string]bool{}
	for _, r := range All() {
		if live[r.Code] {
			t.Errorf("two rules have code %s", r.Code)
		}
		live[r.Code] = true
		switch retired, known := ledger[r.Code]; {
		case !known:
			t.Errorf("%s is new: add it to testdata/codes.txt", r.Code)
		case retired:
			t.Errorf("%s is retired and must not be used again", r.Code)
		}
	}
	for code, retired := range ledger {
		if !retired && !live[code] {
			t.Errorf("no rule has code %s any more: write retired behind it in testdata/codes.txt", code)
		}
	}
}

func TestRulesStandInFilesOfTheirOwn(t *testing.T) {
	for _, r := range All() {
		files, err := filepath.Glob(strings.ToLower(r.Code) + "_*.go")
		if err != nil || len(files) != 1 {
			t.Errorf("%s: files %v, want one", r.Code, files)
		}
	}
}

func TestEveryFeatureIsJudgedOrPreserved(t *testing.T) {
	judged := map[mesh.Feature]bool{}
	for _, r := range All() {
		for _, f := range r.Inputs.Features {
			judged[f] = true
		}
	}
	for _, p := range AllPreserved() {
		if p.Because == "" {
			t.Errorf("%s: no reason", p.Feature)
		}
		if !slices.Contains(mesh.Features(), p.Feature) {
			t.Errorf("%s is no feature", p.Feature)
		}
		if judged[p.Feature] {
			t.Errorf("%s is both judged and preserved", p.Feature)
		}
		judged[p.Feature] = true
	}
	for _, f := range mesh.Features() {
		if !judged[f] {
			t.Errorf("no rule asks for %s and it is not listed as preserved", f)
		}
	}
}

// TestRulesFireAndStaySilent holds for each rule: a scenario named for it in which it fires, and one
// close to that in which it does not.
func TestRulesFireAndStaySilent(t *testing.T) {
	byName := map[string]*scenario{}
	for _, s := range scenarios(t) {
		byName[s.name] = s
	}
	fires := func(s *scenario, code string) bool {
		r := Run(s.mesh(t), Options{})
		found := slices.Contains(codes(r.Findings), code)
		for _, w := range r.Workloads {
			found = found || slices.Contains(codes(w.Findings), code)
		}
		return found
	}
	for _, r := range All() {
		for suffix, want := range map[string]bool{"fires": true, "silent": false} {
			name := fmt.Sprintf("testdata/rules/%s-%s.txtar", r.Code, suffix)
			s := byName[name]
			if s == nil {
				t.Errorf("%s is missing", name)
				continue
			}
			if got := fires(s, r.Code); got != want {
				t.Errorf("%s: %s fires: %v, want %v", name, r.Code, got, want)
			}
		}
	}
}

// TestRulesTouchTheirInputs asks each rule about every scenario, whatever its release: what it reads is
// what it declares.
func TestRulesTouchTheirInputs(t *testing.T) {
	var meshes []*mesh.Mesh
	var results []*Result
	var answers []*shown
	for _, s := range scenarios(t) {
		m := s.mesh(t)
		meshes, results = append(meshes, m), append(results, run(m, Options{}, All(), func(m *mesh.Mesh, o Options, v map[mesh.Ref]Verdict) *shown {
			answers = append(answers, consult(m, o, v))
			return answers[len(answers)-1]
		}))
	}
	for _, r := range All() {
		touched := map[string]bool{}
		for i, m := range meshes {
			observed := *m
			observed.Snapshot = m.Snapshot.Observed(func(k snapshot.Kind) { touched["kind "+k.String()] = true })
			ask(r, &observed, results[i].Workloads, answers[i], func(input any) { touched[fmt.Sprintf("%T %v", input, input)] = true })
		}
		declared := map[string]bool{}
		for _, f := range r.Inputs.Features {
			declared[fmt.Sprintf("%T %v", f, f)] = true
		}
		for _, f := range r.Inputs.Facts {
			declared[fmt.Sprintf("%T %v", f, f)] = true
		}
		for _, k := range r.Inputs.Kinds {
			declared["kind "+k.String()] = true
		}
		if missing := difference(touched, declared); len(missing) > 0 {
			t.Errorf("%s reads and does not declare %v", r.Code, missing)
		}
		if extra := difference(declared, touched); len(extra) > 0 {
			t.Errorf("%s declares and does not read %v", r.Code, extra)
		}
	}
}

// ask calls a rule's function for everything it would be called for.
func ask(r Rule, m *mesh.Mesh, results []WorkloadResult, answer *shown, witness func(any)) {
	f := facts{mesh: m, index: &index{mesh: m, shown: answer}, witness: witness}
	if r.Whole != nil {
		r.Whole(&MeshView{facts: f, results: results})
		return
	}
	for _, w := range results {
		v := &View{facts: f, w: w.Workload}
		switch {
		case !r.asksFor(w.Workload.Mode):
		case r.Check != nil:
			r.Check(v)
		default:
			r.Consequence(v, w.Verdict)
		}
	}
}

func difference(a, b map[string]bool) []string {
	var out []string
	for _, k := range slices.Sorted(maps.Keys(a)) {
		if !b[k] {
			out = append(out, k)
		}
	}
	return out
}

func TestExplain(t *testing.T) {
	if r, ok := Explain("SS201"); !ok || r.Title != denyInert.Title {
		t.Errorf("Explain(SS201) = %q, %v", r.Title, ok)
	}
	if _, ok := Explain("SS000"); ok {
		t.Error("Explain knows SS000")
	}
}
