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
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/spf13/pflag"
	"k8s.io/client-go/rest"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/pkg/certificates"
	"github.com/gatehouse-dev/gatehouse/pkg/failover"
	"github.com/gatehouse-dev/gatehouse/pkg/files"
)

// HostOptions are the flags of the credentials of simulated hosts.
type HostOptions struct {
	// DataDir has the authority that signs their certificates.
	DataDir string
	// Kubeconfig is that of a user that impersonates the hosts, with Impersonate.
	Kubeconfig  string
	Impersonate bool

	// CertificateDir and AdminKubeconfig are the names of the authority's directory and of the
	// administrator's kubeconfig in the data directory.
	CertificateDir, AdminKubeconfig string

	dataDir *pflag.Flag
}

// AddFlags adds the flags to a set.
func (o *HostOptions) AddFlags(fs *pflag.FlagSet) {
	fs.StringVar(&o.DataDir, "data-dir", o.DataDir, "The server's data directory, with the authority that signs the hosts' certificates.")
	fs.StringVar(&o.Kubeconfig, "kubeconfig", o.Kubeconfig, "Kubeconfig of the server, or of several (docs/several-servers.md). Used with --impersonate, instead of --data-dir.")
	fs.BoolVar(&o.Impersonate, "impersonate", o.Impersonate, "Let the user of --kubeconfig impersonate the hosts, instead of giving each a certificate.")
	o.dataDir = fs.Lookup("data-dir")
}

// Validate returns an error for each invalid flag.
func (o *HostOptions) Validate() []error {
	var errs []error
	if o.Impersonate != (o.Kubeconfig != "") {
		errs = append(errs, errors.New("--kubeconfig and --impersonate belong together: give both, or neither for certificates from --data-dir"))
	}
	if o.Impersonate && o.dataDir != nil && o.dataDir.Changed {
		errs = append(errs, errors.New("--data-dir is not used with --impersonate: leave one of them out"))
	}
	return errs
}

// Identity returns the client configurations of the hosts, the list of servers if there are several, and the URLs of the
// servers.
func (o *HostOptions) Identity() (identity func(host string) (*rest.Config, error), list failover.Servers, servers string, err error) {
	if o.Impersonate {
		config, list, err := failover.ReadFile(o.Kubeconfig)
		if err != nil {
			return nil, nil, "", fmt.Errorf("--kubeconfig=%s: %w", o.Kubeconfig, err)
		}
		return ImpersonatedHosts(config, list), list, list.Names(config), nil
	}
	ca, err := certificates.LoadCA(filepath.Join(o.DataDir, o.CertificateDir))
	if err != nil {
		return nil, nil, "", fmt.Errorf("--data-dir=%s: %w; where the server is elsewhere, use --kubeconfig and --impersonate", o.DataDir, err)
	}
	config, list, err := adminConfig(o.DataDir, o.AdminKubeconfig)
	if err != nil {
		return nil, nil, "", err
	}
	return CertifiedHosts(config, list, ca), list, list.Names(config), nil
}

// AdminConfig returns the configuration in the administrator's kubeconfig of a data directory, with failover if it
// lists several servers.
func AdminConfig(dataDir, kubeconfig string) (*rest.Config, error) {
	config, servers, err := adminConfig(dataDir, kubeconfig)
	if err == nil {
		servers.Apply(config)
	}
	return config, err
}

func adminConfig(dataDir, kubeconfig string) (config *rest.Config, servers failover.Servers, err error) {
	path := filepath.Join(dataDir, kubeconfig)
	data, err := files.ReadTrusted(path)
	if err == nil {
		config, servers, err = failover.Read(data)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("--data-dir=%s: the administrator's kubeconfig %s cannot be read: %w; name another with --kubeconfig", dataDir, path, err)
	}
	return config, servers, nil
}

// HostUser returns the user and the groups of the agent of a host.
func HostUser(host string) (user string, groups []string) {
	return v1alpha1.HostUserPrefix + host, []string{v1alpha1.HostsGroup}
}

// CertifiedHosts returns client configurations of simulated hosts, each with a separate certificate and
// connection, and with failover if there are several servers.
func CertifiedHosts(server *rest.Config, servers failover.Servers, ca certificates.KeyPair) func(host string) (*rest.Config, error) {
	return func(host string) (*rest.Config, error) {
		now := time.Now()
		ttl := min(DefaultLifetime, ca.Cert.NotAfter.Sub(now))
		if ttl <= 0 {
			return nil, errors.New("the authority in the data directory has expired: certificates that it signs are not trusted")
		}
		user, groups := HostUser(host)
		cert, key, err := certificates.IssueHost(ca, user, groups, ttl, now)
		if err != nil {
			return nil, err
		}
		config := hostConfig(rest.AnonymousClientConfig(server), servers)
		config.CertData, config.KeyData = cert, key
		return config, nil
	}
}

// ImpersonatedHosts returns client configurations of simulated hosts that one user impersonates.
func ImpersonatedHosts(user *rest.Config, servers failover.Servers) func(host string) (*rest.Config, error) {
	return func(host string) (*rest.Config, error) {
		config := hostConfig(rest.CopyConfig(user), servers)
		config.Impersonate.UserName, config.Impersonate.Groups = HostUser(host)
		return config, nil
	}
}

func hostConfig(config *rest.Config, servers failover.Servers) *rest.Config {
	config.UserAgent = "gatehouse/simulated-host"
	config.ContentType = "application/vnd.kubernetes.protobuf"
	config.AcceptContentTypes = "application/vnd.kubernetes.protobuf,application/json"
	config.QPS = -1 // the server has flow control
	servers.Apply(config)
	return config
}
