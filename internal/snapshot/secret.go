package snapshot

import (
	"bytes"
	"encoding/json"
	"maps"
	"regexp"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"
)

// HiddenValue stands where a snapshot leaves a value out that may be a secret and whose presence matters.
const HiddenValue = "(hidden)"

var (
	// credentials are user and password in a URL, basicAuth those that curl and wget are given, and bearer a token in a header.
	credentials = regexp.MustCompile(`([A-Za-z][A-Za-z0-9+.-]*:\\?/\\?/)[^\s/"'@\\]*@`)
	basicAuth   = regexp.MustCompile(`((?:^|\s)(?:-u|--user|--proxy-user)[\s=]*["']?)[^\s"':]+:[^\s"']+`)
	bearer      = regexp.MustCompile(`(?i)\b(bearer|basic)\s+[A-Za-z0-9+/._~-]{6,}=*`)
	// sensitive are names of settings, variables and headers whose values are secrets.
	sensitive = regexp.MustCompile(`(?i)passw|passphrase|secret|token|credential|api[-_]?key|access[-_]?key|private[-_]?key|authorization|cookie|dsn$|connection[-_]?string`)
	// plainValue is a value that tells no more than a switch or a size does.
	plainValue = regexp.MustCompile(`^(?i:true|false|enabled?|disabled?|on|off|yes|no|none|auto|[0-9]{1,6}(?:\.[0-9]+)?(?:ms|s|m|h|d|Ki|Mi|Gi|k|M|G|%)?)?$`)
)

// Scrub takes out of a text what can only be a secret: the user and password of a URL, of curl's -u, and the token of a header.
func Scrub(text string) string {
	if strings.Contains(text, "@") {
		text = credentials.ReplaceAllString(text, "${1}")
	}
	if strings.Contains(text, "-u") {
		text = basicAuth.ReplaceAllString(text, "${1}"+HiddenValue)
	}
	if lower := strings.ToLower(text); strings.Contains(lower, "bearer ") || strings.Contains(lower, "basic ") {
		text = bearer.ReplaceAllString(text, "${1} "+HiddenValue)
	}
	return text
}

// ScrubURLs takes user and password out of every URL of a text. It returns the text itself where there are none.
func ScrubURLs(text []byte) []byte {
	if bytes.IndexByte(text, '@') < 0 || !bytes.Contains(text, []byte("//")) || !credentials.Match(text) {
		return text
	}
	return credentials.ReplaceAll(text, []byte("${1}"))
}

// IsSensitive reports whether what a setting, variable or header of that name holds is a secret.
func IsSensitive(name string) bool { return sensitive.MatchString(name) }

// readDomains end the prefixes of annotations that somebody may read: Istio, Kubernetes, network plugins, and what owns
// or scales an object.
var readDomains = []string{
	"istio.io", "kubernetes.io", "k8s.io", "sidestep.dev", "prometheus.io", "cilium.io", "projectcalico.org", "tigera.io", "openshift.io",
	"argoproj.io", "helm.sh", "fluxcd.io", "karpenter.sh", "keda.sh", "flagger.app", "knative.dev", "amazonaws.com", "google.com", "azure.com",
}

// configAnnotations hold settings of a proxy as YAML or JSON.
var configAnnotations = []string{"proxy.istio.io/config", "proxy.istio.io/overrides"}

// StripAnnotations leaves out the annotations that nobody reads and the secrets in the others. The map it is given stays as it is.
func StripAnnotations(in map[string]string) map[string]string {
	out, copied := in, false
	set := func(k, v string, keep bool) {
		if !copied {
			out, copied = maps.Clone(in), true
		}
		if keep {
			out[k] = v
		} else {
			delete(out, k)
		}
	}
	for k, v := range in {
		switch {
		case !isRead(k):
			set(k, "", false)
		case slices.Contains(configAnnotations, k):
			if clean := StripProxyConfig(v); clean != v {
				set(k, clean, true)
			}
		default:
			if clean := Scrub(v); clean != v {
				set(k, clean, true)
			}
		}
	}
	if len(out) == 0 {
		return nil
	}
	return out
}

func isRead(annotation string) bool {
	prefix, _, slash := strings.Cut(annotation, "/")
	if !slash { // a label of Istio's, mistaken for an annotation
		return strings.HasPrefix(annotation, "istio")
	}
	if annotation == corev1.LastAppliedConfigAnnotation {
		return false
	}
	return slices.ContainsFunc(readDomains, func(d string) bool { return prefix == d || strings.HasSuffix(prefix, "."+d) })
}

// StripProxyConfig takes the secrets out of settings written as YAML or JSON: the values of environments (proxyMetadata, env,
// environmentVariables) but for switches and sizes, the values of settings with the name of a secret, and credentials in URLs.
// Text that does not parse is dropped, since nobody can tell what it holds.
func StripProxyConfig(text string) string {
	var doc any
	if err := yaml.Unmarshal([]byte(text), &doc); err != nil {
		return ""
	}
	clean, changed := stripSettings(doc, false)
	if !changed {
		return text
	}
	var out []byte
	if t := strings.TrimSpace(text); strings.HasPrefix(t, "{") || strings.HasPrefix(t, "[") {
		out, _ = json.Marshal(clean) // made of what JSON is made of: cannot fail
	} else {
		out, _ = yaml.Marshal(clean)
	}
	return string(out)
}

// environments are settings that are maps of variables.
var environments = []string{"proxyMetadata", "runtimeValues", "env", "environmentVariables"}

// readVariables begin the names of variables whose values the model reads.
var readVariables = []string{"PILOT_", "ENABLE_", "AMBIENT_", "EXTERNAL_ISTIOD", "FELIX_", "CALICO_", "CNI_", "AWS_VPC_", "POD_SECURITY_GROUP", "CLUSTER_ID",
	"TRUST_DOMAIN", "DOMAIN", "REVISION", "ISTIO_META_DNS", "ISTIO_META_ENABLE_HBONE", "ISTIO_META_NETWORK", "ISTIO_META_CLUSTER_ID", "ISTIO_META_INTERCEPTION_MODE",
	"ISTIO_META_WORKLOAD_NAME", "ISTIO_META_OWNER", "ISTIO_META_MESH_ID", "ISTIO_DUAL_STACK", "DISABLE_", "CA_ADDR", "ISTIO_META_DISABLE"}

func variable(name, value string) string {
	if plainValue.MatchString(value) {
		return value
	}
	if IsSensitive(name) || !slices.ContainsFunc(readVariables, func(p string) bool { return strings.HasPrefix(name, p) }) {
		return HiddenValue
	}
	return Scrub(value)
}

func stripSettings(v any, environment bool) (out any, changed bool) {
	switch v := v.(type) {
	case map[string]any:
		name, named := v["name"].(string)
		for _, k := range slices.Sorted(maps.Keys(v)) {
			text, isText := v[k].(string)
			clean := text
			switch {
			case isText && environment && !slices.Contains([]string{"name", "fieldPath", "apiVersion"}, k):
				clean = variable(k, text)
				if k == "value" && named {
					clean = variable(name, text)
				}
			case isText && IsSensitive(k) && !plainValue.MatchString(text):
				clean = HiddenValue
			case isText:
				clean = Scrub(text)
			default:
				var c bool
				v[k], c = stripSettings(v[k], environment || slices.Contains(environments, k))
				changed = changed || c
				continue
			}
			if clean != text {
				v[k], changed = clean, true
			}
		}
		return v, changed
	case []any:
		for i := range v {
			var c bool
			v[i], c = stripSettings(v[i], environment)
			changed = changed || c
		}
		return v, changed
	case string:
		clean := Scrub(v)
		return clean, clean != v
	}
	return v, false
}

// stripVariable is variable of a component's container.
func stripVariable(e *corev1.EnvVar) {
	if e.Value != "" {
		e.Value = variable(e.Name, e.Value)
	}
}

// componentWords are the arguments by which the role of a component is told.
var componentWords = []string{"proxy", "sidecar", "router", "waypoint", "ztunnel", "discovery", "install"}

// componentArguments keeps the flags of a component but those with the name of a secret, and the words that tell its role.
func componentArguments(args []string) []string {
	var out []string
	for i, a := range args {
		name, value, set := strings.Cut(strings.TrimLeft(a, "-"), "=")
		switch {
		case slices.Contains(componentWords, a):
			out = append(out, a)
		case strings.HasPrefix(a, "-") && !set:
			out = append(out, a)
		case strings.HasPrefix(a, "-") && IsSensitive(name):
			out = append(out, a[:len(a)-len(value)]+HiddenValue)
		case strings.HasPrefix(a, "-"):
			out = append(out, Scrub(a))
		case i > 0 && strings.HasPrefix(args[i-1], "--") && !strings.Contains(args[i-1], "=") && !IsSensitive(args[i-1]):
			out = append(out, Scrub(a)) // the value of the flag before
		default:
			out = append(out, HiddenValue) // keeps the place of the others
		}
	}
	return out
}
