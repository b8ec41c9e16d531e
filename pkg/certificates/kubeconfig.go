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

package certificates

import (
	"fmt"
	"net/url"

	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/gatehouse-dev/gatehouse/pkg/files"
)

// Kubeconfig returns a kubeconfig that holds everything a client needs: the
// server's URL, the CA to trust and the client certificate with its key. Its one
// context is also the name of its cluster; its user carries the name in the
// client certificate.
func Kubeconfig(server string, caPEM, clientCertPEM, clientKeyPEM []byte, contextName string) ([]byte, error) {
	if u, err := url.Parse(server); err != nil || u.Scheme != "https" || u.Host == "" {
		return nil, fmt.Errorf("kubeconfig: the server must be a URL such as https://127.0.0.1:6443, not %q", server)
	}
	client, err := parsePair(clientCertPEM, clientKeyPEM)
	if err != nil {
		return nil, fmt.Errorf("kubeconfig: client certificate: %w", err)
	}
	user := client.Cert.Subject.CommonName

	config := clientcmdapi.NewConfig()
	config.Clusters[contextName] = &clientcmdapi.Cluster{
		Server:                   server,
		CertificateAuthorityData: caPEM,
	}
	config.AuthInfos[user] = &clientcmdapi.AuthInfo{
		ClientCertificateData: clientCertPEM,
		ClientKeyData:         clientKeyPEM,
	}
	config.Contexts[contextName] = &clientcmdapi.Context{Cluster: contextName, AuthInfo: user}
	config.CurrentContext = contextName
	data, err := clientcmd.Write(*config)
	if err != nil {
		return nil, fmt.Errorf("kubeconfig: %w", err)
	}
	return data, nil
}

// WriteKubeconfig writes what Kubeconfig returns to path, for the owner only. A
// reader sees the old file or the new one.
func WriteKubeconfig(path, server string, caPEM, clientCertPEM, clientKeyPEM []byte, contextName string) error {
	data, err := Kubeconfig(server, caPEM, clientCertPEM, clientKeyPEM, contextName)
	if err != nil {
		return err
	}
	if err := files.Replace(path, data, keyMode); err != nil {
		return fmt.Errorf("write the kubeconfig: %w", err)
	}
	return nil
}
