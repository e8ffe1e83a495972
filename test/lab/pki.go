package lab

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"strings"
	"time"

	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// user is somebody who may talk to the API server, known by a bearer token.
type user struct {
	name   string
	groups []string
}

// users of the lab. istiod goes by its ServiceAccount, so that the RBAC rules of Istio's own
// manifest apply to it; the lab's own hands are cluster administrators.
var users = map[string]user{
	"admin":              {"lab-admin", []string{"system:masters"}},
	"controller-manager": {"system:kube-controller-manager", nil},
	"scheduler":          {"system:kube-scheduler", nil},
	"kwok":               {"lab-kwok", []string{"system:masters"}},
	"istiod":             {"system:serviceaccount:istio-system:istiod", []string{"system:serviceaccounts", "system:serviceaccounts:istio-system", "system:authenticated"}},
}

// makeKeys writes a certificate authority, a serving certificate for loopback,
// the ServiceAccount signing key, the token file and a kubeconfig per user.
func (s *State) makeKeys() error {
	caKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	now := time.Now()
	ca := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "sidestep-lab"},
		NotBefore: now.Add(-time.Hour), NotAfter: now.AddDate(1, 0, 0),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	caDER, err := x509.CreateCertificate(rand.Reader, ca, ca, &caKey.PublicKey, caKey)
	if err != nil {
		return err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	caKeyDER, err := x509.MarshalECPrivateKey(caKey)
	if err != nil {
		return err
	}
	serving := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "kube-apiserver"},
		NotBefore: ca.NotBefore, NotAfter: ca.NotAfter,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		DNSNames:    []string{"localhost", "kubernetes", "kubernetes.default.svc"},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv4(10, 96, 0, 1)},
	}
	servingDER, err := x509.CreateCertificate(rand.Reader, serving, ca, &key.PublicKey, caKey)
	if err != nil {
		return err
	}
	keyDER, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return err
	}
	saKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return err
	}
	for name, block := range map[string]*pem.Block{
		"ca.key":        {Type: "EC PRIVATE KEY", Bytes: caKeyDER}, // the fault proxy signs wrong certificates with it
		"ca.crt":        {Type: "CERTIFICATE", Bytes: caDER},
		"apiserver.crt": {Type: "CERTIFICATE", Bytes: servingDER},
		"apiserver.key": {Type: "EC PRIVATE KEY", Bytes: keyDER},
		"sa.key":        {Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(saKey)},
	} {
		if err := os.WriteFile(s.path("pki", name), pem.EncodeToMemory(block), 0o600); err != nil {
			return err
		}
	}
	return s.writeUsers()
}

func (s *State) writeUsers() error {
	var tokens strings.Builder
	for file, u := range users {
		raw := make([]byte, 16)
		if _, err := rand.Read(raw); err != nil {
			return err
		}
		token := hex.EncodeToString(raw)
		fmt.Fprintf(&tokens, "%s,%s,%s,%q\n", token, u.name, u.name, strings.Join(u.groups, ","))
		if err := s.writeKubeconfig(s.path("pki", file+".kubeconfig"), s.APIServer, token); err != nil {
			return err
		}
		if file == "admin" {
			if err := s.writeKubeconfig(s.Kubeconfig, s.APIProxy, token); err != nil {
				return err
			}
			if err := s.writeKubeconfig(s.DirectKubeconfig, s.APIServer, token); err != nil {
				return err
			}
		}
	}
	return os.WriteFile(s.path("pki", "tokens.csv"), []byte(tokens.String()), 0o600)
}

// WriteKubeconfig writes a kubeconfig that leads through the API proxy with the given bearer token.
func (s *State) WriteKubeconfig(path, token string) error {
	return s.writeKubeconfig(path, s.APIProxy, token)
}

func (s *State) writeKubeconfig(path, server, token string) error {
	const name = "sidestep-lab"
	config := clientcmdapi.NewConfig()
	ca, err := os.ReadFile(s.path("pki", "ca.crt"))
	if err != nil {
		return err
	}
	config.Clusters[name] = &clientcmdapi.Cluster{Server: server, CertificateAuthorityData: ca}
	config.AuthInfos[name] = &clientcmdapi.AuthInfo{Token: token}
	config.Contexts[name] = &clientcmdapi.Context{Cluster: name, AuthInfo: name}
	config.CurrentContext = name
	return clientcmd.WriteToFile(*config, path)
}
