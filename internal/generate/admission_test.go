package generate

import (
	"slices"
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	"sigs.k8s.io/yaml"
)

// What the policies decide is tested where a real API server evaluates them, in the lab (test/lab/e2e). Here is what holds of the file.
func TestAdmissionPoliciesWarnOrRefuseAndSayWhatTheyCannotSee(t *testing.T) {
	for _, enforce := range []bool{false, true} {
		text, err := Admission(AdmissionOptions{Enforce: enforce, Replicas: 10, Namespace: "ours", Waypoints: [][2]string{{"shop", "waypoint.v1"}}, Accounts: []string{"system:serviceaccount:ours:sidestep"}})
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(text, "shop.waypoint.v1: \"\"") || !strings.Contains(text, "'system:serviceaccount:ours:sidestep'") {
			t.Error("the waypoint, or who may remove guards, is not in the file")
		}
		policies, bindings := map[string]*admissionv1.ValidatingAdmissionPolicySpec{}, 0
		for _, doc := range strings.Split(text, "---\n")[1:] {
			var p admissionv1.ValidatingAdmissionPolicy
			var b admissionv1.ValidatingAdmissionPolicyBinding
			switch {
			case yaml.UnmarshalStrict([]byte(doc), &p) == nil:
				policies[p.Name] = &p.Spec
				if !strings.HasPrefix(doc, "# It ") {
					t.Errorf("%s does not say what it cannot see", p.Name)
				}
				if len(p.Spec.Validations) != 1 || !strings.Contains(p.Spec.Validations[0].Message, AnnotationAllow+": "+strings.TrimPrefix(p.Name, "sidestep-")) {
					t.Errorf("%s does not say how to let an object through", p.Name)
				}
				if want := map[bool]admissionv1.FailurePolicyType{true: admissionv1.Fail, false: admissionv1.Ignore}[enforce]; *p.Spec.FailurePolicy != want {
					t.Errorf("%s: failurePolicy %s", p.Name, *p.Spec.FailurePolicy)
				}
			case yaml.UnmarshalStrict([]byte(doc), &b) == nil:
				bindings++
				if policies[b.Spec.PolicyName] == nil {
					t.Errorf("binding %s names no policy before it", b.Name)
				}
				if denies := slices.Contains(b.Spec.ValidationActions, admissionv1.Deny); denies != enforce {
					t.Errorf("%s: enforce %v, actions %v", b.Name, enforce, b.Spec.ValidationActions)
				}
			}
		}
		if len(policies) != 4 || bindings != 4 {
			t.Errorf("%d policies, %d bindings", len(policies), bindings)
		}
	}
}
