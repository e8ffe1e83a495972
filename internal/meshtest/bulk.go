package meshtest

import (
	"bufio"
	"fmt"
	"io"
)

// Bulk is the size of a generated mesh. The zero value of a field means none of it.
type Bulk struct {
	Services       int
	PodsPerService int
	Policies       int
	// Bare leaves out that pods have owners, so that each is a workload of its own.
	Bare bool
	// Deployments writes the Deployment of each workload as well, whose template a plan can change.
	Deployments bool
}

// Peer is the mesh that Sidestep and istioctl analyze are compared on: 4,000 services, 20,000 injected pods and
// 2,000 policies, about 11 MB of YAML.
func Peer() Bulk { return Bulk{Services: 4000, PodsPerService: 5, Policies: 2000} }

// BulkOfPods is a mesh of that many pods with everything else in Peer's proportions.
func BulkOfPods(pods int) Bulk {
	return Bulk{Services: pods / 5, PodsPerService: 5, Policies: pods / 10}
}

// servicesPerNamespace keeps namespaces at the size of a team, whatever the size of the mesh.
const servicesPerNamespace = 50

// Write writes the mesh as one stream of YAML documents, the same bytes for the same size. Every fourth policy
// asks for HTTP attributes, every eighth denies; the rest name principals.
func (b Bulk) Write(w io.Writer) error {
	out := bufio.NewWriter(w)
	for i := 0; i < b.Services; i += servicesPerNamespace {
		fmt.Fprintf(out, "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: %s\n  labels:\n    istio-injection: enabled\n---\n", namespaceOf(i))
	}
	for i := range b.Services {
		fmt.Fprintf(out, bulkService, i, namespaceOf(i), i, i)
		if b.Deployments {
			fmt.Fprintf(out, bulkDeployment, i, namespaceOf(i), b.PodsPerService, i, i, i, i%7)
		}
		for p := range b.PodsPerService {
			owner := ""
			if !b.Bare {
				owner = fmt.Sprintf(bulkOwner, i)
			}
			fmt.Fprintf(out, bulkPod, i, p, namespaceOf(i), owner, i, i, i%7, i/250, i%250, p+1)
		}
	}
	for i := range b.Policies {
		// An even spread over services, each policy in its service's namespace.
		target := i * b.Services / max(b.Policies, 1)
		action, to := "ALLOW", ""
		if i%4 == 0 {
			to = fmt.Sprintf("    to:\n    - operation:\n        methods: [\"GET\"]\n        paths: [\"/v1/app-%d/*\"]\n", target)
		}
		if i%8 == 0 {
			action = "DENY"
		}
		fmt.Fprintf(out, bulkPolicy, i, namespaceOf(target), target, action, namespaceOf(target), (target+1)%max(b.Services, 1), to)
	}
	if err := out.Flush(); err != nil {
		return fmt.Errorf("write a generated mesh: %w", err)
	}
	return nil
}

func namespaceOf(service int) string { return fmt.Sprintf("team-%d", service/servicesPerNamespace) }

const bulkService = `apiVersion: v1
kind: Service
metadata:
  name: app-%d
  namespace: %s
  labels:
    app: app-%d
spec:
  selector:
    app: app-%d
  ports:
  - name: http
    port: 80
    targetPort: 8080
---
`

const bulkDeployment = `apiVersion: apps/v1
kind: Deployment
metadata:
  name: app-%d
  namespace: %s
spec:
  replicas: %d
  selector:
    matchLabels:
      app: app-%d
  template:
    metadata:
      labels:
        app: app-%d
    spec:
      serviceAccountName: app-%d
      containers:
      - name: app
        image: registry.example/app:%d
        ports:
        - containerPort: 8080
---
`

const bulkPod = `apiVersion: v1
kind: Pod
metadata:
  name: app-%d-6c9f-%d
  namespace: %s
%s  labels:
    app: app-%d
    pod-template-hash: 6c9f
  annotations:
    sidecar.istio.io/status: '{"revision":"default"}'
spec:
  serviceAccountName: app-%d
  containers:
  - name: app
    image: registry.example/app:%d
    ports:
    - containerPort: 8080
  - name: istio-proxy
    image: istio/proxyv2:1.31.0
    args: [proxy, sidecar]
status:
  phase: Running
  podIP: 10.%d.%d.%d
---
`

const bulkOwner = `  ownerReferences:
  - {apiVersion: apps/v1, kind: ReplicaSet, name: app-%d-6c9f, controller: true}
`

const bulkPolicy = `apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata:
  name: policy-%d
  namespace: %s
spec:
  selector:
    matchLabels:
      app: app-%d
  action: %s
  rules:
  - from:
    - source:
        principals: ["cluster.local/ns/%s/sa/app-%d"]
%s---
`
