//go:build lab

package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/sidestep-mesh/sidestep/test/lab/cluster"
)

// auditReport is the part of the versioned JSON that these tests read.
type auditReport struct {
	Workloads []auditWorkload `json:"workloads"`
	Findings  []finding       `json:"findings"`
	Input     struct {
		Unknown []unknownKind `json:"unknown"`
	} `json:"input"`
}

type unknownKind struct{ Kind, State, Reason string }

type auditWorkload struct {
	Namespace, Kind, Name string
	Mode, Verdict         string
	Findings              []finding
}

type finding struct {
	Code, Severity, Requires, Message string
	Subject                           struct{ Kind, Namespace, Name string }
}

func (w auditWorkload) text() string {
	raw, err := json.Marshal(w)
	if err != nil {
		return err.Error()
	}
	return fmt.Sprintf("%.1500s", raw)
}

func (w auditWorkload) String() string { return w.Namespace + "/" + w.Kind + "/" + w.Name }

// sidestep is the path of the product's binary: SIDESTEP, or built once from the repository that this module is in.
var sidestep = sync.OnceValues(func() (string, error) {
	if path := os.Getenv("SIDESTEP"); path != "" {
		return path, nil
	}
	path := filepath.Join(built, "sidestep")
	build := exec.Command("go", "build", "-o", path, "./cmd/sidestep")
	build.Dir = filepath.Join("..", "..", "..")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build sidestep: %w\n%s", err, out)
	}
	return path, nil
})

// runSidestep runs the product as a user would.
func runSidestep(ctx context.Context, t *testing.T, args ...string) []byte {
	t.Helper()
	out, err := trySidestep(ctx, t, args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// trySidestep returns what the product printed; the error holds its messages. Exit code 2, findings, is none.
func trySidestep(ctx context.Context, t *testing.T, args ...string) ([]byte, error) {
	t.Helper()
	path, err := sidestep()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(ctx, path, args...)
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	err = cmd.Run()
	var exit *exec.ExitError
	if err != nil && !(errors.As(err, &exit) && exit.ExitCode() == 2) {
		return nil, fmt.Errorf("sidestep %s: %w\n%s", strings.Join(args, " "), err, errOut.Bytes())
	}
	return out.Bytes(), nil
}

func audit(ctx context.Context, t *testing.T, args ...string) auditReport {
	t.Helper()
	var r auditReport
	if err := json.Unmarshal(runSidestep(ctx, t, append([]string{"audit", "-o", "json"}, args...)...), &r); err != nil {
		t.Fatal(err)
	}
	if len(r.Workloads) == 0 {
		t.Fatal("the audit saw no workload")
	}
	return r
}

// printedRole is the ClusterRole that the product says it needs.
func printedRole(ctx context.Context, t *testing.T) *rbacv1.ClusterRole {
	t.Helper()
	role := &rbacv1.ClusterRole{}
	if err := yaml.Unmarshal(runSidestep(ctx, t, "audit", "--print-rbac"), role); err != nil {
		t.Fatal(err)
	}
	for _, rule := range role.Rules {
		for _, verb := range rule.Verbs {
			if !slices.Contains([]string{"get", "list", "watch"}, verb) {
				t.Errorf("the printed ClusterRole has verb %s on %v", verb, rule.Resources)
			}
		}
	}
	return role
}

// sameAudit compares what is said about every workload; where the input came from may differ.
func sameAudit(t *testing.T, name string, want, have auditReport) {
	t.Helper()
	byName := func(r auditReport) map[string]auditWorkload {
		m := map[string]auditWorkload{}
		for _, w := range r.Workloads {
			m[w.String()] = w
		}
		return m
	}
	wanted, had := byName(want), byName(have)
	differing := 0
	for key, w := range wanted {
		if h, ok := had[key]; !ok || !reflect.DeepEqual(w, h) {
			if differing++; differing <= 3 {
				t.Errorf("%s differs on %s:\nlive: %s\n%s: %s", name, key, w.text(), name, h.text())
			}
		}
	}
	if differing > 0 || len(wanted) != len(had) {
		t.Errorf("%s: %d workloads differ, %d live, %d there", name, differing, len(wanted), len(had))
	}
	if !reflect.DeepEqual(want.Findings, have.Findings) {
		t.Errorf("%s: findings about no workload differ:\nlive: %+v\n%s: %+v", name, want.Findings, name, have.Findings)
	}
}

// One cluster, three ways in, one answer.
func TestAuditOfTheClusterOfItsManifestsAndOfItsSnapshotAreEqual(t *testing.T) {
	ctx, _ := use(t)
	live := audit(ctx, t, "--kubeconfig", shared.Kubeconfig)
	sameAudit(t, "snapshot", live, audit(ctx, t, "-f", snapshotOf(ctx, t)))

	manifests := filepath.Join(t.TempDir(), "cluster.yaml")
	kubectlGet(ctx, t, printedRole(ctx, t), manifests)
	sameAudit(t, "kubectl get -o yaml", live, audit(ctx, t, "-f", manifests))
}

// kubectlGet writes what the real kubectl prints of everything that the role allows to read.
func kubectlGet(ctx context.Context, t *testing.T, role *rbacv1.ClusterRole, file string) {
	t.Helper()
	kubectl := shared.Bin.Path("kube", "kubectl")
	served, err := exec.CommandContext(ctx, kubectl, "--kubeconfig", shared.DirectKubeconfig, "api-resources", "--verbs=list", "-o", "name").Output()
	if err != nil {
		t.Fatal(err)
	}
	names := strings.Fields(string(served))
	var kinds []string
	for _, rule := range role.Rules {
		for _, group := range rule.APIGroups {
			for _, resource := range rule.Resources {
				if group != "" {
					resource += "." + group
				}
				if slices.Contains(names, resource) {
					kinds = append(kinds, resource)
				}
			}
		}
	}
	out, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	cmd := exec.CommandContext(ctx, kubectl, "--kubeconfig", shared.DirectKubeconfig, "get", strings.Join(kinds, ","), "-A", "-o", "yaml")
	var errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = out, &errOut
	if err := cmd.Run(); err != nil {
		t.Fatalf("kubectl get: %v\n%s", err, errOut.Bytes())
	}
}

// The printed ClusterRole is enough, to the last finding.
func TestAuditWithOnlyThePrintedClusterRole(t *testing.T) {
	ctx, client := use(t)
	live := audit(ctx, t, "--kubeconfig", shared.Kubeconfig)
	account := serviceAccount(ctx, t, client, "auditor", printedRole(ctx, t))
	sameAudit(t, "ServiceAccount", live, audit(ctx, t, "--kubeconfig", account))
}

// What may not be read is unknown, and what is unknown keeps its sidecar.
func TestAuditThatMayNotReadAuthorizationPoliciesKeepsSidecars(t *testing.T) {
	ctx, client := use(t)
	full := audit(ctx, t, "--kubeconfig", shared.Kubeconfig)
	if !slices.ContainsFunc(full.Workloads, func(w auditWorkload) bool { return w.Mode == "sidecar" && w.Verdict == "ambient" }) {
		t.Error("no sidecar can go even when all is read, so this test shows nothing")
	}
	role := printedRole(ctx, t)
	for i := range role.Rules {
		role.Rules[i].Resources = slices.DeleteFunc(role.Rules[i].Resources, func(r string) bool { return r == "authorizationpolicies" })
	}
	report := audit(ctx, t, "--kubeconfig", serviceAccount(ctx, t, client, "half-blind", role))
	unknown := false
	for _, u := range report.Input.Unknown {
		unknown = unknown || u.Kind == "AuthorizationPolicy"
	}
	if !unknown {
		t.Errorf("AuthorizationPolicy is not reported as unknown: %+v", report.Input.Unknown)
	}
	sidecars := 0
	for _, w := range report.Workloads {
		if w.Mode != "sidecar" {
			continue
		}
		if sidecars++; w.Verdict != "sidecar" {
			t.Errorf("%s may lose its sidecar (verdict %s) though its policies cannot be read", w, w.Verdict)
		}
	}
	if sidecars < 400 {
		t.Errorf("only %d workloads with sidecars were seen", sidecars)
	}
}

// serviceAccount makes an account with one ClusterRole and returns a kubeconfig for it.
func serviceAccount(ctx context.Context, t *testing.T, client *cluster.Client, name string, role *rbacv1.ClusterRole) string {
	t.Helper()
	const ns = "default"
	meta := metav1.ObjectMeta{Name: "lab-" + name}
	background := context.WithoutCancel(ctx)
	rbac := client.Kube.RbacV1()
	t.Cleanup(func() {
		_ = rbac.ClusterRoleBindings().Delete(background, meta.Name, metav1.DeleteOptions{})
		_ = rbac.ClusterRoles().Delete(background, meta.Name, metav1.DeleteOptions{})
		_ = client.Kube.CoreV1().ServiceAccounts(ns).Delete(background, meta.Name, metav1.DeleteOptions{})
	})
	if _, err := client.Kube.CoreV1().ServiceAccounts(ns).Create(ctx, &corev1.ServiceAccount{ObjectMeta: meta}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := rbac.ClusterRoles().Create(ctx, &rbacv1.ClusterRole{ObjectMeta: meta, Rules: role.Rules}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	binding := &rbacv1.ClusterRoleBinding{
		ObjectMeta: meta,
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: meta.Name},
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: ns, Name: meta.Name}},
	}
	if _, err := rbac.ClusterRoleBindings().Create(ctx, binding, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	token, err := client.Kube.CoreV1().ServiceAccounts(ns).CreateToken(ctx, meta.Name, &authenticationv1.TokenRequest{}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "kubeconfig")
	if err := shared.WriteKubeconfig(path, token.Status.Token); err != nil {
		t.Fatal(err)
	}
	return path
}

// The mode that the audit reports is the data plane that the pods really have.
func TestAuditSeesTheModesThatPodsReallyHave(t *testing.T) {
	ctx, _ := use(t)
	report := audit(ctx, t, "--kubeconfig", shared.Kubeconfig)
	modes := map[string]string{}
	for _, w := range report.Workloads {
		modes[w.Namespace+"/"+w.Name] = w.Mode
	}
	for _, s := range scenarios(t) {
		for _, want := range s.Modes {
			if have := modes[want.Workload]; have != want.Mode {
				t.Errorf("%s: %s has mode %s, the audit says %q", s.Name, want.Workload, want.Mode, have)
			}
		}
	}
}
