package report

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
)

// The subset of SARIF 2.1.0 that a code scanner needs:
// https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html
type sarifLog struct {
	Schema  string     `json:"$schema"`
	Version string     `json:"version"`
	Runs    []sarifRun `json:"runs"`
}

type sarifRun struct {
	Tool        sarifTool         `json:"tool"`
	Invocations []sarifInvocation `json:"invocations"`
	Results     []sarifResult     `json:"results"`
	ColumnKind  string            `json:"columnKind"`
}

type sarifTool struct {
	Driver sarifDriver `json:"driver"`
}

type sarifDriver struct {
	Name            string      `json:"name"`
	SemanticVersion string      `json:"semanticVersion,omitempty"`
	InformationURI  string      `json:"informationUri"`
	Rules           []sarifRule `json:"rules"`
}

type sarifRule struct {
	ID                   string         `json:"id"`
	ShortDescription     sarifText      `json:"shortDescription"`
	FullDescription      *sarifText     `json:"fullDescription,omitempty"`
	Help                 *sarifText     `json:"help,omitempty"`
	HelpURI              string         `json:"helpUri"`
	DefaultConfiguration sarifConfig    `json:"defaultConfiguration"`
	Properties           map[string]any `json:"properties,omitempty"`
}

type sarifConfig struct {
	Level string `json:"level"`
}

type sarifText struct {
	Text string `json:"text"`
}

// sarifInvocation tells a scanner whether the audit saw everything.
type sarifInvocation struct {
	ExecutionSuccessful        bool                `json:"executionSuccessful"`
	ToolExecutionNotifications []sarifNotification `json:"toolExecutionNotifications,omitempty"`
}

type sarifNotification struct {
	Level     string          `json:"level"`
	Message   sarifText       `json:"message"`
	Locations []sarifLocation `json:"locations,omitempty"`
}

type sarifResult struct {
	RuleID              string            `json:"ruleId"`
	RuleIndex           int               `json:"ruleIndex"`
	Level               string            `json:"level"`
	Message             sarifText         `json:"message"`
	Locations           []sarifLocation   `json:"locations"`
	PartialFingerprints map[string]string `json:"partialFingerprints"`
	Properties          sarifProperties   `json:"properties"`
}

type sarifProperties struct {
	Requires  string   `json:"requires,omitempty"`
	Remedy    string   `json:"remedy,omitempty"`
	Workloads []string `json:"workloads,omitempty"`
}

type sarifLocation struct {
	PhysicalLocation *sarifPhysical `json:"physicalLocation,omitempty"`
	LogicalLocations []sarifLogical `json:"logicalLocations,omitempty"`
}

type sarifPhysical struct {
	ArtifactLocation sarifArtifact `json:"artifactLocation"`
	Region           *sarifRegion  `json:"region,omitempty"`
}

type sarifArtifact struct {
	URI string `json:"uri"`
}

type sarifRegion struct {
	StartLine int `json:"startLine"`
}

type sarifLogical struct {
	Name               string `json:"name"`
	FullyQualifiedName string `json:"fullyQualifiedName"`
	Kind               string `json:"kind"`
}

// SARIF writes the findings as SARIF 2.1.0. A thing found once that is about many workloads is one
// result, so that a scanner shows it once; its workloads are in the result's properties.
func (r *AuditReport) SARIF(w io.Writer, version string) error {
	driver := sarifDriver{
		Name: "sidestep", InformationURI: "https://github.com/sidestep-mesh/sidestep",
		SemanticVersion: strings.TrimPrefix(strings.Trim(version, "()"), "v"), Rules: []sarifRule{},
	}
	if !strings.Contains(driver.SemanticVersion, ".") { // a development build has no version
		driver.SemanticVersion = ""
	}
	index := map[string]int{}
	for _, rule := range r.Rules {
		index[rule.Code] = len(driver.Rules)
		driver.Rules = append(driver.Rules, sarifRuleOf(rule))
	}
	invocation := r.sarifInvocation()
	topics := r.topics()
	if len(topics) > mostResults {
		invocation.ToolExecutionNotifications = append(invocation.ToolExecutionNotifications, beyondLimit(topics[mostResults:]))
		topics = topics[:mostResults]
	}
	results := []sarifResult{}
	for _, t := range topics {
		i, known := index[t.Code]
		if !known {
			i = -1
		}
		results = append(results, sarifResultOf(t, i))
	}
	return writeJSON(w, sarifLog{
		Schema:  "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json",
		Version: "2.1.0",
		Runs: []sarifRun{{
			Tool: sarifTool{Driver: driver}, Results: results, ColumnKind: "utf16CodeUnits",
			Invocations: []sarifInvocation{invocation},
		}},
	})
}

// mostResults is how many results of one run GitHub shows; it drops the others
// (https://docs.github.com/en/code-security/code-scanning/integrating-with-code-scanning/sarif-support-for-code-scanning).
const mostResults = 5000

// beyondLimit says what is not among the results, which are the severest.
func beyondLimit(topics []topic) sarifNotification {
	by := map[string]int{}
	for _, t := range topics {
		by[t.Severity]++
	}
	return sarifNotification{Level: "warning", Message: sarifText{fmt.Sprintf(
		"%d findings are not in this file, since GitHub shows %d of a run: %s, %s, %s. They are in -o json.",
		len(topics), mostResults, count(by["error"], "error"), count(by["warning"], "warning"), count(by["info"], "note"))}}
}

func sarifRuleOf(rule Rule) sarifRule {
	out := sarifRule{
		ID: rule.Code, ShortDescription: sarifText{rule.Title}, HelpURI: rule.URL(),
		DefaultConfiguration: sarifConfig{Level: sarifLevel(rule.Severity)},
	}
	if rule.Why != "" {
		out.FullDescription = &sarifText{rule.Why}
	}
	if rule.Remedy != "" {
		out.Help = &sarifText{rule.Remedy}
	}
	if len(rule.References) > 0 {
		out.Properties = map[string]any{"references": rule.References}
	}
	return out
}

func sarifResultOf(t topic, ruleIndex int) sarifResult {
	fields := []string{t.Code, t.Subject.Kind, t.Subject.Namespace, t.Subject.Name}
	if len(t.Evidence) > 0 {
		fields = append(fields, t.Evidence[0].Object.String(), t.Evidence[0].Field)
	}
	sum := sha256.Sum256([]byte(strings.Join(fields, "\x00")))
	out := sarifResult{
		RuleID: t.Code, RuleIndex: ruleIndex, Level: sarifLevel(t.Severity), Message: sarifText{t.Message},
		Locations: []sarifLocation{sarifLocationOf(t.Place, &t.Subject)},
		// Line numbers move when a file is edited; what a finding is about does not.
		PartialFingerprints: map[string]string{"sidestepFinding/v1": hex.EncodeToString(sum[:16])},
		Properties:          sarifProperties{Requires: t.Requires, Remedy: t.Remedy},
	}
	for _, w := range t.Workloads {
		out.Properties.Workloads = append(out.Properties.Workloads, w.String())
	}
	slices.Sort(out.Properties.Workloads)
	return out
}

func sarifLocationOf(p Place, subject *Object) sarifLocation {
	var out sarifLocation
	if p.File != "" {
		out.PhysicalLocation = &sarifPhysical{ArtifactLocation: sarifArtifact{URI: fileURI(p.File)}}
		if p.Line > 0 {
			out.PhysicalLocation.Region = &sarifRegion{StartLine: p.Line}
		}
	}
	if subject != nil {
		out.LogicalLocations = []sarifLogical{{Name: subject.Name, FullyQualifiedName: subject.String(), Kind: "resource"}}
	}
	return out
}

// fileURI is a relative path as a URI reference, as scanners expect for files of the repository they
// look at, and an absolute one as a file URI.
func fileURI(file string) string {
	u := url.URL{Path: filepath.ToSlash(file)}
	if strings.HasPrefix(u.Path, "/") {
		u.Scheme = "file"
	}
	return u.String()
}

func (r *AuditReport) sarifInvocation() sarifInvocation {
	out := sarifInvocation{ExecutionSuccessful: len(r.Input.Problems) == 0}
	for _, p := range r.Input.Problems {
		out.ToolExecutionNotifications = append(out.ToolExecutionNotifications, sarifNotification{
			Level: "error", Message: sarifText{p.Message}, Locations: []sarifLocation{sarifLocationOf(p.Place, nil)},
		})
	}
	for _, k := range r.Input.Unknown {
		if k.State == "hidden" {
			out.ToolExecutionNotifications = append(out.ToolExecutionNotifications, sarifNotification{
				Level: "warning", Message: sarifText{fmt.Sprintf("%s could not be read: %s", k.Kind, k.Reason)},
			})
		}
	}
	return out
}

func sarifLevel(severity string) string {
	if severity == "info" {
		return "note"
	}
	return severity
}
