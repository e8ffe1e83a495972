package v1alpha1

import (
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"
)

// openAPI is the part of an OpenAPI schema that this test reads.
type openAPI struct {
	Type       string             `json:"type"`
	Properties map[string]openAPI `json:"properties"`
	Required   []string           `json:"required"`
	Items      *openAPI           `json:"items"`
	Enum       []string           `json:"enum"`
	Validate   []struct {
		Rule, Message string
	} `json:"x-kubernetes-validations"`
}

func definition(t *testing.T) openAPI {
	t.Helper()
	raw, err := os.ReadFile("../../deploy/crds/sidestep.dev_migrations.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var crd struct {
		Spec struct {
			Scope    string
			Versions []struct {
				Name         string
				Subresources map[string]any
				Schema       struct {
					OpenAPIV3Schema openAPI `json:"openAPIV3Schema"`
				}
			}
		}
	}
	if err := yaml.Unmarshal(raw, &crd); err != nil {
		t.Fatal(err)
	}
	if len(crd.Spec.Versions) != 1 || crd.Spec.Versions[0].Name != GroupVersion.Version || crd.Spec.Scope != "Cluster" || crd.Spec.Versions[0].Subresources["status"] == nil {
		t.Fatalf("unexpected definition: %+v", crd.Spec)
	}
	return crd.Spec.Versions[0].Schema.OpenAPIV3Schema
}

// The CustomResourceDefinition is generated; a type that was changed without generating it anew would lose fields in the API server.
func TestTheDefinitionHasEveryFieldOfTheTypes(t *testing.T) {
	var compare func(path string, of reflect.Type, s openAPI)
	compare = func(path string, of reflect.Type, s openAPI) {
		switch of.Kind() {
		case reflect.Pointer:
			compare(path, of.Elem(), s)
		case reflect.Slice:
			if s.Items == nil {
				t.Errorf("%s: a list in Go and %q in the definition", path, s.Type)
				return
			}
			compare(path+"[]", of.Elem(), *s.Items)
		case reflect.Struct:
			if strings.HasPrefix(of.PkgPath(), "k8s.io/") {
				return // the API server's own types
			}
			var fields []string
			for i := range of.NumField() {
				name, options, _ := strings.Cut(of.Field(i).Tag.Get("json"), ",")
				if name == "" || name == "metadata" {
					continue
				}
				fields = append(fields, name)
				sub, there := s.Properties[name]
				if !there {
					t.Errorf("%s.%s is not in the definition: run go generate ./api/...", path, name)
					continue
				}
				if optional := strings.Contains(options, "omitempty"); optional == slices.Contains(s.Required, name) {
					t.Errorf("%s.%s: omitempty is %v, and the definition says otherwise", path, name, optional)
				}
				compare(path+"."+name, of.Field(i).Type, sub)
			}
			for name := range s.Properties {
				if !slices.Contains(fields, name) && name != "apiVersion" && name != "kind" && name != "metadata" {
					t.Errorf("%s.%s is in the definition and not in the type: run go generate ./api/...", path, name)
				}
			}
		}
	}
	root := definition(t)
	compare("Migration", reflect.TypeFor[Migration](), openAPI{Properties: map[string]openAPI{"spec": root.Properties["spec"], "status": root.Properties["status"]}, Required: root.Required})
}

func TestEveryRuleOfTheDefinitionSaysWhatToDo(t *testing.T) {
	rules := 0
	var walk func(path string, s openAPI)
	walk = func(path string, s openAPI) {
		for _, v := range s.Validate {
			rules++
			if len(strings.Fields(v.Message)) < 4 {
				t.Errorf("%s: rule %q says only %q", path, v.Rule, v.Message)
			}
		}
		for name, p := range s.Properties {
			walk(path+"."+name, p)
		}
		if s.Items != nil {
			walk(path+"[]", *s.Items)
		}
	}
	walk("Migration", definition(t))
	if rules < 5 {
		t.Errorf("only %d rules", rules)
	}
}

func TestACopyIsDeep(t *testing.T) {
	m := &Migration{Spec: MigrationSpec{Scope: Scope{Namespaces: []string{"a"}, NamespaceSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"x": "y"}}}}}
	c := m.DeepCopy()
	c.Spec.Scope.Namespaces[0], c.Spec.Scope.NamespaceSelector.MatchLabels["x"] = "b", "z"
	if m.Spec.Scope.Namespaces[0] != "a" || m.Spec.Scope.NamespaceSelector.MatchLabels["x"] != "y" {
		t.Error("a change of the copy changes the original")
	}
}
