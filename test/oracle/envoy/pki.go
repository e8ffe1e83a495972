package envoy

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	cryptotls "crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/url"
	"sync"
	"time"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	tls "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// PKI issues the server's certificate and one per peer identity. It lives as long as one run; no answer depends on its keys.
type PKI struct {
	ca      *x509.Certificate
	caKey   *ecdsa.PrivateKey
	peerKey *ecdsa.PrivateKey
	server  cryptotls.Certificate

	mu    sync.Mutex
	peers map[string]*cryptotls.Certificate
}

// NewPKI makes a certificate authority.
func NewPKI() (*PKI, error) {
	p := &PKI{peers: map[string]*cryptotls.Certificate{}}
	var err error
	if p.caKey, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		return nil, err
	}
	if p.peerKey, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		return nil, err
	}
	ca := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "oracle"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, ca, ca, p.caKey.Public(), p.caKey)
	if err != nil {
		return nil, err
	}
	if p.ca, err = x509.ParseCertificate(der); err != nil {
		return nil, err
	}
	server, err := p.issue("cluster.local/ns/server/sa/server")
	if err != nil {
		return nil, err
	}
	p.server = *server
	return p, nil
}

// Peer gives the certificate of a principal (without spiffe://).
func (p *PKI) Peer(principal string) (*cryptotls.Certificate, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if c := p.peers[principal]; c != nil {
		return c, nil
	}
	c, err := p.issue(principal)
	if err == nil {
		p.peers[principal] = c
	}
	return c, err
}

func (p *PKI) issue(principal string) (*cryptotls.Certificate, error) {
	uri, err := url.Parse("spiffe://" + principal)
	if err != nil {
		return nil, fmt.Errorf("principal %q: %w", principal, err)
	}
	t := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), NotBefore: p.ca.NotBefore, NotAfter: p.ca.NotAfter, URIs: []*url.URL{uri},
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, t, p.ca, p.peerKey.Public(), p.caKey)
	if err != nil {
		return nil, err
	}
	return &cryptotls.Certificate{Certificate: [][]byte{der}, PrivateKey: p.peerKey}, nil
}

// replaceCertificates puts this PKI where istiod's config names SDS secrets. Whether a client certificate is required, and
// the ALPN, stay. The trust domain is not verified here: the corpus is about policies on accepted identities.
func (p *PKI) replaceCertificates(ts *core.TransportSocket) error {
	ctx := &tls.DownstreamTlsContext{}
	if err := ts.GetTypedConfig().UnmarshalTo(ctx); err != nil {
		return err
	}
	key, err := x509.MarshalECPrivateKey(p.peerKey)
	if err != nil {
		return err
	}
	c := ctx.CommonTlsContext
	c.TlsCertificateSdsSecretConfigs = nil
	c.TlsCertificates = []*tls.TlsCertificate{{
		CertificateChain: inline(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: p.server.Certificate[0]})),
		PrivateKey:       inline(pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: key})),
	}}
	c.ValidationContextType = &tls.CommonTlsContext_ValidationContext{ValidationContext: &tls.CertificateValidationContext{
		TrustedCa: inline(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: p.ca.Raw}))}}
	ctx.RequireClientCertificate = wrapperspb.Bool(true)
	ts.ConfigType = &core.TransportSocket_TypedConfig{TypedConfig: mustAny(ctx)}
	return nil
}

func inline(b []byte) *core.DataSource {
	return &core.DataSource{Specifier: &core.DataSource_InlineBytes{InlineBytes: b}}
}
