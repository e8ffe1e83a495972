package redact

import (
	"reflect"
	"regexp"
	"strings"
	"sync"

	"github.com/sidestep-mesh/sidestep/internal/snapshot"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	_ "istio.io/api/mesh/v1alpha1" // the words of MeshConfig and ProxyConfig
)

// publicWords are words of Kubernetes, Istio, HTTP and of everyday labels that tell nothing about who uses
// them. The names of API fields and enumeration values come on top, see vocabulary.
const publicWords = `
true false yes no on off enabled disabled enable disable pending none all any default null auto always never
istio injection istiod ingressgateway egressgateway eastwestgateway eastwest ingress egress gateway gateways waypoint ztunnel sidecar ambient mesh
system kube node lease public cluster local svc ns sa spiffe pod pods service services workload namespace
proxy proxyv2 pilot discovery router install cni installer validation init agent injector inject injection revision rev canary stable tag
app apps version name component part of managed by instance tier k8s kubernetes io com org net dev www networking
http https http2 grpc grpcs web tcp tls mtls udp dns mongo mysql redis sni hbone auto passthrough mutual strict permissive
GET HEAD POST PUT PATCH DELETE CONNECT OPTIONS TRACE get post put delete
remote request response auth authn authz claims headers header source destination connection ip port principal principals namespaces sni
iss sub aud exp presenter audiences azp scope scopes groups roles email jwt jwks bearer authorization cookie host path method scheme user agent
experimental filters network rbac connection filter
accept content type length id forwarded for proto client cert envoy
api v1 v2 alpha beta healthz health ready readyz livez metrics status quitquitquit localhost stats prometheus
debug info warning warn error distroless TPROXY REDIRECT NONE HTTP HTTPS TCP TLS HBONE GRPC UDP SCTP
Allow Deny Pass Log Ingress Egress has in not starts ends with contains
outlier circuit retry timeout istiooperator meshconfig parent refs
rate limit ratelimit ext lua wasm global simple spire spiffe csi h2c ws wss partial probe linux windows amd64 arm64 gce nginx
Enabled Disabled Iptables BPF Nftables VPP
cilium calico felix aws vpc eks gke aks azure google amazonaws openshift docker gcr quay hub
ISTIO META ENABLE HBONE DNS CAPTURE PILOT AMBIENT CA TRUSTED ACCOUNTS EXCLUDE NAMESPACES PROXY CONFIG
None Exact PathPrefix RegularExpression Same Selector All Terminate Passthrough
PreferClose PreferSameZone PreferSameNode
installation IstioOperator sailoperator Istio IstioRevision istiorevision operator
virtual kubelet fargate compute scheduler profile
sidestep assume injected said
typed config value domain POD NAMESPACE key
rollouts rollout argoproj keda hpa s0 s1 s2 s3 s4 s5 flagger monitoring coreos
requests responses total duration milliseconds bytes messages bucket sum count rate irate histogram quantile reporter success matches per second series
Service ServiceEntry GatewayClass IST
`

var publicPattern = regexp.MustCompile(`^[vV]?[0-9]{1,5}(ms|us|ns|m|s|h|d|Ki|Mi|Gi|k|M|G)?$`)

// isPublic tells that a word says nothing about the owner of a mesh, so that redaction keeps it.
func isPublic(word string) bool {
	return len(word) == 1 || vocabulary()[word] || publicPattern.MatchString(word)
}

// vocabulary is publicWords and every word of the APIs themselves: JSON field names of the Go types, field
// names and enumeration values of Istio's messages, and the kinds.
var vocabulary = sync.OnceValue(func() map[string]bool {
	words := map[string]bool{}
	for w := range strings.FieldsSeq(publicWords) {
		words[w] = true
	}
	seen := map[reflect.Type]bool{}
	for _, info := range snapshot.Kinds() {
		words[info.Kind.Kind], words[info.Resource] = true, true
		for part := range strings.FieldsFuncSeq(info.Group, func(r rune) bool { return r == '.' }) {
			words[part] = true
		}
		addFieldNames(words, seen, reflect.TypeOf(info.New()))
	}
	protoregistry.GlobalFiles.RangeFiles(func(f protoreflect.FileDescriptor) bool {
		if strings.HasPrefix(string(f.Package()), "istio.") {
			addMessages(words, f.Messages())
			addEnums(words, f.Enums())
		}
		return true
	})
	return words
})

func addFieldNames(words map[string]bool, seen map[reflect.Type]bool, t reflect.Type) {
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Map:
		addFieldNames(words, seen, t.Elem())
	case reflect.Struct:
		if seen[t] {
			return
		}
		seen[t] = true
		for i := range t.NumField() {
			f := t.Field(i)
			if name, _, _ := strings.Cut(f.Tag.Get("json"), ","); name != "" && name != "-" {
				words[name] = true
			}
			addFieldNames(words, seen, f.Type)
		}
	}
}

func addMessages(words map[string]bool, list protoreflect.MessageDescriptors) {
	for i := range list.Len() {
		m := list.Get(i)
		for j := range m.Fields().Len() {
			words[m.Fields().Get(j).JSONName()] = true
		}
		addMessages(words, m.Messages())
		addEnums(words, m.Enums())
	}
}

func addEnums(words map[string]bool, list protoreflect.EnumDescriptors) {
	for i := range list.Len() {
		for j := range list.Get(i).Values().Len() {
			words[string(list.Get(i).Values().Get(j).Name())] = true
		}
	}
}
