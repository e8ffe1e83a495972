package live

import (
	"cmp"
	"fmt"

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
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = kubeconfig
	loader := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, &clientcmd.ConfigOverrides{CurrentContext: context})
	cfg, err := loader.ClientConfig()
	if err != nil {
		return nil, fmt.Errorf("read the kubeconfig: %w; set --kubeconfig or --context, or give files with -f", err)
	}
	namespace, _, err := loader.Namespace()
	if err != nil {
		return nil, fmt.Errorf("read the kubeconfig's namespace: %w", err)
	}
	name := context
	if raw, err := loader.RawConfig(); err == nil {
		name = cmp.Or(context, raw.CurrentContext)
	}
	return &Cluster{Config: cfg, Name: cmp.Or(name, cfg.Host), Namespace: namespace}, nil
}
