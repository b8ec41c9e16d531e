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

package server

import (
	"crypto/x509"
	"fmt"
	"slices"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/util/cert"

	"github.com/gatehouse-dev/gatehouse/pkg/certificates"
	"github.com/gatehouse-dev/gatehouse/pkg/controller/certificatesigner"
	"github.com/gatehouse-dev/gatehouse/pkg/controller/manager"
	"github.com/gatehouse-dev/gatehouse/pkg/credentials"
	"github.com/gatehouse-dev/gatehouse/pkg/simulation"
	"github.com/gatehouse-dev/gatehouse/pkg/version"
)

// NewClients constructs the clients in the server's process: the controllers of the standalone
// mode, and the simulated hosts.
func NewClients(in Inputs, loopback *rest.Config) (manager.Runners, error) {
	if in.Aggregated() {
		return nil, nil
	}
	rootCA, err := in.RootCA()
	if err != nil {
		return nil, err
	}
	tokens := map[string]string{}
	for _, name := range manager.ClientNames() {
		tokens[name] = in.Identities.Mint(name)
	}
	authority, err := newAuthority(in.ClientCAFile, in.Certificates)
	if err != nil {
		return nil, err
	}
	clients, err := manager.NewStandalone(manager.Standalone{
		Controllers: in.selectedControllers(), EndedInstances: in.EndedInstances, RootCA: rootCA, Authority: authority, Replica: in.replicaIdentity(),
		Identity: func(name string) *rest.Config { return manager.TokenConfig(loopback, name, tokens[name]) },
	})
	if err != nil || in.SimulateHosts == 0 {
		return clients, err
	}
	simulated := simulation.DefaultOptions()
	simulated.Count, simulated.Version = in.SimulateHosts, version.Product()
	hosts, err := simulation.New(simulated, credentials.CertifiedHosts(loopback, in.Certificates.CA))
	if err != nil {
		return nil, fmt.Errorf("--simulate-hosts=%d: %w", in.SimulateHosts, err)
	}
	return append(clients, manager.Run(hosts)), nil
}

// selectedControllers returns the selection of --controllers. As in kube-controller-manager, * does not
// select the cleaner of bootstrap tokens: it runs if the tokens authenticate, or if it is named.
func (in Inputs) selectedControllers() manager.Selection {
	if in.Callers.BootstrapTokens || slices.Contains(in.Controllers, manager.TokenCleaner) {
		return in.Controllers
	}
	return append(slices.Clone(in.Controllers), "-"+manager.TokenCleaner)
}

// RootCA returns the certificates in PEM that verify the serving certificate.
func (in Inputs) RootCA() ([]byte, error) {
	if in.Serving.OwnCertificate() {
		return in.Certificates.CA.CertPEM, nil
	}
	pem, err := certificates.AuthoritiesOf(in.Serving.ServerCert.CertKey.CertFile)
	if err != nil {
		return nil, fmt.Errorf("--tls-cert-file: %w", err)
	}
	return pem, nil
}

// newAuthority returns the authority that signs certificate signing requests: the one in the data
// directory. It is nil if --client-ca-file names others, because the server would not accept what it signs.
func newAuthority(clientCAFile string, own *certificates.Bundle) (*certificatesigner.Authority, error) {
	ca := own.CA
	if clientCAFile != "" {
		trusted, err := cert.CertsFromFile(clientCAFile)
		if err != nil {
			return nil, fmt.Errorf("--client-ca-file: %w", err)
		}
		if !slices.ContainsFunc(trusted, ca.Cert.Equal) {
			return nil, nil
		}
	}
	return &certificatesigner.Authority{
		Sign: func(template *x509.Certificate, publicKey any) ([]byte, error) {
			return certificates.SignRequest(ca, template, publicKey)
		},
		// The renewer replaces the file.
		Server: func() (*x509.Certificate, error) {
			serving, err := cert.CertsFromFile(own.ServingCertFile)
			if err != nil {
				return nil, err
			}
			return serving[0], nil
		},
	}, nil
}
