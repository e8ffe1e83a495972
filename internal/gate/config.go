package gate

import (
	"fmt"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"
)

// ConfigName is the file that holds a repository's settings, in the folder that is audited or above it.
const ConfigName = ".sidestep.yaml"

// Config is a repository's settings: flags that need not be given each time, and ignores.
type Config struct {
	// Paths are read where no -f is given, relative to the file.
	Paths []string `json:"paths,omitempty"`
	// Exclude, IstioVersion and MeshConfig stand for the flags of these names.
	Exclude      []string `json:"exclude,omitempty"`
	IstioVersion string   `json:"istioVersion,omitempty"`
	MeshConfig   string   `json:"meshConfig,omitempty"`
	// FailOn stands for --fail-on, Baseline for --baseline.
	FailOn   string `json:"failOn,omitempty"`
	Baseline string `json:"baseline,omitempty"`
	// Severities sets the severity of all findings of a code: error, warning or info.
	Severities map[string]string `json:"severities,omitempty"`
	// Ignore lists findings not to hear of.
	Ignore []Ignore `json:"ignore,omitempty"`
}

// ParseConfig reads a configuration; name is for messages.
func ParseConfig(name string, text []byte) (Config, error) {
	var c Config
	if err := yaml.UnmarshalStrict(text, &c); err != nil {
		return c, fmt.Errorf("%s: %w", name, err)
	}
	for i := range c.Ignore {
		c.Ignore[i].Where = fmt.Sprintf("%s: ignore[%d]", name, i)
		if err := c.Ignore[i].Validate(); err != nil {
			return c, err
		}
	}
	for code, severity := range c.Severities {
		if rank(severity) < 0 {
			return c, fmt.Errorf("%s: severities: %s: %q is not a severity; use error, warning or info", name, code, severity)
		}
		if strings.ToUpper(code) != code {
			return c, fmt.Errorf("%s: severities: write %s, not %s", name, strings.ToUpper(code), code)
		}
	}
	return c, nil
}

// SeverityOf returns the severity that the configuration sets for a code, empty where it sets none.
func (c Config) SeverityOf(code string) string { return c.Severities[code] }

// Codes lists the codes that the configuration names, sorted, for a check that they exist.
func (c Config) Codes() []string {
	var out []string
	for code := range c.Severities {
		out = append(out, code)
	}
	for _, i := range c.Ignore {
		out = append(out, i.Code)
	}
	slices.Sort(out)
	return slices.Compact(out)
}
