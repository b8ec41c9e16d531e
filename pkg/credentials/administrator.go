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

package credentials

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"time"

	"github.com/spf13/pflag"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"

	"github.com/gatehouse-dev/gatehouse/pkg/authentication/revocation"
	"github.com/gatehouse-dev/gatehouse/pkg/failover"
	"github.com/gatehouse-dev/gatehouse/pkg/generated/clientset/versioned"
)

// Administrator has the flags by which a command acts as an administrator of a server.
type Administrator struct {
	// DataDir has the certificates and the administrator's kubeconfig.
	DataDir string
	// Kubeconfig takes the place of the one in DataDir.
	Kubeconfig string

	// CertificateDir and AdminKubeconfig are the names of the authority's directory and of the
	// administrator's kubeconfig in the data directory.
	CertificateDir, AdminKubeconfig string
}

// AddFlags adds the flags to a set.
func (a *Administrator) AddFlags(fs *pflag.FlagSet) {
	fs.StringVar(&a.DataDir, "data-dir", a.DataDir, "The server's data directory, with the administrator's kubeconfig.")
	fs.StringVar(&a.Kubeconfig, "kubeconfig", a.Kubeconfig, "Kubeconfig of an administrator, instead of the one in --data-dir. For a server behind a kube-apiserver, a kubeconfig of the cluster.")
}

// RevokeHost refuses the certificates that a host has had until now. It returns in the next second,
// because a certificate of this one is refused as well.
func (a *Administrator) RevokeHost(ctx context.Context, notes io.Writer, name string) error {
	config, err := a.config()
	if err != nil {
		return err
	}
	client, err := corev1client.NewForConfig(config)
	if err != nil {
		return err
	}
	// Certificates carry whole seconds.
	now := time.Now().UTC().Truncate(time.Second)
	if err := revocation.Revoke(ctx, client.ConfigMaps(revocation.Namespace), name, now); err != nil {
		return fmt.Errorf("the revocation cannot be written to ConfigMap %s/%s: %w", revocation.Namespace, revocation.ConfigMap, err)
	}
	// A mistyped name must not look like a revocation. Any other failure to read the host changes nothing.
	hosts, err := versioned.NewForConfig(config)
	if err != nil {
		return err
	}
	if _, err := hosts.FleetV1alpha1().Hosts().Get(ctx, name, metav1.GetOptions{}); apierrors.IsNotFound(err) {
		fmt.Fprintf(notes, "No host %s is registered: check the name (kubectl get hosts), unless the host was deleted.\n", name)
	}
	fmt.Fprintf(notes, "Certificates of host %s from %s and before are refused within %s.\n", name, now.Format(time.RFC3339), revocation.Interval)
	select {
	case <-time.After(time.Until(now.Add(time.Second))):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// config connects to the API server with the ConfigMap.
func (a *Administrator) config() (*rest.Config, error) {
	config, _, err := a.server()
	return config, err
}

// server returns the configuration with failover, and the URLs in the administrator's kubeconfig.
func (a *Administrator) server() (*rest.Config, []string, error) {
	var config *rest.Config
	var servers failover.Servers
	var err error
	if a.Kubeconfig == "" {
		config, servers, err = adminConfig(a.DataDir, a.AdminKubeconfig)
	} else if config, servers, err = failover.ReadFile(a.Kubeconfig); err != nil {
		err = fmt.Errorf("--kubeconfig=%s: %w", a.Kubeconfig, err)
	}
	if err != nil {
		return nil, nil, err
	}
	urls := []string{config.Host}
	if len(servers) > 0 {
		urls = urls[:0]
	}
	for _, u := range servers {
		urls = append(urls, u.String())
	}
	servers.Apply(config)
	return config, urls, nil
}

// checkServers refuses URLs that the certificate of a server on this machine does not name.
func (a *Administrator) checkServers(urls []string) error {
	if a.Kubeconfig != "" {
		return nil
	}
	return checkServers(filepath.Join(a.DataDir, a.CertificateDir), urls)
}

// configMaps returns the client that reads and writes revocations.
func (a *Administrator) configMaps() (corev1client.ConfigMapInterface, error) {
	config, err := a.config()
	if err != nil {
		return nil, err
	}
	client, err := corev1client.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	return client.ConfigMaps(revocation.Namespace), nil
}
