package authz

import (
	"fmt"

	securityapi "istio.io/api/security/v1beta1"
)

// validator collects the problems of one object.
type validator struct {
	object   Ref
	problems []Problem
}

func (v *validator) errorf(field, format string, args ...any) {
	v.problems = append(v.problems, Problem{Object: v.object, Field: field, Message: fmt.Sprintf(format, args...)})
}

func (v *validator) warnf(field, format string, args ...any) {
	v.problems = append(v.problems, Problem{Object: v.object, Field: field, Message: fmt.Sprintf(format, args...), Warning: true})
}

func (v *validator) attachment(a Attachment, single, many bool) {
	if a.Selected && len(a.Targets) > 0 {
		v.errorf("spec", "has both selector and targetRefs; targetRefs count and the selector does not")
	}
	if single && many {
		v.errorf("spec", "has both targetRef and targetRefs; targetRefs count")
	}
}

func (v *validator) authorizationPolicy(spec *securityapi.AuthorizationPolicy, p *AuthorizationPolicy) {
	v.attachment(p.Attach, spec.GetTargetRef() != nil, len(spec.GetTargetRefs()) > 0)
}
