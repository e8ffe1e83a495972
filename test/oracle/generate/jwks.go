package generate

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
)

// The corpus' token key. It is derived from a constant, so that the corpus has the same bytes every time; it protects nothing.
var (
	signingKey = keyFrom("sidestep oracle: trusted")
	wrongKey   = keyFrom("sidestep oracle: not trusted")
	// JWKS is the public half, as it stands in the corpus' RequestAuthentications.
	JWKS = jwks(signingKey)
)

func keyFrom(text string) ed25519.PrivateKey {
	seed := sha256.Sum256([]byte(text))
	return ed25519.NewKeyFromSeed(seed[:])
}

func jwks(k ed25519.PrivateKey) string {
	x := base64.RawURLEncoding.EncodeToString(k.Public().(ed25519.PublicKey))
	return fmt.Sprintf(`{"keys":[{"kty":"OKP","crv":"Ed25519","alg":"EdDSA","kid":"oracle","x":%q}]}`, x)
}

// Token signs the claims. state is corpus.Request.JWTState.
func Token(claims map[string]any, state string) (string, error) {
	body, err := json.Marshal(claims)
	if err != nil {
		return "", err
	}
	enc := base64.RawURLEncoding
	signed := enc.EncodeToString([]byte(`{"alg":"EdDSA","kid":"oracle","typ":"JWT"}`)) + "." + enc.EncodeToString(body)
	key := signingKey
	if state == "badSignature" {
		key = wrongKey
	}
	return signed + "." + enc.EncodeToString(ed25519.Sign(key, []byte(signed))), nil
}
