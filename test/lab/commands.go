package lab

import (
	"fmt"
	"os"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/sidestep-mesh/sidestep/test/lab/cluster"
	"github.com/sidestep-mesh/sidestep/test/lab/proc"
)

// The names of a lab's processes, as they stand in logs, faults and errors.
const (
	Etcd              = "etcd"
	APIServer         = "kube-apiserver"
	ControllerManager = "kube-controller-manager"
	Scheduler         = "kube-scheduler"
	Kwok              = "kwok"
	Istiod            = "istiod"
	Prometheus        = "prometheus"
	StandIns          = "stand-ins"
	SupervisorName    = "supervisor"
)

// ownProgram is the program that runs now. It can be started again even when its
// file is gone, as that of "go run" is as soon as labctl returns.
const ownProgram = "/proc/self/exe"

// spec is the command line of a named process.
func (s *State) spec(name string) (proc.Spec, error) {
	spec := proc.Spec{Name: name, Dir: s.path("work"), Log: s.LogFile(name)}
	switch name {
	case Etcd:
		client, peer := "http://"+s.addr("etcd-client"), "http://"+s.addr("etcd-peer")
		spec.Path = s.Bin.Path("etcd", "etcd")
		spec.Args = []string{
			"--data-dir=" + s.path("etcd"), "--unsafe-no-fsync", "--quota-backend-bytes=4294967296",
			"--listen-client-urls=" + client, "--advertise-client-urls=" + client,
			"--listen-peer-urls=" + peer, "--initial-advertise-peer-urls=" + peer, "--initial-cluster=default=" + peer,
		}
	case APIServer:
		spec.Path = s.Bin.Path("kube", APIServer)
		spec.Args = []string{
			"--etcd-servers=http://" + s.addr("etcd-client"),
			"--bind-address=127.0.0.1", "--advertise-address=127.0.0.1", "--secure-port=" + s.port("apiserver"),
			"--cert-dir=" + s.path("work"),
			"--tls-cert-file=" + s.path("pki", "apiserver.crt"), "--tls-private-key-file=" + s.path("pki", "apiserver.key"),
			"--service-account-key-file=" + s.path("pki", "sa.key"),
			"--service-account-signing-key-file=" + s.path("pki", "sa.key"),
			"--service-account-issuer=https://kubernetes.default.svc",
			"--service-cluster-ip-range=10.96.0.0/16",
			"--token-auth-file=" + s.path("pki", "tokens.csv"),
			"--authorization-mode=RBAC", "--allow-privileged=true",
			// The whole lab is one client population on two cores.
			"--max-requests-inflight=1000", "--max-mutating-requests-inflight=500",
			"--endpoint-reconciler-type=none",
		}
	case ControllerManager:
		spec.Path = s.Bin.Path("kube", ControllerManager)
		spec.Args = []string{
			"--kubeconfig=" + s.path("pki", "controller-manager.kubeconfig"),
			"--service-account-private-key-file=" + s.path("pki", "sa.key"),
			"--root-ca-file=" + s.path("pki", "ca.crt"),
			"--use-service-account-credentials=true", "--leader-elect=false",
			"--bind-address=127.0.0.1", "--secure-port=" + s.port("controller-manager"), "--cert-dir=" + s.path("work"),
			"--kube-api-qps=400", "--kube-api-burst=800",
			"--concurrent-deployment-syncs=16", "--concurrent-replicaset-syncs=16",
		}
	case Scheduler:
		spec.Path = s.Bin.Path("kube", Scheduler)
		spec.Args = []string{
			"--kubeconfig=" + s.path("pki", "scheduler.kubeconfig"), "--leader-elect=false",
			"--bind-address=127.0.0.1", "--secure-port=" + s.port("scheduler"), "--cert-dir=" + s.path("work"),
			"--kube-api-qps=400", "--kube-api-burst=800",
		}
	case Kwok:
		spec.Path = s.Bin.Path("kwok", "kwok")
		spec.Args = []string{
			"--kubeconfig=" + s.path("pki", "kwok.kubeconfig"), "--config=" + s.Bin.Path("kwok", "stages.yaml"),
			"--manage-all-nodes=true", "--node-lease-duration-seconds=40",
			"--cidr=10.128.0.0/14", "--server-address=" + s.addr("kwok"),
		}
	case Istiod:
		return s.istiodSpec(spec)
	case Prometheus:
		spec.Path = s.Bin.Path("prometheus", "prometheus")
		spec.Args = []string{
			"--config.file=" + s.path("prometheus.yml"), "--storage.tsdb.path=" + s.path("prometheus"),
			"--web.listen-address=" + s.addr("prometheus"), "--storage.tsdb.retention.time=60d",
			"--web.enable-remote-write-receiver", "--web.enable-lifecycle", "--log.level=warn",
		}
	case StandIns:
		spec.Path = ownProgram
		spec.Env = []string{roleVariable + "=" + StandIns, dirVariable + "=" + s.Dir}
	default:
		return proc.Spec{}, fmt.Errorf("no process is called %q", name)
	}
	return spec, nil
}

// istiodSpec runs the real binary with the environment of the Deployment in
// Istio's own manifest, so that profile settings mean here what they mean in a cluster.
func (s *State) istiodSpec(spec proc.Spec) (proc.Spec, error) {
	spec.Path = s.Bin.Path("istio", "istiod")
	spec.Args = []string{
		"discovery", "--kubeconfig=" + s.path("pki", "istiod.kubeconfig"),
		"--httpAddr=" + s.addr("istiod-http"), "--grpcAddr=" + s.addr("istiod-grpc"),
		"--secureGRPCAddr=" + s.addr("istiod-secure-grpc"), "--httpsAddr=" + s.addr("istiod-https"),
		"--monitoringAddr=" + s.addr("istiod-monitoring"), "--ctrlz_port=0",
		"--domain=cluster.local", "--keepaliveMaxServerConnectionAge=30m",
	}
	env, err := s.istiodEnv()
	if err != nil {
		return proc.Spec{}, err
	}
	spec.Env = env
	return spec, nil
}

func (s *State) istiodEnv() ([]string, error) {
	path := s.Bin.Path("istio", "ambient.yaml")
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	objects, err := cluster.Parse(path, raw)
	if err != nil {
		return nil, err
	}
	for _, o := range objects {
		if o.GetKind() != "Deployment" || o.GetName() != "istiod" {
			continue
		}
		var deployment appsv1.Deployment
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(o.Object, &deployment); err != nil {
			return nil, err
		}
		values := map[string]string{}
		for _, e := range deployment.Spec.Template.Spec.Containers[0].Env {
			if e.ValueFrom == nil {
				values[e.Name] = e.Value
			}
		}
		// What a kubelet would have filled in, and what differs outside a cluster.
		values["POD_NAME"] = "istiod-lab"
		values["POD_NAMESPACE"] = IstioNamespace
		values["SERVICE_ACCOUNT"] = "istiod"
		values["JWT_POLICY"] = "third-party-jwt"
		values["ISTIOD_CUSTOM_HOST"] = "localhost"
		values["KUBECONFIG"] = ""
		env := make([]string, 0, len(values))
		for name, value := range values {
			env = append(env, name+"="+value)
		}
		return env, nil
	}
	return nil, fmt.Errorf("%s has no Deployment istiod", path)
}

// IstioNamespace is the root namespace of the lab's mesh.
const IstioNamespace = "istio-system"
