package report

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/google/jsonschema-go/jsonschema"
	"github.com/sidestep-mesh/sidestep/internal/authz"
	"github.com/sidestep-mesh/sidestep/internal/plan"
	"github.com/sidestep-mesh/sidestep/internal/roi"
)

// documents are the kinds that -o json writes, by the types they are written from, so that a schema cannot say anything else
// than the program does.
var documents = map[string]any{
	"AuditDiff":            AuditDiff{},
	"AuditReport":          AuditReport{},
	"AuthzAccess":          AuthzAccess{},
	"AuthzAnswer":          AuthzAnswer{},
	"AuthzAssertionReport": AuthzAssertionReport{},
	"AuthzDiff":            authz.AuthzDiff{},
	"AuthzShadow":          AuthzShadow{},
	"DoctorReport":         DoctorReport{},
	"LogExplanation":       LogExplanation{},
	"MigrationStatus":      MigrationReport{},
	"Plan":                 PlanReport{},
	"RoiForecast":          roi.Forecast{},
	"RoiReport":            roi.Report{},
	"RouteAnswer":          RouteAnswer{},
	"RouteDiff":            RouteDiff{},
	"RouteTranslation":     RouteTranslation{},
	"RuleList":             RuleList{},
	"WorkloadReport":       WorkloadReport{},
}

// Kinds are the kinds that have a schema, sorted.
func Kinds() []string { return slices.Sorted(maps.Keys(documents)) }

// Schema is the JSON schema (2020-12) of a kind. Fields are only ever added to a version of a document, so it allows fields that it
// does not name.
func Schema(kind string) ([]byte, error) {
	s, err := exactSchema(kind)
	if err != nil {
		return nil, err
	}
	open(s)
	s.Schema = "https://json-schema.org/draft/2020-12/schema"
	group, version, _ := strings.Cut(APIVersion, "/")
	s.ID = fmt.Sprintf("https://%s/schemas/%s/%s.json", group, version, kind)
	s.Title = kind
	text, err := json.Marshal(s)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	if err := json.Indent(&out, text, "", "  "); err != nil {
		return nil, err
	}
	out.WriteByte('\n')
	return out.Bytes(), nil
}

// exactSchema allows the fields of this version alone.
func exactSchema(kind string) (*jsonschema.Schema, error) {
	document, known := documents[kind]
	if !known {
		return nil, fmt.Errorf("there is no document of kind %q; there are %v", kind, Kinds())
	}
	object := &jsonschema.Schema{Type: "object"}
	s, err := jsonschema.ForType(reflect.TypeOf(document), &jsonschema.ForOptions{TypeSchemas: map[reflect.Type]*jsonschema.Schema{
		reflect.TypeFor[plan.Edit]():   object, // a Kubernetes object, or a patch of one
		reflect.TypeFor[authz.Claim](): object, // claims hold claims
	}})
	if err != nil {
		return nil, fmt.Errorf("schema of %s: %w", kind, err)
	}
	nullable(s)
	s.Properties["apiVersion"].Enum = []any{APIVersion}
	s.Properties["kind"].Enum = []any{kind}
	return s, nil
}

// ValidateDocument says what is wrong with a JSON document that this version claims to have written: it must hold to the schema of
// its kind and have no field that the schema does not name.
func ValidateDocument(text []byte) error {
	var document map[string]any
	if err := json.Unmarshal(text, &document); err != nil {
		return err
	}
	kind, _ := document["kind"].(string)
	s, err := exactSchema(kind)
	if err != nil {
		return err
	}
	resolved, err := s.Resolve(nil)
	if err != nil {
		return fmt.Errorf("schema of %s: %w", kind, err)
	}
	return resolved.Validate(document)
}

// nullable lets maps be null, as encoding/json writes one that is nil.
func nullable(s *jsonschema.Schema) {
	if s == nil {
		return
	}
	if s.Type == "object" && s.AdditionalProperties != nil && s.AdditionalProperties.Not == nil {
		s.Type, s.Types = "", []string{"null", "object"}
	}
	nullable(s.AdditionalProperties)
	nullable(s.Items)
	for _, p := range s.Properties {
		nullable(p)
	}
}

// open lets objects have fields that a schema does not name, throughout.
func open(s *jsonschema.Schema) {
	if s == nil {
		return
	}
	if s.AdditionalProperties != nil && s.AdditionalProperties.Not != nil {
		s.AdditionalProperties = nil
	}
	open(s.AdditionalProperties)
	open(s.Items)
	for _, p := range s.Properties {
		open(p)
	}
}
