package manifest_test

import (
	"bytes"
	"compress/gzip"
	"slices"
	"strings"
	"testing"

	"github.com/sidestep-mesh/sidestep/internal/snapshot"
	"github.com/sidestep-mesh/sidestep/internal/snapshot/manifest"
	"pgregory.net/rapid"
)

func archiveOf(t interface{ Fatal(...any) }, s *snapshot.Snapshot) []byte {
	var out bytes.Buffer
	if err := manifest.WriteArchive(&out, s); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestArchiveReadsBackAsWritten(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := drawSnapshot(t)
		first := archiveOf(t, s)
		back := manifest.Load(manifest.Stream("s.gz", bytes.NewReader(first)))
		if d := difference(s, back); d != "" {
			t.Fatal(d)
		}
		if !bytes.Equal(first, archiveOf(t, back)) || !bytes.Equal(first, archiveOf(t, s)) {
			t.Fatal("equal snapshots give different bytes")
		}
	})
}

func TestBadArchiveGivesNothing(t *testing.T) {
	good := archiveOf(t, manifest.Load(stream("apiVersion: v1\nkind: Namespace\nmetadata: {name: a}\n")))
	zipped := func(text string) []byte {
		var out bytes.Buffer
		zip := gzip.NewWriter(&out)
		if _, err := zip.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
		if err := zip.Close(); err != nil {
			t.Fatal(err)
		}
		return out.Bytes()
	}
	for name, c := range map[string]struct {
		data []byte
		want string
	}{
		"cut short":        {good[:len(good)-9], "! a: a damaged archive: unexpected EOF"},
		"a byte changed":   {append(slices.Clone(good[:len(good)-6]), good[len(good)-6]^1, 0, 0, 0, 0, 0), "! a: a damaged archive: gzip: invalid checksum"},
		"only a magic":     {[]byte{0x1f, 0x8b, 0x08}, "! a: not a snapshot archive: unexpected EOF"},
		"an object short":  {zipped(`{"kind":"Snapshot","format":1,"objects":2}` + "\n{}\n"), "! a: a damaged archive: 1 objects, its header says 2"},
		"of the future":    {zipped(`{"kind":"Snapshot","format":2}` + "\n"), "! a: archive format 2 is not known, only 1: use a newer sidestep"},
		"a broken line":    {zipped(`{"kind":"Snapshot","format":1,"objects":1}` + "\n{]\n"), "! a:2: a damaged archive: invalid character ']' looking for beginning of object key string"},
		"with a Secret in": {zipped(`{"kind":"Snapshot","format":1,"objects":1}` + "\n" + `{"object":{"apiVersion":"v1","kind":"Secret","metadata":{"name":"s"}}}` + "\n"), "- Secret s a:2 Secrets are never read"},
	} {
		t.Run(name, func(t *testing.T) {
			same(t, loaded(manifest.Load(manifest.Stream("a", bytes.NewReader(c.data)))), []string{c.want})
		})
	}
	t.Run("compressed manifests are welcome", func(t *testing.T) {
		same(t, loaded(manifest.Load(manifest.Stream("a", bytes.NewReader(zipped("apiVersion: v1\nkind: Namespace\nmetadata: {name: a}\n"))))),
			[]string{"+ Namespace a a:1"})
	})
}

// drawSnapshot draws manifests and loads them, so that sources, ignored objects and problems occur.
func drawSnapshot(t *rapid.T) *snapshot.Snapshot {
	word := rapid.SampledFrom([]string{"a", "b-c", "payments", "x.example.com", "10.2.3.4", "*", "é\u2028\"", "true", "7", ""})
	quoted := rapid.Custom(func(t *rapid.T) string { return quote(word.Draw(t, "word")) })
	doc := rapid.Custom(func(t *rapid.T) string {
		q := func() string { return quoted.Draw(t, "text") }
		name := rapid.SampledFrom([]string{"a", "b", "c", "d"}).Draw(t, "name")
		meta := "metadata: {name: " + name + ", namespace: " + rapid.SampledFrom([]string{"x", "y"}).Draw(t, "namespace") +
			", labels: {app: " + q() + "}, annotations: {note: " + q() + "}}\n"
		return rapid.SampledFrom([]string{
			"apiVersion: v1\nkind: Service\n" + meta + "spec: {selector: {app: " + q() + "}, ports: [{port: 80, targetPort: " + q() + "}]}\n",
			"apiVersion: v1\nkind: Pod\n" + meta + "spec: {containers: [{name: c, image: " + q() + ", resources: {requests: {cpu: 100m}}}]}\nstatus: {startTime: '2026-01-02T03:04:05Z'}\n",
			"apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\n" + meta + "spec: {action: DENY, rules: [{}, {to: [{operation: {paths: [" + q() + "]}}], when: [{key: " + q() + ", values: [" + q() + "]}]}], novelty: 1}\n",
			"apiVersion: networking.istio.io/v1alpha3\nkind: EnvoyFilter\n" + meta + "spec: {configPatches: [{applyTo: HTTP_FILTER, patch: {operation: MERGE, value: {b: [1, null, " + q() + "], a: {" + q() + ": 2}}}}]}\n",
			"apiVersion: networking.istio.io/v1\nkind: DestinationRule\n" + meta + "spec: {host: " + q() + ", trafficPolicy: {outlierDetection: {consecutive5xxErrors: 3, interval: 1m30s}}}\n",
			"apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\n" + meta + "spec: {hostnames: [" + q() + "], unheard: {}, rules: [{matches: [{path: {type: PathPrefix, value: " + q() + "}}]}]}\n",
			"apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\n" + meta + "spec: {podSelector: {}, ingress: [{ports: [{port: 80}, {port: http}]}]}\n",
			"apiVersion: v1\nkind: Secret\n" + meta,
			"apiVersion: argoproj.io/v1alpha1\nkind: Rollout\n" + meta + "spec: {replicas: 2, template: {spec: {containers: [{name: " + q() + "}]}}}\n",
			"apiVersion: v1\nkind: Service\n" + meta + "spec: 7\n",
			"not: [closed\n",
		}).Draw(t, "document")
	})
	s := manifest.Load(stream(strings.Join(rapid.SliceOfN(doc, 0, 12).Draw(t, "documents"), "---\n")))
	return s
}

// quote writes a YAML double-quoted scalar.
func quote(s string) string { return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"` }
