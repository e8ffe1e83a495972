// Package scenario reads and loads meshes for the lab. A scenario is one text
// file in txtar form: a story, then mesh.yaml (a short form for namespaces,
// workloads, nodes and the call graph), objects.yaml (everything else, as it would stand in a
// repository), conditions (what istiod must say about the objects), modes (what
// data plane the pods must have), and audit and authz (what Sidestep must say of it all).
package scenario

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/rogpeppe/go-internal/txtar"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/sidestep-mesh/sidestep/test/lab/cluster"
)

//go:embed files/*.txtar
var files embed.FS

// Scenario is one file, read and expanded.
type Scenario struct {
	Name       string
	Story      string
	Mesh       Mesh
	Objects    []*unstructured.Unstructured // all of it: namespaces, nodes, workloads, policies
	Conditions []Condition
	Modes      []Mode
	Claims     []Claim    // what the audit must say
	Questions  []Question // what `sidestep authz` must answer
}

// Mode is what the data plane of a workload's pods really is once all has settled,
// written in a scenario as "namespace/workload sidecar|ambient|none".
type Mode struct {
	Workload string
	Mode     string
}

// Mesh is the short form of mesh.yaml.
type Mesh struct {
	Nodes      []NodePool                   `json:"nodes,omitempty"`
	Namespaces map[string]map[string]string `json:"namespaces,omitempty"` // name to labels
	Workloads  []Workload                   `json:"workloads,omitempty"`
	Calls      []Call                       `json:"calls,omitempty"`
	Generate   *Generate                    `json:"generate,omitempty"`
	// Wide says that the scenario changes what holds for every workload of the mesh, so
	// that tests load it by itself and take it away again.
	Wide bool `json:"wide,omitempty"`
}

// Call is an edge of the call graph, as the metrics stand-in needs it.
type Call struct {
	From string `json:"from"` // namespace/workload
	To   string `json:"to"`   // namespace/workload; its Service has the same name
	// RPS is requests (HTTP) or connections (TCP) per second over the whole edge.
	RPS float64 `json:"rps"`
	// Protocol is "http" (the default) or "tcp".
	Protocol string `json:"protocol,omitempty"`
	// ServiceMS is the time the callee itself takes, in milliseconds; 5 when not given.
	ServiceMS float64 `json:"serviceMS,omitempty"`
	// Errors is the share of answers with code 503, 0 to 1.
	Errors float64 `json:"errors,omitempty"`
}

// Condition is what istiod must report on one object, written in a scenario as
//
//	AuthorizationPolicy ns/name ZtunnelAccepted=True/Accepted
//
// or "... WaypointBound=absent" for a condition that must not be there. A fourth word
// "optional" admits that it is not there.
type Condition struct {
	Kind, Namespace, Name string
	Type                  string
	Status, Reason        string // Status "absent": no such condition
	Optional              bool
}

func (c Condition) String() string {
	value := c.Status
	if c.Reason != "" {
		value += "/" + c.Reason
	}
	return fmt.Sprintf("%s %s/%s %s=%s", c.Kind, c.Namespace, c.Name, c.Type, value)
}

// Names lists the scenarios that are built in.
func Names() []string {
	matches, err := fs.Glob(files, "files/*.txtar")
	if err != nil {
		panic(err) // the pattern is a constant
	}
	names := make([]string, 0, len(matches))
	for _, m := range matches {
		names = append(names, strings.TrimSuffix(strings.TrimPrefix(m, "files/"), ".txtar"))
	}
	slices.Sort(names)
	return names
}

// Load reads a built-in scenario.
func Load(name string) (*Scenario, error) {
	raw, err := files.ReadFile("files/" + name + ".txtar")
	if err != nil {
		return nil, fmt.Errorf("no scenario is called %q; there are: %s", name, strings.Join(Names(), ", "))
	}
	return Parse(name, raw)
}

// Parse reads a scenario file.
func Parse(name string, raw []byte) (*Scenario, error) {
	archive := txtar.Parse(raw)
	s := &Scenario{Name: name, Story: strings.TrimSpace(string(archive.Comment))}
	var own []*unstructured.Unstructured
	for _, file := range archive.Files {
		where := name + ".txtar: " + file.Name
		var err error
		switch file.Name {
		case "mesh.yaml":
			err = yaml.UnmarshalStrict(file.Data, &s.Mesh)
		case "objects.yaml":
			own, err = cluster.Parse(where, file.Data)
		case "conditions":
			s.Conditions, err = eachLine(file.Data, parseCondition)
		case "modes":
			s.Modes, err = eachLine(file.Data, parseMode)
		case "audit":
			s.Claims, err = parseClaims(file.Data)
		case "authz":
			s.Questions, err = parseQuestions(file.Data)
		default:
			err = fmt.Errorf("a scenario has no such file")
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", where, err)
		}
	}
	if s.Mesh.Generate != nil {
		if err := s.Mesh.Generate.check(); err != nil {
			return nil, fmt.Errorf("%s.txtar: mesh.yaml: %w", name, err)
		}
		generated := s.Mesh.Generate.mesh()
		own = append(own, generated.objects...)
		s.Mesh.Workloads = append(s.Mesh.Workloads, generated.workloads...)
		s.Mesh.Calls = append(s.Mesh.Calls, generated.calls...)
		if s.Mesh.Namespaces == nil {
			s.Mesh.Namespaces = map[string]map[string]string{}
		}
		for ns, labels := range generated.namespaces {
			s.Mesh.Namespaces[ns] = labels
		}
	}
	expanded, err := s.Mesh.objects()
	if err != nil {
		return nil, fmt.Errorf("%s.txtar: mesh.yaml: %w", name, err)
	}
	s.Objects = append(expanded, own...)
	return s, nil
}

func parseCondition(line string) (Condition, error) {
	var c Condition
	fields := strings.Fields(line)
	if len(fields) == 4 && fields[3] == "optional" {
		c.Optional, fields = true, fields[:3]
	}
	var okName, okType bool
	if len(fields) == 3 {
		c.Kind = fields[0]
		c.Namespace, c.Name, okName = strings.Cut(fields[1], "/")
		c.Type, c.Status, okType = strings.Cut(fields[2], "=")
		c.Status, c.Reason, _ = strings.Cut(c.Status, "/")
	}
	if !okName || !okType {
		return c, errors.New("want KIND NAMESPACE/NAME TYPE=STATUS/REASON [optional]")
	}
	return c, nil
}

func parseMode(line string) (Mode, error) {
	fields := strings.Fields(line)
	if len(fields) != 2 || !slices.Contains([]string{"sidecar", "ambient", "none"}, fields[1]) {
		return Mode{}, errors.New("want NAMESPACE/WORKLOAD sidecar|ambient|none")
	}
	return Mode{Workload: fields[0], Mode: fields[1]}, nil
}

// OwnNamespaces are the namespaces that the scenario makes.
func (s *Scenario) OwnNamespaces() []string {
	names := make([]string, 0, len(s.Mesh.Namespaces))
	for name := range s.Mesh.Namespaces {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
