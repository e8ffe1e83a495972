package snapshot

import (
	"testing"

	networkingv1 "istio.io/client-go/pkg/apis/networking/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

func TestFind(t *testing.T) {
	meta := func(namespace, name string) metav1.ObjectMeta {
		return metav1.ObjectMeta{Namespace: namespace, Name: name}
	}
	b := NewBuilder()
	for _, o := range []Object{
		&corev1.Service{ObjectMeta: meta("a", "x")}, &corev1.Service{ObjectMeta: meta("a", "y")}, &corev1.Service{ObjectMeta: meta("b", "x")},
		&corev1.Namespace{ObjectMeta: meta("", "a")},
		&gatewayv1.Gateway{ObjectMeta: meta("a", "gate")}, &networkingv1.Gateway{ObjectMeta: meta("a", "gate")}, &networkingv1.Gateway{ObjectMeta: meta("a", "old")},
	} {
		if err := b.Add(o, Source{}); err != nil {
			t.Fatal(err)
		}
	}
	s := b.Build()
	tests := map[string]struct {
		kind            Kind
		namespace, name string
		want            bool
	}{
		"the first of a namespace":              {Kind{Kind: "Service"}, "a", "x", true},
		"the same name elsewhere":               {Kind{Kind: "Service"}, "b", "x", true},
		"a name that is not":                    {Kind{Kind: "Service"}, "b", "y", false},
		"a cluster-scoped kind":                 {Kind{Kind: "Namespace"}, "", "a", true},
		"one kind name in two groups, by group": {Kind{Group: "networking.istio.io", Kind: "Gateway"}, "a", "gate", true},
		"without group, in the second one":      {Kind{Kind: "Gateway"}, "a", "old", true},
		"the wrong group":                       {Kind{Group: "gateway.networking.k8s.io", Kind: "Gateway"}, "a", "old", false},
		"a kind without objects":                {Kind{Kind: "Pod"}, "a", "x", false},
		"no kind at all":                        {Kind{Kind: "Moon"}, "a", "x", false},
	}
	for name, test := range tests {
		o, ok := s.Find(test.kind, test.namespace, test.name)
		if ok != test.want || ok && (o.GetNamespace() != test.namespace || o.GetName() != test.name) {
			t.Errorf("%s: %v, %v", name, o, ok)
		}
	}
}
