/*
Copyright The Gatehouse Authors.

Licensed under the Apache License, Version 2.0 (the "License");
you may not use this file except in compliance with the License.
You may obtain a copy of the License at

    http://www.apache.org/licenses/LICENSE-2.0

Unless required by applicable law or agreed to in writing, software
distributed under the License is distributed on an "AS IS" BASIS,
WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied.
See the License for the specific language governing permissions and
limitations under the License.
*/

// Package join gets the first certificate of a host: it requests one with a bootstrap token and
// writes a kubeconfig with it.
package join

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	certificatesclient "k8s.io/client-go/kubernetes/typed/certificates/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"k8s.io/client-go/util/keyutil"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/pkg/failover"
	"github.com/gatehouse-dev/gatehouse/pkg/files"
)

const (
	// poll is the time between looks at the request.
	poll = 500 * time.Millisecond
	// keyName is the file of the key until the host has its certificate.
	keyName = "joining.key"
)

// Options are the settings of a host that joins.
type Options struct {
	// Servers are the URLs of the servers of one API; CA has the certificates in PEM that verify them.
	Servers []string
	CA      []byte
	Token   string
	// Name is the name of the host.
	Name string
	// Kubeconfig is the file to write, which must not exist.
	Kubeconfig string
	// Notes gets messages for the operator.
	Notes io.Writer
}

// Join requests a certificate, waits for it, and writes the kubeconfig. It can be repeated after an
// interruption: the key is kept until then.
func Join(ctx context.Context, o Options) error {
	if _, err := os.Lstat(o.Kubeconfig); err == nil {
		return fmt.Errorf("%s exists: the host has joined already; remove the file to join again", o.Kubeconfig)
	}
	if err := files.MakeDirectory(filepath.Dir(o.Kubeconfig)); err != nil {
		return err
	}
	keyPath := filepath.Join(filepath.Dir(o.Kubeconfig), keyName)
	key, keyPEM, err := loadKey(keyPath)
	if err != nil {
		return err
	}
	servers, err := failover.Parse(o.Servers)
	if err != nil {
		return err
	}
	config := &rest.Config{
		Host: o.Servers[0], BearerToken: o.Token, TLSClientConfig: rest.TLSClientConfig{CAData: o.CA}, UserAgent: "gatehouse-agent", Timeout: 30 * time.Second,
	}
	servers.Apply(config)
	client, err := certificatesclient.NewForConfig(config)
	if err != nil {
		return err
	}
	certificate, err := request(ctx, client.CertificateSigningRequests(), key, &o, metav1.ObjectMeta{GenerateName: "host-join-"})
	if err != nil {
		return err
	}
	kubeconfig, err := kubeconfigOf(&o, certificate, keyPEM)
	if err != nil {
		return err
	}
	if err := files.WriteNew(o.Kubeconfig, kubeconfig, 0o600); err != nil {
		return err
	}
	return os.Remove(keyPath)
}

// loadKey returns the key of an interrupted attempt, or a new one.
func loadKey(path string) (*ecdsa.PrivateKey, []byte, error) {
	data, err := files.ReadTrusted(path)
	if err == nil {
		parsed, err := keyutil.ParsePrivateKeyPEM(data)
		if key, ok := parsed.(*ecdsa.PrivateKey); ok && err == nil {
			return key, data, nil
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return nil, nil, err
	}
	key, data, err := newKey()
	if err != nil {
		return nil, nil, err
	}
	return key, data, files.Replace(path, data, 0o600)
}

func newKey() (*ecdsa.PrivateKey, []byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	data, err := keyutil.MarshalPrivateKeyToPEM(key)
	return key, data, err
}

// request creates the request and waits until the certificate is issued.
func request(ctx context.Context, requests certificatesclient.CertificateSigningRequestInterface, key *ecdsa.PrivateKey, o *Options, meta metav1.ObjectMeta) ([]byte, error) {
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{
		CommonName: v1alpha1.HostUserPrefix + o.Name, Organization: []string{v1alpha1.HostsGroup},
	}}, key)
	if err != nil {
		return nil, err
	}
	created, err := requests.Create(ctx, &certificatesv1.CertificateSigningRequest{
		ObjectMeta: meta,
		Spec: certificatesv1.CertificateSigningRequestSpec{
			Request:    pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}),
			SignerName: certificatesv1.KubeAPIServerClientSignerName,
			Usages:     []certificatesv1.KeyUsage{certificatesv1.UsageDigitalSignature, certificatesv1.UsageClientAuth},
		},
	}, metav1.CreateOptions{})
	if err != nil {
		return nil, fmt.Errorf("the certificate cannot be requested: %w", err)
	}
	fmt.Fprintf(o.Notes, "Requested a certificate for %s as %s.\n", o.Name, created.Name)
	return await(ctx, requests, created, o.Notes)
}

// await waits for the certificate of a request.
func await(ctx context.Context, requests certificatesclient.CertificateSigningRequestInterface, request *certificatesv1.CertificateSigningRequest, notes io.Writer) ([]byte, error) {
	told := false
	for begin := time.Now(); ; {
		current, err := requests.Get(ctx, request.Name, metav1.GetOptions{})
		if err != nil {
			return nil, fmt.Errorf("request %s cannot be read: %w", request.Name, err)
		}
		for _, c := range current.Status.Conditions {
			if c.Status == corev1.ConditionTrue && (c.Type == certificatesv1.CertificateDenied || c.Type == certificatesv1.CertificateFailed) {
				return nil, fmt.Errorf("request %s is refused: %s", request.Name, c.Message)
			}
		}
		if current.UID != request.UID {
			return nil, fmt.Errorf("request %s was replaced: join again", request.Name)
		}
		if len(current.Status.Certificate) > 0 {
			return current.Status.Certificate, nil
		}
		if !told && time.Since(begin) > 5*time.Second {
			told = true
			fmt.Fprintf(notes, "Waiting until an operator approves it: kubectl certificate approve %s\n", request.Name)
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(poll):
		}
	}
}

// kubeconfigOf returns the kubeconfig of the agent.
func kubeconfigOf(o *Options, certificate, key []byte) ([]byte, error) {
	const name = "gatehouse"
	config := clientcmdapi.NewConfig()
	cluster := &clientcmdapi.Cluster{CertificateAuthorityData: o.CA}
	if err := failover.Extend(cluster, o.Servers); err != nil {
		return nil, err
	}
	config.Clusters[name] = cluster
	config.AuthInfos[name] = &clientcmdapi.AuthInfo{ClientCertificateData: certificate, ClientKeyData: key}
	config.Contexts[name] = &clientcmdapi.Context{Cluster: name, AuthInfo: name}
	config.CurrentContext = name
	return clientcmd.Write(*config)
}
