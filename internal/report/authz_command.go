package report

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/sidestep-mesh/sidestep/internal/authz"
)

// CanCommand is the command line that asks about a call again, as far as flags can say it.
func CanCommand(r authz.Request) string {
	args := []string{"sidestep authz can --from", word(callerFlag(r.From)), "--to", word(destinationFlag(r.To))}
	add := func(flag, value string) {
		if value != "" {
			args = append(args, flag, word(value))
		}
	}
	if r.Protocol == authz.ProtocolTCP {
		args = append(args, "--tcp")
	} else {
		add("--method", r.Method)
		add("--path", r.Path)
		add("--host", r.Host)
		for _, name := range sortedNames(r.Headers) {
			args = append(args, "--header", word(name+"="+r.Headers[name]))
		}
		if r.JWT != nil && r.JWT.Valid {
			add("--jwt", claimsFlag(r.JWT))
		} else if r.JWT != nil {
			add("--bad-jwt", orUnknown(r.JWT.Issuer))
		}
	}
	add("--sni", r.SNI)
	add("--source-ip", r.SourceIP)
	add("--remote-ip", r.RemoteIP)
	for _, provider := range r.Refused {
		add("--refused-by", provider)
	}
	return strings.Join(args, " ")
}

func callerFlag(c authz.Caller) string {
	switch {
	case c.Workload != nil && c.Mode != authz.ModeNone:
		return c.Workload.Namespace + "/" + c.Workload.Name
	case c.Principal != "":
		return c.Principal + "@" + string(c.Mode)
	}
	return "outside"
}

func destinationFlag(d authz.Destination) string {
	if d.Service != "" {
		return fmt.Sprintf("%s:%d", d.Service, d.ServicePort)
	}
	return fmt.Sprintf("pod:%s/%s:%d", d.Workload.Namespace, d.Workload.Name, d.Port)
}

func orUnknown(issuer string) string {
	if issuer == "" {
		return "unknown"
	}
	return issuer
}

// claimsFlag writes a token's claims as --jwt reads them.
func claimsFlag(t *authz.Token) string {
	claims := map[string]any{"iss": t.Issuer}
	for name, c := range t.Claims {
		claims[name] = claimValue(c)
	}
	text, err := json.Marshal(claims)
	if err != nil {
		return "{}" // strings, lists and maps of these always can be written
	}
	return string(text)
}

func claimValue(c authz.Claim) any {
	switch {
	case len(c.Object) > 0:
		out := map[string]any{}
		for name, inner := range c.Object {
			out[name] = claimValue(inner)
		}
		return out
	case len(c.Values) == 1:
		return c.Values[0]
	}
	return c.Values
}

// word quotes an argument for a POSIX shell where it needs to be.
func word(s string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_./:@=,+%", r)
	}
	if s != "" && strings.IndexFunc(s, func(r rune) bool { return !plain(r) }) < 0 {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

func sortedNames[V any](m map[string]V) []string {
	return slices.Sorted(maps.Keys(m))
}
