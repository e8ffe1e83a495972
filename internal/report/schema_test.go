package report

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Every golden document holds to the schema of its kind, with no field that the schema does not name.
func TestDocumentsHoldToTheirSchemas(t *testing.T) {
	files, err := filepath.Glob("testdata/*.json.golden")
	if err != nil || len(files) == 0 {
		t.Fatalf("no documents: %v", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if err := ValidateDocument(text); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestSchemasRefuseWhatIsWrong(t *testing.T) {
	text, err := os.ReadFile("testdata/audit.json.golden")
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(d map[string]any){
		"a field of another name": func(d map[string]any) { d["workload"] = d["workloads"] },
		"a field that is missing": func(d map[string]any) { delete(d, "workloads") },
		"a field of another type": func(d map[string]any) { d["findings"] = "none" },
		"another version":         func(d map[string]any) { d["apiVersion"] = "sidestep.dev/v9" },
	} {
		t.Run(name, func(t *testing.T) {
			var d map[string]any
			if err := json.Unmarshal(text, &d); err != nil {
				t.Fatal(err)
			}
			change(d)
			changed, err := json.Marshal(d)
			if err != nil {
				t.Fatal(err)
			}
			if err := ValidateDocument(changed); err == nil {
				t.Error("taken")
			}
		})
	}
}

func TestEveryKindHasASchema(t *testing.T) {
	for _, kind := range Kinds() {
		text, err := Schema(kind)
		if err != nil || !json.Valid(text) || strings.Contains(string(text), `"not"`) {
			t.Errorf("%s: %v\n%s", kind, err, text)
		}
	}
}
