package redact

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base32"
	"net/netip"
	"regexp"
	"slices"
	"strings"
)

// pseudonyms replaces words by keyed hashes. It maps every string word by word and keeps the punctuation
// between them, so that whatever related two strings still does: a host and the service and namespace in it, a
// principal and its service account, a pattern such as *.example.com or web-* and what it matches.
type pseudonyms struct {
	key   []byte
	words map[string]string
	// starts and ends are words that patterns cut off, like the web in web*: words that begin or end with
	// them are mapped in two parts.
	starts, ends map[string]bool
	// kept are cut-off words that public words begin or end with: they must stay as those do.
	kept map[string]bool
	bits map[netip.Prefix]byte
}

func newPseudonyms(key []byte) *pseudonyms {
	return &pseudonyms{
		key: key, words: map[string]string{}, bits: map[netip.Prefix]byte{},
		starts: map[string]bool{}, ends: map[string]bool{}, kept: map[string]bool{},
	}
}

func (p *pseudonyms) mac(domain, text string) []byte {
	m := hmac.New(sha256.New, p.key)
	m.Write([]byte(domain))
	m.Write([]byte(text))
	return m.Sum(nil)
}

// learn notes the words that the pattern s cuts.
func (p *pseudonyms) learn(s string) {
	if !strings.Contains(s, "*") {
		return
	}
	var end int
	for i := 0; i < len(s); i = end {
		if end = wordEnd(s, i); end == i {
			end++
			continue
		}
		if end < len(s) && s[end] == '*' {
			p.cut(s[i:end], p.starts, strings.HasPrefix)
		}
		if i > 0 && s[i-1] == '*' {
			p.cut(s[i:end], p.ends, strings.HasSuffix)
		}
	}
}

func (p *pseudonyms) cut(w string, set map[string]bool, inside func(s, part string) bool) {
	set[w] = true
	for public := range vocabulary() {
		if inside(public, w) {
			p.kept[w] = true
			return
		}
	}
}

func (p *pseudonyms) public(w string) bool { return isPublic(w) || p.kept[w] }

// text maps a string.
func (p *pseudonyms) text(s string) string {
	if s == "" || isPublic(s) {
		return s
	}
	if addr, err := netip.ParseAddr(s); err == nil {
		return p.address(addr).String()
	}
	if prefix, err := netip.ParsePrefix(s); err == nil {
		mapped := netip.PrefixFrom(p.address(prefix.Addr()), prefix.Bits())
		if prefix == prefix.Masked() {
			mapped = mapped.Masked()
		}
		return mapped.String()
	}
	var out strings.Builder
	var end int
	for i := 0; i < len(s); i = end {
		if n := dottedQuad(s[i:]); n > 0 && (i == 0 || !isWordByte(s[i-1])) {
			end = i + n
			addr, _ := netip.ParseAddr(s[i:end])
			out.WriteString(p.address(addr).String())
			continue
		}
		if end = wordEnd(s, i); end == i {
			end++
			out.WriteByte(s[i])
			continue
		}
		out.WriteString(p.word(s[i:end]))
	}
	return out.String()
}

// word maps a word. One that begins with a learnt start is mapped as that start and the rest, one that ends
// with a learnt end as the rest and that end; so what the pattern matched it matches still. It fails where
// two patterns cut one word from both sides and overlap (pay* and *ayments).
func (p *pseudonyms) word(w string) string {
	if p.public(w) {
		return w
	}
	for n := len(w) - 1; n > 0 && len(p.starts) > 0; n-- {
		if p.starts[w[:n]] {
			return p.word(w[:n]) + p.word(w[n:])
		}
	}
	for n := 1; n < len(w) && len(p.ends) > 0; n++ {
		if p.ends[w[n:]] {
			return p.word(w[:n]) + p.word(w[n:])
		}
	}
	return p.hash(w)
}

var lower32 = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// hash returns ten letters and digits: 40 bits, so that two of 20,000 words are the same in one of 5,000
// snapshots. It begins and ends with a 0, since no cut-off word that stays (kept) does: web* and *bin never
// match a hash by chance.
func (p *pseudonyms) hash(w string) string {
	h, ok := p.words[w]
	if !ok {
		h = "0" + lower32.EncodeToString(p.mac("word:", w)[:5]) + "0"
		p.words[w] = h
	}
	return h
}

// address maps an address so that two addresses share as many leading bits as they did: an address stays
// inside exactly the networks that held it. Addresses that mean something by themselves stay, and so does the
// part that tells private addresses from public ones: one byte of IPv4, two of IPv6.
func (p *pseudonyms) address(a netip.Addr) netip.Addr {
	if a.IsUnspecified() || a.IsLoopback() || a.IsLinkLocalUnicast() || a.IsMulticast() || a.Zone() != "" {
		return a
	}
	in := a.AsSlice()
	out := slices.Clone(in)
	for i := max(1, len(in)/8); i < len(in); i++ {
		out[i] = 0
		for bit := range 8 {
			n := i*8 + bit
			before, _ := a.Prefix(n)
			flip, ok := p.bits[before]
			if !ok {
				flip = p.mac("address:", before.String())[0] & 1
				p.bits[before] = flip
			}
			out[i] |= (in[i]>>(7-bit)&1 ^ flip) << (7 - bit)
		}
	}
	mapped, _ := netip.AddrFromSlice(out)
	return mapped
}

func isWordByte(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= 0x80
}

// wordEnd returns the end of the word at i, i itself when there is none.
func wordEnd(s string, i int) int {
	for i < len(s) && isWordByte(s[i]) {
		i++
	}
	return i
}

var quad = regexp.MustCompile(`^[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3}`)

// dottedQuad returns the length of an IPv4 address at the start of s, or 0.
func dottedQuad(s string) int {
	if s == "" || s[0] < '0' || s[0] > '9' {
		return 0
	}
	m := quad.FindString(s)
	if _, err := netip.ParseAddr(m); err != nil || len(m) < len(s) && (isWordByte(s[len(m)]) || s[len(m)] == '.') {
		return 0
	}
	return len(m)
}
