package generate

import (
	"encoding/json"
	"net/netip"
	"strings"
	"testing"

	authz "istio.io/api/security/v1beta1"
)

// A case must not depend on how many others are made, or the whole corpus would change with every addition.
func TestACaseDependsOnItsNumberAlone(t *testing.T) {
	few, err := Files(1, 3, 20)
	if err != nil {
		t.Fatal(err)
	}
	many, err := Files(1, 30, 40)
	if err != nil {
		t.Fatal(err)
	}
	for i, f := range few {
		for j, c := range f.Cases {
			a, _ := json.Marshal(c)
			b, _ := json.Marshal(many[i].Cases[j])
			if string(a) != string(b) {
				t.Errorf("%s case %s differs", f.Name, c.ID)
			}
		}
	}
}

// The generator must reach every field and every condition key of the API, or the corpus proves less than it says.
func TestEveryFieldAndKeyIsReached(t *testing.T) {
	files, err := Files(1, 400, 100)
	if err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	for _, f := range files {
		for _, c := range f.Cases {
			for _, p := range c.Policies {
				all.Write(p)
			}
			for _, r := range c.Requests {
				if _, err := netip.ParseAddr(r.SourceIP); err != nil {
					t.Errorf("%s: source %q", c.ID, r.SourceIP)
				}
				if r.SourcePrincipal != "" && len(strings.Split(r.SourcePrincipal, "/")) != 5 {
					t.Errorf("%s: principal %q is not well formed", c.ID, r.SourcePrincipal)
				}
			}
		}
	}
	var fields []string
	source, operation := (&authz.Source{}).ProtoReflect().Descriptor(), (&authz.Operation{}).ProtoReflect().Descriptor()
	for i := range source.Fields().Len() {
		fields = append(fields, source.Fields().Get(i).JSONName())
	}
	for i := range operation.Fields().Len() {
		fields = append(fields, operation.Fields().Get(i).JSONName())
	}
	for _, f := range append(fields, "matchLabels", "targetRef", "targetRefs", "portLevelMtls", "notValues", "provider") {
		if !strings.Contains(all.String(), `"`+f+`":`) {
			t.Errorf("no policy has the field %s", f)
		}
	}
	for _, k := range []string{"source.ip", "remote.ip", "source.namespace", "source.principal", "source.serviceAccount", "source.trustDomain",
		"destination.ip", "destination.port", "connection.sni", "request.headers[", "request.auth.principal", "request.auth.audiences",
		"request.auth.presenter", "request.auth.claims[", "experimental.envoy.filters."} {
		if !strings.Contains(all.String(), `"key":"`+k) {
			t.Errorf("no condition has the key %s", k)
		}
	}
}
