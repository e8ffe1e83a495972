package snapshot

import (
	"cmp"
	"regexp"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// Mention is a word by which a container names its own sidecar or what only a sidecar gives it. The list of them,
// Mentions, decides both what a snapshot keeps of the texts of a container and what package mesh looks for, so
// that neither can know of a word that the other does not.
type Mention string

// ClientCertHeader is the Mention of the header that a sidecar writes with its caller's identity.
const ClientCertHeader Mention = "x-forwarded-client-cert"

// proxyPorts are where a sidecar listens on the loopback address of its pod
// (https://istio.io/latest/docs/ops/deployment/application-requirements/#ports-used-by-istio).
var proxyPorts = []int{15000, 15001, 15002, 15004, 15006, 15008, 15009, 15020, 15021, 15053, 15090}

// ProxyPort reports whether a port of a pod with a sidecar is one of the proxy's own servers or listeners
// (https://istio.io/latest/docs/ops/deployment/application-requirements/).
func ProxyPort(port int) bool { return slices.Contains(proxyPorts, port) }

// plainPorts are those of proxyPorts that no number but a port is likely to be: 15000 is fifteen seconds too.
var plainPorts = []int{15004, 15020, 15021, 15090}

// proxyWords are words that name a sidecar wherever they stand, in lower case.
var proxyWords = []string{
	"quitquitquit", "pilot-agent", "istio_quit_api", "envoy_admin_api", "wait_for_envoy_timeout", "never_kill_istio", "start_without_envoy",
	"/etc/istio/", "/var/run/secrets/istio", "/var/run/secrets/workload-spiffe", "/var/lib/istio", "xds:///",
}

// ownAddress is how a text names its own pod.
const ownAddress = `localhost[\w.]*|ip6-localhost|\b127(?:\.\d{1,3}){1,3}|\[?(?:::1|(?:0{1,4}:){7}0{0,3}1)\]?|\b0\.0\.0\.0`

var (
	// loopback is an own address or a variable in front of a port: localhost:15021, [::1]:15020, ${POD_IP}:15000,
	// /dev/tcp/127.0.0.1/15021. spaced is an address and its port as two words: localhost 15021.
	loopback = regexp.MustCompile(`(?i)(?:` + ownAddress + `|\$\{?\w+\}?|\$\(\w+\)|\{\{?[^{}]*\}?\})[:/,](150\d\d)\b`)
	spaced   = regexp.MustCompile(`(?i)(?:^|[\s="'/@(])(?:` + ownAddress + `)["']?\s+(?:-\S+[\s=]+)*["']?(150\d\d)\b`)
	// bare is a port that follows no host: ":15020", "--port=15021", "15021".
	bare = regexp.MustCompile(`(^|[\s="'(,])(:?)(150\d\d)(?:$|[\s/"';,)])`)
	// elsewhere is a text that ends with the name of another host, whose port comes next.
	elsewhere = regexp.MustCompile(`(?i)(?:--?(?:host|server|address|h)(?:name)?[=\s]+|\b(?:nc|ncat|netcat|telnet|wait-for\S*)\s+(?:-\S+\s+(?:\d+\s+)?)*)["']?[\w.-]*[a-z][\w.-]*["']?\s*(?:--?p(?:ort)?[=\s]*)?$`)
	// killer ends or looks for a process, proxyProcess is one of the sidecar's.
	killer       = regexp.MustCompile(`(?i)\b(pkill|killall|pgrep|pidof|kill)\b`)
	proxyProcess = regexp.MustCompile(`(?i)\b(envoy|istio-proxy)\b`)
	headerWord   = regexp.MustCompile(`(?i)x[-_]forwarded[-_]client[-_]cert|\bxfcc\b|\bxfcc[-_]|[-_]xfcc\b`)
	portName     = regexp.MustCompile(`(?i)port|admin|envoy|istio|proxy|sidecar`)
	// probeOfInjector is the path under which an injected pod asks its sidecar for the probe of an application.
	probeOfInjector = regexp.MustCompile(`^/app-(health|lifecycle)/`)
)

// Mentions returns the words of a text that name the container's own sidecar, each once. name is that of the variable
// or flag that holds the text, empty for a command. What Mentions returns mentions the same: Mentions of the words joined by spaces are those words.
func Mentions(name, text string) []Mention {
	var out []Mention
	see := func(m string) {
		if !slices.Contains(out, Mention(m)) {
			out = append(out, Mention(m))
		}
	}
	if strings.Contains(text, "150") {
		for _, port := range ownPorts(name, text) {
			see("localhost:" + port)
		}
	}
	lower := strings.ToLower(text)
	for _, w := range proxyWords {
		if strings.Contains(lower, w) || strings.Contains(strings.ToLower(name), w) {
			see(w)
		}
	}
	if killer.MatchString(text) && proxyProcess.MatchString(text) {
		see("kill envoy")
	}
	if headerWord.MatchString(text) || headerWord.MatchString(name) {
		see(string(ClientCertHeader))
	}
	return out
}

func isProxyPort(text string, ports []int) bool {
	n, err := strconv.Atoi(text)
	return err == nil && slices.Contains(ports, n)
}

// ownPorts returns the ports of the sidecar that a text calls, in the order of the text.
func ownPorts(name, text string) []string {
	type hit struct {
		at   int
		port string
	}
	var hits []hit
	for _, pattern := range []*regexp.Regexp{loopback, spaced} {
		for _, m := range pattern.FindAllStringSubmatchIndex(text, -1) {
			if port := text[m[2]:m[3]]; isProxyPort(port, proxyPorts) {
				hits = append(hits, hit{m[2], port})
			}
		}
	}
	for _, m := range bare.FindAllStringSubmatchIndex(text, -1) {
		ports, port := plainPorts, text[m[6]:m[7]]
		if m[4] < m[5] || portName.MatchString(name) {
			ports = proxyPorts
		}
		if isProxyPort(port, ports) && !elsewhere.MatchString(text[:m[2]]+" ") {
			hits = append(hits, hit{m[6], port})
		}
	}
	slices.SortStableFunc(hits, func(a, b hit) int { return cmp.Compare(a.at, b.at) })
	var out []string
	for _, h := range hits {
		out = append(out, h.port)
	}
	return out
}

// onlyMentions reduces a command or a list of arguments to the words that Mentions finds, nil where there are none.
func onlyMentions(words []string) []string {
	var out []string
	for _, m := range Mentions("", strings.Join(words, " ")) {
		out = append(out, string(m))
	}
	return out
}

// stripText is onlyMentions of one text.
func stripText(name, text string) string {
	if text == "" {
		return ""
	}
	found := Mentions(name, text)
	words := make([]string, len(found))
	for i, m := range found {
		words[i] = string(m)
	}
	return strings.Join(words, " ")
}

// HandlerMentions returns what a probe or a lifecycle hook mentions. ports are those of its container: a probe may name one.
func HandlerMentions(exec *corev1.ExecAction, http *corev1.HTTPGetAction, tcp *corev1.TCPSocketAction, grpc *corev1.GRPCAction, ports []corev1.ContainerPort) []Mention {
	var out []Mention
	asked := func(host string, port int) {
		if m := Mention("localhost:" + strconv.Itoa(port)); slices.Contains(proxyPorts, port) && (host == "" || len(Mentions("", host+":15021")) > 0) {
			out = append(out, m)
		}
	}
	switch {
	case exec != nil:
		out = append(out, Mentions("", strings.Join(exec.Command, " "))...)
	case http != nil && !probeOfInjector.MatchString(http.Path):
		asked(http.Host, portNumber(http.Port.IntValue(), http.Port.String(), ports))
		out = append(out, Mentions("", http.Path)...)
	case tcp != nil:
		asked(tcp.Host, portNumber(tcp.Port.IntValue(), tcp.Port.String(), ports))
	case grpc != nil:
		asked("", int(grpc.Port))
	}
	return out
}

// portNumber resolves the name of a port.
func portNumber(number int, name string, ports []corev1.ContainerPort) int {
	for _, p := range ports {
		if number == 0 && p.Name == name {
			return int(p.ContainerPort)
		}
	}
	return number
}
