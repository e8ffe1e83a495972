package authz

import (
	"math/rand"
	"testing"

	securityv1 "istio.io/client-go/pkg/apis/security/v1"
	"sigs.k8s.io/yaml"
)

// A policy written and read again means what it meant.
func TestManifestsMeanWhatWasRead(t *testing.T) {
	for seed := range 1000 {
		g := gen{rand.New(rand.NewSource(int64(seed)))}
		want, _ := CompileAuthorizationPolicy(g.policy(seed))
		var obj securityv1.AuthorizationPolicy
		if err := yaml.Unmarshal([]byte(want.Manifest()), &obj); err != nil {
			t.Fatalf("seed %d: %v\n%s", seed, err, want.Manifest())
		}
		got, _ := CompileAuthorizationPolicy(&obj)
		// A target's namespace is its policy's, and the API object does not repeat it.
		for i := range want.Attach.Targets {
			want.Attach.Targets[i].Namespace = ""
			got.Attach.Targets[i].Namespace = ""
		}
		if digestOf(*Rewritten(&got)) != digestOf(*Rewritten(&want)) {
			t.Fatalf("seed %d: read again it is\n%s\nwant\n%s", seed, got.Manifest(), want.Manifest())
		}
	}
}
