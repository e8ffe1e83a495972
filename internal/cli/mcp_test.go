package cli

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

func TestProgramsAskByMCP(t *testing.T) {
	dir := demoFolder(t)
	var out, errs bytes.Buffer
	env := &Env{Args0: "sidestep", Dir: dir, Stdin: strings.NewReader(""), Stdout: &out, Stderr: &errs, Getenv: func(string) string { return "" }, Now: time.Now}
	here, there := mcp.NewInMemoryTransports()
	server, err := newMCPServer(env, []string{"mesh"}).Connect(t.Context(), there, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close() //nolint:errcheck // the test is over
	client, err := mcp.NewClient(&mcp.Implementation{Name: "test"}, nil).Connect(t.Context(), here, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close() //nolint:errcheck // the test is over
	tools, err := client.ListTools(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, tool := range tools.Tools {
		if !tool.Annotations.ReadOnlyHint {
			t.Errorf("%s may write", tool.Name)
		}
	}
	tests := map[string]struct {
		tool  string
		args  map[string]any
		wants string
		fails bool
	}{
		"the first screen":              {"audit", map[string]any{}, "What frees most", false},
		"a part of the workloads":       {"audit", map[string]any{"only": []string{"sidecar"}, "namespaces": []string{"payments"}}, "deploy/ledger", false},
		"the whole report":              {"audit", map[string]any{"full": true, "namespaces": []string{"payments"}}, `"kind": "AuditReport"`, false},
		"why":                           {"explain", map[string]any{"what": "payments/ledger"}, "needs sidecar", false},
		"a call":                        {"authz_can", map[string]any{"from": "outside", "to": "payments/api:80", "method": "GET", "path": "/"}, `"decision": "deny"`, false},
		"a move":                        {"authz_diff", map[string]any{"before": "mesh", "moves": []string{"payments=ambient"}}, `"weaker"`, false},
		"a name that is no name":        {"explain", map[string]any{"what": "--kubeconfig=/etc/passwd"}, "is called --kubeconfig", true},
		"files that are not there":      {"audit", map[string]any{"files": []string{"nowhere"}}, "no such file", true},
		"a flag hidden in another word": {"audit", map[string]any{"only": []string{"sidecar --out x"}}, "not a verdict", true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			r, err := client.CallTool(t.Context(), &mcp.CallToolParams{Name: test.tool, Arguments: test.args})
			if err != nil {
				t.Fatal(err)
			}
			text := r.Content[0].(*mcp.TextContent).Text
			if r.IsError != test.fails || !strings.Contains(text, test.wants) {
				t.Errorf("error %t, want %t; lacks %q:\n%.600s", r.IsError, test.fails, test.wants, text)
			}
		})
	}
	if out.Len() > 0 {
		t.Errorf("a tool wrote past the protocol: %q", out.String())
	}
}
