package plan

import (
	"fmt"
	"slices"
	"strings"
)

// acceptable are the codes that --accept takes: each is about calls that would be refused. What would be weaker is not taken.
var acceptable = []string{CodePinned, CodeCycle, CodePeers, CodeOutside, CodeRefused}

// ParseAcceptance reads CODE:namespace/name.
func ParseAcceptance(text string) (Acceptance, error) {
	code, rest, colon := strings.Cut(text, ":")
	namespace, name, slash := strings.Cut(rest, "/")
	if !colon || !slash || namespace == "" || name == "" {
		return Acceptance{}, fmt.Errorf("%s: want CODE:namespace/name, such as %s:shop/cart", text, CodePinned)
	}
	if code == CodeWeaker {
		return Acceptance{}, fmt.Errorf("%s: that a call passes which is refused today cannot be accepted; change the policy first, and plan from there", text)
	}
	if !slices.Contains(acceptable, code) {
		return Acceptance{}, fmt.Errorf("%s: %s is none of %s", text, code, strings.Join(acceptable, ", "))
	}
	return Acceptance{Code: code, Namespace: namespace, Name: name}, nil
}

// accepts reports whether a person takes it that calls to the workload at a place are refused for a reason, and notes that it was of use.
func (b *search) accepts(at int, code string) bool {
	if at < 0 {
		return false
	}
	w := b.start.Workloads[at]
	for _, a := range b.offered {
		if a.Code == code && a.Namespace == w.Namespace && a.Name == w.Name {
			if !slices.Contains(b.accepted, a) {
				b.accepted = append(b.accepted, a)
			}
			return true
		}
	}
	return false
}
