package cli

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"

	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/spf13/cobra"
)

// mcpInput is what every tool reads, beside its own arguments.
type mcpInput struct {
	Files   []string `json:"files,omitempty" jsonschema:"manifests, folders or snapshot files to read; without them the server's own -f, else the cluster of the current context"`
	Context string   `json:"context,omitempty" jsonschema:"kubeconfig context to read instead of the current one"`
}

func (in mcpInput) args(fallback []string) []string {
	files := in.Files
	if len(files) == 0 && in.Context == "" {
		files = fallback
	}
	var out []string
	for _, f := range files {
		out = append(out, "--filename="+f)
	}
	if in.Context != "" {
		out = append(out, "--context="+in.Context)
	}
	return out
}

type mcpAudit struct {
	mcpInput
	Namespaces []string `json:"namespaces,omitempty" jsonschema:"show these namespaces only"`
	Only       []string `json:"only,omitempty" jsonschema:"show workloads of these verdicts only: ambient, waypoint, sidecar, none"`
	Codes      []string `json:"codes,omitempty" jsonschema:"show workloads with these finding codes only"`
	Full       bool     `json:"full,omitempty" jsonschema:"the whole report as JSON instead of the first screen or the list"`
}

func (in mcpAudit) args(files []string) []string {
	out := append([]string{"audit", "--fail-on=none"}, in.mcpInput.args(files)...)
	for flag, values := range map[string][]string{"namespace": in.Namespaces, "only": in.Only, "code": in.Codes} {
		if len(values) > 0 {
			out = append(out, "--"+flag+"="+strings.Join(values, ","))
		}
	}
	if in.Full {
		out = append(out, "--output=json")
	}
	return out
}

type mcpExplain struct {
	mcpInput
	What string `json:"what" jsonschema:"a code such as SS201, or a workload, policy, route, waypoint or namespace such as payments/ledger"`
}

func (in mcpExplain) args(files []string) []string {
	return append(append([]string{"explain"}, in.mcpInput.args(files)...), "--", in.What)
}

type mcpCan struct {
	mcpInput
	From   string `json:"from" jsonschema:"the caller: NAMESPACE/SERVICEACCOUNT, or outside"`
	To     string `json:"to" jsonschema:"the destination: NAMESPACE/SERVICE:PORT or pod:NAMESPACE/WORKLOAD:PORT"`
	Method string `json:"method,omitempty" jsonschema:"HTTP method"`
	Path   string `json:"path,omitempty" jsonschema:"HTTP path"`
	Host   string `json:"host,omitempty" jsonschema:"HTTP host"`
}

func (in mcpCan) args(files []string) []string {
	out := append([]string{"authz", "can", "--output=json", "--from=" + in.From, "--to=" + in.To}, in.mcpInput.args(files)...)
	for flag, v := range map[string]string{"method": in.Method, "path": in.Path, "host": in.Host} {
		if v != "" {
			out = append(out, "--"+flag+"="+v)
		}
	}
	return out
}

type mcpDiff struct {
	Before string   `json:"before" jsonschema:"a file, folder or snapshot"`
	After  string   `json:"after,omitempty" jsonschema:"the state to compare with; empty with moves"`
	Moves  []string `json:"moves,omitempty" jsonschema:"suppose these workloads moved, each as NAMESPACE[/NAME]=MODE, where MODE is ambient, waypoint or sidecar"`
}

func (in mcpDiff) args([]string) []string {
	out := []string{"authz", "diff", "--output=json"}
	for _, m := range in.Moves {
		out = append(out, "--move="+m)
	}
	out = append(out, "--", in.Before)
	if in.After != "" {
		out = append(out, in.After)
	}
	return out
}

func newMCPCommand(env *Env) *cobra.Command {
	var files []string
	c := &cobra.Command{
		Use:   "mcp",
		Short: "Answer programs that speak the Model Context Protocol, on standard input and output; read-only",
		Long: `Offers what this program knows to assistants and other programs by the Model Context
Protocol over standard input and output: audit, explain, authz_can and authz_diff. Nothing
that it offers writes, to a cluster or to a file.`,
		Example: `  sidestep mcp                      # reads the cluster of the current context when asked
  sidestep mcp -f manifests/        # reads these files`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			err := newMCPServer(env, files).Run(c.Context(), &mcp.IOTransport{Reader: io.NopCloser(env.Stdin), Writer: leaveOpen{env.Stdout}})
			if errors.Is(err, io.EOF) {
				return nil // the client has gone
			}
			return err
		},
	}
	c.Flags().StringArrayVarP(&files, "filename", "f", nil, "what tools read where a call names nothing: a `FILE`, a folder or a snapshot; repeatable")
	return c
}

// leaveOpen keeps standard output open when a connection ends.
type leaveOpen struct{ io.Writer }

func (leaveOpen) Close() error { return nil }

func newMCPServer(env *Env, files []string) *mcp.Server {
	s := mcp.NewServer(&mcp.Implementation{Name: "sidestep", Version: Version()}, nil)
	addTool[mcpAudit](s, env, files, "audit", "For every workload of an Istio mesh the cheapest mode (ambient, waypoint, sidecar) that keeps its behaviour, what stands in the way, and what is broken today.")
	addTool[mcpExplain](s, env, files, "explain", "What a code means, or everything a workload's verdict rests on, with fields and the way out.")
	addTool[mcpCan](s, env, files, "authz_can", "Whether a call is allowed, by which enforcement point and which policy.")
	addTool[mcpDiff](s, env, files, "authz_diff", "Whether two states of a mesh decide every call alike, or the requests that tell them apart.")
	return s
}

// addTool offers a command. A tool's arguments become flags with their values attached, so that no value is read as
// a flag of its own.
func addTool[In interface{ args([]string) []string }](s *mcp.Server, env *Env, files []string, name, description string) {
	tool := &mcp.Tool{Name: name, Description: description, Annotations: &mcp.ToolAnnotations{ReadOnlyHint: true}}
	mcp.AddTool(s, tool, func(ctx context.Context, _ *mcp.CallToolRequest, in In) (*mcp.CallToolResult, any, error) {
		var out, errs bytes.Buffer
		own := *env
		own.Stdin, own.Stdout, own.Stderr = strings.NewReader(""), &out, &errs
		own.StdoutIsTerminal, own.StderrIsTerminal = false, false
		code := Run(ctx, &own, in.args(files))
		text := out.String()
		if code == ExitError {
			text = errs.String()
		}
		return &mcp.CallToolResult{IsError: code == ExitError, Content: []mcp.Content{&mcp.TextContent{Text: text}}}, nil, nil
	})
}
