package routeworld

import (
	"k8s.io/apimachinery/pkg/runtime"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// defaulted fills what the API server fills in by the defaults of the CRDs, as far as istiod relies on it.
func defaulted(o runtime.Object) {
	switch x := o.(type) {
	case *gatewayv1.HTTPRoute:
		parents(x.Spec.ParentRefs)
		for i := range x.Spec.Rules {
			httpRule(&x.Spec.Rules[i])
		}
	case *gatewayv1.GRPCRoute:
		parents(x.Spec.ParentRefs)
		for i := range x.Spec.Rules {
			r := &x.Spec.Rules[i]
			for k := range r.Matches {
				if m := r.Matches[k].Method; m != nil {
					set(&m.Type, gatewayv1.GRPCMethodMatchExact)
				}
				for n := range r.Matches[k].Headers {
					set(&r.Matches[k].Headers[n].Type, gatewayv1.GRPCHeaderMatchExact)
				}
			}
			for k := range r.BackendRefs {
				backend(&r.BackendRefs[k].BackendRef)
			}
		}
	case *gatewayv1.TCPRoute:
		parents(x.Spec.ParentRefs)
		for i := range x.Spec.Rules {
			for k := range x.Spec.Rules[i].BackendRefs {
				backend(&x.Spec.Rules[i].BackendRefs[k])
			}
		}
	case *gatewayv1.TLSRoute:
		parents(x.Spec.ParentRefs)
		for i := range x.Spec.Rules {
			for k := range x.Spec.Rules[i].BackendRefs {
				backend(&x.Spec.Rules[i].BackendRefs[k])
			}
		}
	}
}

func set[T any](p **T, value T) {
	if *p == nil {
		*p = &value
	}
}

func parents(list []gatewayv1.ParentReference) {
	for i := range list {
		set(&list[i].Group, gatewayv1.GroupName)
		set(&list[i].Kind, "Gateway")
	}
}

func backend(b *gatewayv1.BackendRef) {
	set(&b.Weight, 1)
	reference(&b.BackendObjectReference)
}

func reference(b *gatewayv1.BackendObjectReference) {
	set(&b.Group, "")
	set(&b.Kind, "Service")
}

func httpRule(r *gatewayv1.HTTPRouteRule) {
	if len(r.Matches) == 0 {
		r.Matches = []gatewayv1.HTTPRouteMatch{{}}
	}
	for i := range r.Matches {
		m := &r.Matches[i]
		set(&m.Path, gatewayv1.HTTPPathMatch{})
		set(&m.Path.Type, gatewayv1.PathMatchPathPrefix)
		set(&m.Path.Value, "/")
		for k := range m.Headers {
			set(&m.Headers[k].Type, gatewayv1.HeaderMatchExact)
		}
		for k := range m.QueryParams {
			set(&m.QueryParams[k].Type, gatewayv1.QueryParamMatchExact)
		}
	}
	for i := range r.Filters {
		if f := r.Filters[i].RequestRedirect; f != nil {
			set(&f.StatusCode, 302)
		}
		if f := r.Filters[i].RequestMirror; f != nil {
			reference(&f.BackendRef)
		}
	}
	for i := range r.BackendRefs {
		backend(&r.BackendRefs[i].BackendRef)
	}
}
