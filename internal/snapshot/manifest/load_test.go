package manifest_test

import (
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/sidestep-mesh/sidestep/internal/snapshot"
	"github.com/sidestep-mesh/sidestep/internal/snapshot/manifest"
	networkingv1 "istio.io/client-go/pkg/apis/networking/v1"
	securityv1 "istio.io/client-go/pkg/apis/security/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
)

// loaded describes a snapshot line by line: "+ Kind ns/name FILE:LINE", "- Kind ns/name FILE:LINE reason" for
// what is ignored, "! FILE:LINE message" for problems, "? Kind ns/name path" for unknown fields.
func loaded(s *snapshot.Snapshot) []string {
	var out []string
	for o := range s.Objects() {
		kind, name := o.GetObjectKind().GroupVersionKind().Kind, strings.TrimPrefix(o.GetNamespace()+"/"+o.GetName(), "/")
		out = append(out, fmt.Sprintf("+ %s %s %s", kind, name, s.Source(o)))
		for _, f := range s.UnknownFields(o) {
			out = append(out, fmt.Sprintf("? %s %s %s", kind, name, f))
		}
	}
	for _, i := range s.Ignored() {
		out = append(out, fmt.Sprintf("- %s %s %s %s", i.Kind, strings.TrimPrefix(i.Namespace+"/"+i.Name, "/"), i.Source, i.Reason))
	}
	for _, p := range s.Problems() {
		out = append(out, "! "+p.String())
	}
	return out
}

func stream(text string) manifest.Input { return manifest.Stream("in", strings.NewReader(text)) }

const deny = "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {name: deny, namespace: a}\n"

func TestLoadTells(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		want []string
	}{
		"documents apart, with the line each begins at": {
			"# a comment\n\napiVersion: v1\nkind: Namespace\nmetadata:\n  name: a\n---\n---\n# more\napiVersion: v1\nkind: Service\nmetadata:\n  name: s\n  namespace: a\n",
			[]string{"+ Namespace a in:3", "+ Service a/s in:10"},
		},
		"lists apart, as kubectl prints them": {
			"apiVersion: v1\nitems:\n- apiVersion: v1\n  kind: Namespace\n  metadata:\n    name: a\n- apiVersion: v1\n  kind: Namespace\n  metadata:\n    name: b\nkind: List\nmetadata:\n  resourceVersion: \"\"\n",
			[]string{"+ Namespace a in:3", "+ Namespace b in:7"},
		},
		"typed lists apart, whose items do not say what they are": {
			"apiVersion: v1\nkind: ServiceList\nitems:\n  - metadata:\n      name: b\n      namespace: x\n  -\n    metadata:\n      name: a\n      namespace: x",
			[]string{"+ Service x/a in:7", "+ Service x/b in:4"},
		},
		"JSON lists apart": {
			"{\"kind\":\"List\",\"apiVersion\":\"v1\",\"items\":[\n {\"apiVersion\":\"v1\",\"kind\":\"Namespace\",\"metadata\":{\"name\":\"b\"}},\n\n {\"apiVersion\":\"v1\",\"kind\":\"Namespace\",\"metadata\":{\"name\":\"a\"}}]}",
			[]string{"+ Namespace a in:4", "+ Namespace b in:2"},
		},
		"JSON documents apart, one after the other": {
			"{\"apiVersion\":\"v1\",\"kind\":\"Namespace\",\"metadata\":{\"name\":\"a\"}}\n{\"apiVersion\":\"v1\",\"kind\":\"Namespace\",\"metadata\":{\"name\":\"b\"}}\n",
			[]string{"+ Namespace a in:1", "+ Namespace b in:2"},
		},
		"items that share an anchor": {
			"apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: Namespace\n  metadata: {name: a, labels: &l {x: z}}\n- apiVersion: v1\n  kind: Namespace\n  metadata:\n    name: b\n    labels: *l\n",
			[]string{"+ Namespace a in:1", "+ Namespace b in:1"},
		},
		"the default namespace where none is given": {
			"apiVersion: v1\nkind: Service\nmetadata: {name: s}\n---\napiVersion: v1\nkind: Namespace\nmetadata: {name: cluster, namespace: stray}\n",
			[]string{"+ Namespace cluster in:5", "+ Service default/s in:1"},
		},
		"every version of a kind as one kind": {
			"apiVersion: networking.istio.io/v1alpha3\nkind: VirtualService\nmetadata: {name: v, namespace: a}\nspec: {hosts: [s]}\n",
			[]string{"+ VirtualService a/v in:1"},
		},
		"that Secrets are never read": {
			"apiVersion: v1\nkind: Secret\nmetadata: {name: s, namespace: a}\ndata: {password: aHVudGVyMg==}\n",
			[]string{"- Secret a/s in:1 Secrets are never read"},
		},
		"foreign kinds from kinds of an API group that steers the mesh": {
			"apiVersion: x.example/v1\nkind: Thing\nmetadata: {name: t}\n---\napiVersion: security.istio.io/v1\nkind: NewPolicy\nmetadata: {name: p, namespace: a}\n",
			[]string{"- Thing t in:1 no verdict depends on this kind",
				"- NewPolicy a/p in:5 this kind is not known to this version of Sidestep, though its API group steers the mesh"},
		},
		"values files and other YAML that is no object": {
			"image: nginx\n",
			[]string{"-   in:1 no apiVersion and kind: not a Kubernetes object"},
		},
		"a field that the Istio API does not have": {
			deny + "spec: {rules: [{from: [{source: {planets: [mars]}}]}]}\n",
			[]string{"+ AuthorizationPolicy a/deny in:1", "? AuthorizationPolicy a/deny spec.rules[0].from[0].source.planets"},
		},
		"a value that an Istio enumeration does not have": {
			deny + "spec: {action: SHRUG}\n",
			[]string{"+ AuthorizationPolicy a/deny in:1", "? AuthorizationPolicy a/deny spec.action=SHRUG"},
		},
		"a misspelt spec": {
			deny + "sepc: {}\n",
			[]string{"+ AuthorizationPolicy a/deny in:1", "? AuthorizationPolicy a/deny sepc"},
		},
		"a field that the Gateway API does not have": {
			"apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: r, namespace: a}\nspec: {hops: 3}\n",
			[]string{"+ HTTPRoute a/r in:1", "? HTTPRoute a/r spec.hops"},
		},
	} {
		t.Run(name, func(t *testing.T) { same(t, loaded(manifest.Load(stream(c.text))), c.want) })
	}
}

func TestBadInputIsOneClearLine(t *testing.T) {
	const good = "\n---\napiVersion: v1\nkind: Namespace\nmetadata: {name: good}\n"
	for name, c := range map[string]struct{ text, want string }{
		"a broken document":            {"apiVersion: v1\nkind: Service\nmetadata:\n  name: s\n bad: [\n", "! in:4: broken YAML: did not find expected key"},
		"an unclosed quote":            {"kind: Service\nmetadata: \"s\n", "! in:"},
		"broken JSON":                  {`{"apiVersion": "v1", "kind": "Service", "metadata": {"name" "x"}}`, "! in:1: "},
		"a wrong type":                 {"apiVersion: v1\nkind: Service\nmetadata: {name: s}\nspec: {ports: many}\n", "! in:1: Service s: field spec.ports: string where"},
		"a wrong type in an Istio API": {deny + "spec: {rules: 7}\n", "! in:1: AuthorizationPolicy a/deny: spec: "},
		"a number for a name":          {"apiVersion: v1\nkind: Service\nmetadata: {name: 7}\n", "! in:1: Service (unnamed): field metadata.name: number where string was expected"},
		"an unknown version":           {"apiVersion: security.istio.io/v9\nkind: AuthorizationPolicy\nmetadata: {name: p, namespace: a}\n", "! in:1: AuthorizationPolicy a/p: version \"security.istio.io/v9\" is not known, only security.istio.io/v1, security.istio.io/v1beta1"},
		"an apiVersion that is none":   {"apiVersion: a/b/c\nkind: Service\nmetadata: {name: s}\n", "! in:1: apiVersion \"a/b/c\" is not GROUP/VERSION"},
		"fewer pods than none":         {"apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec: {replicas: -3}\n", "! in:1: Deployment: web: spec.replicas: -3: an API server takes 0 or more"},
		"no name":                      {"apiVersion: v1\nkind: Service\n", "! in:1: Service: metadata.name is missing"},
		"a bare list":                  {"- apiVersion: v1\n", "! in:1: a list where an object with apiVersion and kind was expected"},
		"plain text":                   {"hello\n", "! in:1: plain text where an object"},
		"a template":                   {"apiVersion: v1\nkind: Service\nmetadata:\n  name: {{ .Values.name }}\n", "! in:"},
	} {
		t.Run(name, func(t *testing.T) {
			s := manifest.Load(stream(c.text + good))
			if n := len(snapshot.All[*corev1.Namespace](s)); n != 1 {
				t.Errorf("the good document beside it was lost: %q", loaded(s))
			}
			if p := s.Problems(); len(p) != 1 || !strings.HasPrefix("! "+p[0].String(), c.want) || strings.Contains(p[0].String(), "\n") {
				t.Errorf("got  %q\nwant %q", loaded(s), c.want)
			}
		})
	}
}

func TestBombsAreRefusedBeforeTheyGoOff(t *testing.T) {
	laughs := "a0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol, lol]\n"
	for i := range 9 {
		laughs += fmt.Sprintf("a%d: &a%d [%s]\n", i+1, i+1, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*a%d, ", i), 10), ", "))
	}
	for name, text := range map[string]string{
		"a billion laughs":         "apiVersion: v1\nkind: Service\nmetadata: {name: s, namespace: a}\n" + laughs,
		"a gigabyte of one string": "kind: Service\na: &a " + strings.Repeat("x", 1<<20) + "\nb: [" + strings.Repeat("*a, ", 1000) + "]\n",
		"a document of 9 MiB":      "kind: Service\ndata: >\n  " + strings.Repeat("x", 9<<20) + "\n",
		"a JSON object of 9 MiB":   "{\"kind\": \"Service\", \"data\": \"" + strings.Repeat("x", 9<<20) + "\"}",
		"a deep document":          "kind: Service\nspec: " + strings.Repeat("[", 1<<20),
		"a deep JSON document":     "{\"apiVersion\":\"v1\",\"kind\":\"Service\",\"spec\":" + strings.Repeat("[", 1<<20) + strings.Repeat("]", 1<<20) + "}",
		"a deep policy":            "{\"apiVersion\":\"security.istio.io/v1\",\"kind\":\"AuthorizationPolicy\",\"spec\":" + strings.Repeat("[", 1<<20) + strings.Repeat("]", 1<<20) + "}",
	} {
		t.Run(name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			s := manifest.Load(stream(text))
			runtime.ReadMemStats(&after)
			if p := s.Problems(); len(p) != 1 || s.Len() != 0 || p[0].Source.Line == 0 || len(p[0].Message) > 300 {
				t.Errorf("got %.500q", loaded(s))
			}
			if got := (after.TotalAlloc - before.TotalAlloc) >> 20; got > 300 {
				t.Errorf("%d MiB were allocated for it", got)
			}
		})
	}
}

func TestTwoObjectsOfOneNameAreAProblemUnlessTheySayTheSame(t *testing.T) {
	one := "apiVersion: v1\nkind: Namespace\nmetadata: {name: a}\n"
	same(t, loaded(manifest.Load(stream(one+"---\n"+one))), []string{"+ Namespace a in:1"})
	same(t, loaded(manifest.Load(stream(one+"---\napiVersion: v1\nkind: Namespace\nmetadata: {name: a, labels: {x: other}}\n"))),
		[]string{"+ Namespace a in:1", "! in:5: Namespace a is defined twice, first at in:1; the first one counts"})
}

func TestAKeyThatStandsTwiceIsAProblemAtItsLine(t *testing.T) {
	one := "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: a\n"
	for text, want := range map[string]string{
		one + "  name: b\n": "the key name stands twice",
		one + one:           "a second apiVersion in one document: put a line ---",
	} {
		p := manifest.Load(stream(text)).Problems()
		if len(p) != 1 || p[0].Source.Line != 5 || !strings.Contains(p[0].Message, want) {
			t.Errorf("%q: %v, want %s at line 5", text, p, want)
		}
	}
}

func TestFolders(t *testing.T) {
	ns := func(name string) *fstest.MapFile {
		return &fstest.MapFile{Data: []byte("apiVersion: v1\nkind: Namespace\nmetadata: {name: " + name + "}\n")}
	}
	dir := fstest.MapFS{
		"deploy/b.yml": ns("b"), "deploy/sub/c.json": {Data: []byte(`{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"c"}}`)},
		"deploy/a.yaml": ns("a"), "deploy/README.md": {Data: []byte("# no")}, "deploy/.git/x.yaml": ns("hidden"),
		"deploy/bin.yaml": {Data: []byte("\x7fELF\x00\x00")}, "deploy/none.yaml": {Data: []byte("# nothing\n")},
		"bare/README.md": {Data: []byte("# no")}, "one.txt": ns("one"),
	}
	for name, c := range map[string]struct {
		root string
		want []string
	}{
		"are read to the bottom, manifests only": {"deploy", []string{
			"+ Namespace a repo/a.yaml:1", "+ Namespace b repo/b.yml:1", "+ Namespace c repo/sub/c.json:1",
			"! repo/bin.yaml: a binary file, not YAML or JSON text in UTF-8", "! repo/none.yaml: empty: it holds no object"}},
		"without a manifest are named":      {"bare", []string{"! repo: the folder holds no *.yaml, *.yml or *.json file"}},
		"that do not exist are named":       {"missing", []string{"! repo: cannot be read: file does not exist"}},
		"are not asked about a single file": {"one.txt", []string{"+ Namespace one repo:1"}},
	} {
		t.Run(name, func(t *testing.T) { same(t, loaded(manifest.Load(manifest.Path("repo", dir, c.root))), c.want) })
	}
}

func TestWhatCouldNotBeReadIsHidden(t *testing.T) {
	s := manifest.Load(stream(deny + "spec: {rules: 7}\n---\napiVersion: v1\nkind: Service\nmetadata: {name: s\n"))
	policies := snapshot.Kind{Group: "security.istio.io", Kind: "AuthorizationPolicy"}
	for name, c := range map[string]struct {
		got  snapshot.Knowledge
		want snapshot.KnowledgeState
	}{
		"the kind as a whole":                {s.Knowledge(policies), snapshot.Hidden},
		"the kind in the object's namespace": {s.KnowledgeIn(policies, "a"), snapshot.Hidden},
		"not in another namespace":           {s.KnowledgeIn(policies, "b"), snapshot.Known},
		"a kind whose document was broken":   {s.Knowledge(snapshot.Kind{Kind: "Service"}), snapshot.Hidden},
		"not a kind that was read":           {s.Knowledge(snapshot.Kind{Kind: "Pod"}), snapshot.Known},
	} {
		if c.got.State != c.want {
			t.Errorf("%s: got %v, want %v", name, c.got, c.want)
		}
	}
}

func TestOnlyConfigMapsThatMatterKeepTheirData(t *testing.T) {
	s := manifest.Load(stream(strings.Join([]string{
		cm("istio-system", "istio", "mesh", "other"), cm("istio-system", "istio-canary", "mesh"), cm("istio-system", "istio-leader"),
		cm("istio-system", "istio-sidecar-injector", "config", "values"), cm("kube-system", "cilium-config", "cni-exclusive"),
		cm("a", "wp-options", "deployment", "password"), cm("a", "app", "service"), cm("a", "app2", "password"), cm("a", "istio-ca-root-cert", "root-cert.pem"),
		"apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {name: wp, namespace: a}\nspec: {gatewayClassName: istio-waypoint, infrastructure: {parametersRef: {group: '', kind: ConfigMap, name: wp-options}}}\n",
	}, "---\n")))
	var got []string
	for _, cm := range snapshot.All[*corev1.ConfigMap](s) {
		keys := slices.Sorted(maps.Keys(cm.Data))
		got = append(got, cm.Namespace+"/"+cm.Name+" "+strings.Join(keys, ","))
	}
	same(t, got, []string{"a/wp-options deployment", "istio-system/istio mesh", "istio-system/istio-canary mesh",
		"istio-system/istio-sidecar-injector config,values", "kube-system/cilium-config cni-exclusive,unread"})
	if len(s.Ignored()) != 4 {
		t.Errorf("ignored: %v", s.Ignored())
	}
}

func cm(ns, name string, keys ...string) string {
	text := fmt.Sprintf("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: %s, namespace: %s}\ndata:\n  unread: x\n", name, ns)
	for _, k := range keys {
		text += "  " + k + ": text\n"
	}
	return text
}

func TestObjectsAreDecodedAndStripped(t *testing.T) {
	s := manifest.Load(stream(`apiVersion: apps/v1
kind: Deployment
metadata:
  name: d
  namespace: a
  annotations: {kubectl.kubernetes.io/last-applied-configuration: "{}", vault.example/password: x, istio.io/rev: me}
  managedFields: [{manager: kubectl}]
spec:
  replicas: 3
  template:
    spec:
      containers:
      - {name: app, command: [run, --password=x], env: [{name: PASSWORD, value: x}]}
      - {name: job, command: [sh, -c, "curl -X POST localhost:15020/quitquitquit"]}
      - {name: istio-proxy, env: [{name: ISTIO_META_ENABLE_HBONE, value: "true"}]}
---
apiVersion: networking.istio.io/v1beta1
kind: VirtualService
metadata: {name: v, namespace: a}
spec:
  hosts: [s]
  http: [{timeout: 3s, route: [{destination: {host: s}, weight: 100}]}]
---
apiVersion: security.istio.io/v1beta1
kind: AuthorizationPolicy
metadata: {name: p, namespace: a}
spec:
  action: DENY
  rules: [{to: [{operation: {methods: [GET]}}]}]
status: {conditions: [{type: ZtunnelAccepted, status: "True"}]}
`))
	if len(s.Problems()) > 0 {
		t.Fatal(s.Problems())
	}
	d, _ := snapshot.Get[*appsv1.Deployment](s, "a", "d")
	if len(d.ManagedFields) != 0 || len(d.Annotations) != 1 || *d.Spec.Replicas != 3 {
		t.Errorf("metadata or spec: %+v", d)
	}
	c := d.Spec.Template.Spec.Containers
	if c[0].Command != nil || c[0].Env[0].Name != "PASSWORD" || c[0].Env[0].Value != "" {
		t.Errorf("an application's command and values must go, names stay: %+v", c[0])
	}
	if !slices.Equal(c[1].Command, []string{"localhost:15020", "quitquitquit"}) || c[2].Env[0].Value != "true" {
		t.Errorf("the words that speak of the proxy must stay, and no other: %+v", c[1:])
	}
	v, _ := snapshot.Get[*networkingv1.VirtualService](s, "a", "v")
	if v.Spec.Http[0].Timeout.Seconds != 3 || v.APIVersion != "networking.istio.io/v1" {
		t.Errorf("virtual service: %v", v)
	}
	p, _ := snapshot.Get[*securityv1.AuthorizationPolicy](s, "a", "p")
	if p.Spec.Action.String() != "DENY" || p.Spec.Rules[0].To[0].Operation.Methods[0] != "GET" || p.Status.Conditions[0].Type != "ZtunnelAccepted" {
		t.Errorf("policy: %v", p)
	}
}

func same(t *testing.T, got, want []string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("got\n  %s\nwant\n  %s", strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
}

// A policy about pods describes some and makes none; an operator's resource makes some and lists none.
func TestWhatMakesPodsIsNamed(t *testing.T) {
	for text, want := range map[string]bool{
		"apiVersion: kyverno.io/v1\nkind: ClusterPolicy\nmetadata: {name: p}\nspec: {rules: [{validate: {pattern: {spec: {containers: [{name: '*', image: x}]}}}}]}\n": false,
		"apiVersion: example.test/v1\nkind: Fleet\nmetadata: {name: f}\nspec: {groups: [{pods: {containers: [{image: x}]}}]}\n":                                        true,
		"apiVersion: example.test/v1\nkind: Report\nmetadata: {name: f}\nspec: {containers: [app, db]}\n":                                                              false,
		"apiVersion: kafka.strimzi.io/v1beta2\nkind: Kafka\nmetadata: {name: k}\nspec: {kafka: {replicas: 3}}\n":                                                       true,
		"apiVersion: kafka.strimzi.io/v1beta2\nkind: KafkaTopic\nmetadata: {name: k}\nspec: {partitions: 3}\n":                                                         false,
		"apiVersion: cert-manager.io/v1\nkind: Certificate\nmetadata: {name: c}\nspec: {dnsNames: [x]}\n":                                                              false,
	} {
		ignored := manifest.Load(stream(text)).Ignored()
		if len(ignored) != 1 || ignored[0].MakesPods != want {
			t.Errorf("%s%+v", text, ignored)
		}
	}
}
