package authz

// Rewritten gives a policy whose rules were edited the digest of its new meaning. Compiled programs are shared by
// digest, so that an edited policy has to pass through here.
func Rewritten(p *AuthorizationPolicy) *AuthorizationPolicy {
	q := *p
	q.digest = ""
	q.digest = digestOf(q)
	return &q
}
