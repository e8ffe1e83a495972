package live

import (
	"cmp"
	"fmt"

	"github.com/spf13/pflag"
	_ "k8s.io/client-go/plugin/pkg/client/auth/oidc" // kubeconfig files name it
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// Cluster is an API server to talk to.
type Cluster struct {
	Config *rest.Config
	// Name is how messages call it: the kubeconfig's context, or the server's address.
	Name string
	// Namespace is the context's namespace, "default" when it has none.
	Namespace string
}

// Config reads a kubeconfig as kubectl does: the file given, else $KUBECONFIG, else ~/.kube/config, else
// the pod's service account. An empty context means the current one.
func Config(kubeconfig, context string) (*Cluster, error) {
	return ConfigWith(kubeconfig, clientcmd.ConfigOverrides{CurrentContext: context})
}

// Overrides are what flags say instead of the kubeconfig.
type Overrides = clientcmd.ConfigOverrides

// TimeoutFlag is the flag that bounds one request.
const TimeoutFlag = clientcmd.FlagTimeout

// OverrideFlags are kubectl's flags about a cluster, bound to o, but for --context, --kubeconfig and --namespace.
func OverrideFlags(o *Overrides) *pflag.FlagSet {
	names := clientcmd.RecommendedConfigOverrideFlags("")
	names.CurrentContext, names.ContextOverrideFlags.Namespace = clientcmd.FlagInfo{}, clientcmd.FlagInfo{}
	flags := pflag.NewFlagSet("", pflag.ContinueOnError)
	clientcmd.BindOverrideFlags(o, flags, names)
	return flags
}

// ConfigWith is Config with what flags say instead of the kubeconfig.
func ConfigWith(kubeconfig string, overrides Overrides) (*Cluster, error) {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = kubeconfig
	loader := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, &overrides)
	cfg, err := loader.ClientConfig()
	if err != nil {
		return nil, fmt.Errorf("read the kubeconfig: %w; set --kubeconfig or --context, or give files with -f", err)
	}
	namespace, _, err := loader.Namespace()
	if err != nil {
		return nil, fmt.Errorf("read the kubeconfig's namespace: %w", err)
	}
	name := overrides.CurrentContext
	if raw, err := loader.RawConfig(); err == nil && overrides.ClusterInfo.Server == "" {
		name = cmp.Or(name, raw.CurrentContext)
	}
	return &Cluster{Config: cfg, Name: cmp.Or(name, cfg.Host), Namespace: namespace}, nil
}
