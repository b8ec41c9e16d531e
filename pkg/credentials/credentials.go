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
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"k8s.io/client-go/util/cert"

	"github.com/gatehouse-dev/gatehouse/pkg/certificates"
	"github.com/gatehouse-dev/gatehouse/pkg/failover"
	"github.com/gatehouse-dev/gatehouse/pkg/files"
)

const (
	// DefaultLifetime is the default lifetime of a certificate: a year, as that of the
	// administrator.
	DefaultLifetime = 365 * 24 * time.Hour
	// standardOutput is the name of standard output in --out.
	standardOutput = "-"
)

// Options are the flags of commands that issue a credential.
type Options struct {
	TTL     time.Duration
	DataDir string
	// Servers are the URLs in the kubeconfig; those of the administrator's kubeconfig if empty.
	Servers []string
	// Out is the file to write; NAME.kubeconfig if empty.
	Out string

	// CertificateDir and Kubeconfig are the names of the authority's directory and of the
	// administrator's kubeconfig in the data directory.
	CertificateDir, Kubeconfig string
}

// AddFlags adds the flags to a set.
func (o *Options) AddFlags(fs *pflag.FlagSet) {
	fs.DurationVar(&o.TTL, "ttl", o.TTL, "How long the certificate is valid.")
	fs.StringVar(&o.DataDir, "data-dir", o.DataDir, "The server's data directory.")
	o.AddServerFlag(fs)
	fs.StringVar(&o.Out, "out", o.Out, "File to write, which must not exist; - for standard output. If empty, NAME.kubeconfig in the working directory.")
}

// AddServerFlag adds the flag of the servers to a set.
func (o *Options) AddServerFlag(fs *pflag.FlagSet) {
	fs.StringSliceVar(&o.Servers, "server", o.Servers, "URL of the server in the new kubeconfig; its host must be in the server's certificate, see --tls-san of the server. Several, comma separated, are servers of the same API, of which this is one: agents and controllers use the next one when one fails, and kubectl the first (docs/several-servers.md). If empty, the URL in the administrator's kubeconfig is used.")
}

// Issuer signs a client certificate.
type Issuer func(ca certificates.KeyPair, cn string, orgs []string, ttl time.Duration, now time.Time) (certPEM, keyPEM []byte, err error)

// Issue issues the certificate of a user and writes a kubeconfig with it. name is the default name
// of the file.
func (o *Options) Issue(out, notes io.Writer, name, user string, groups []string, issue Issuer) error {
	ca, err := certificates.LoadCA(filepath.Join(o.DataDir, o.CertificateDir))
	if err != nil {
		return fmt.Errorf("--data-dir=%s: %w", o.DataDir, err)
	}
	urls, err := o.serverURLs()
	if err != nil {
		return err
	}
	if err := checkServers(filepath.Join(o.DataDir, o.CertificateDir), urls); err != nil {
		return err
	}
	path, err := o.file(name)
	if err != nil {
		return err
	}
	now := time.Now()
	clientCert, key, err := issue(ca, user, slices.Compact(slices.Sorted(slices.Values(groups))), o.TTL, now)
	if err != nil {
		return fmt.Errorf("--ttl=%s: %w", o.TTL, err)
	}
	kubeconfig, err := certificates.Kubeconfig(urls[0], ca.CertPEM, clientCert, key, "gatehouse")
	if err == nil {
		kubeconfig, err = failover.ExtendKubeconfig(kubeconfig, urls)
	}
	if err != nil {
		return fmt.Errorf("--server=%s: %w", strings.Join(urls, ","), err)
	}
	if err := certificates.RecordIssued(filepath.Join(o.DataDir, o.CertificateDir), clientCert, now); err != nil {
		return fmt.Errorf("--data-dir=%s: the certificate cannot be recorded: %w", o.DataDir, err)
	}
	if path == standardOutput {
		_, err := out.Write(kubeconfig)
		return err
	}
	if err := writeNew(path, kubeconfig); err != nil {
		return err
	}
	fmt.Fprintf(notes, "%s is in %s until %s\n", user, path, now.Add(o.TTL).Format(time.DateOnly))
	return nil
}

// file returns the file to write. It returns an error if the file exists or has no directory, so that no
// certificate is issued and recorded that is not handed out.
func (o *Options) file(name string) (string, error) {
	if o.Out == standardOutput {
		return o.Out, nil
	}
	path := o.Out
	if path == "" {
		if path = name + ".kubeconfig"; filepath.Base(path) != path {
			return "", fmt.Errorf("%q is not a file name: name one with --out", name)
		}
	}
	if _, err := os.Lstat(path); err == nil {
		return "", existing(path)
	}
	if _, err := os.Stat(filepath.Dir(path)); err != nil {
		return "", fmt.Errorf("--out: the kubeconfig cannot be written: %w", err)
	}
	return path, nil
}

// existing returns the error about a file that is not replaced.
func existing(path string) error {
	return fmt.Errorf("%s exists: remove it, or name another file with --out", path)
}

// serverURLs returns the URLs in the new kubeconfig.
func (o *Options) serverURLs() ([]string, error) {
	if len(o.Servers) > 0 {
		return o.Servers, nil
	}
	cluster, err := o.adminCluster()
	if err != nil {
		return nil, fmt.Errorf("the URL of the server cannot be read from %w: set it with --server", err)
	}
	return failover.Of(cluster)
}

// Cluster returns the server for a kubeconfig without credentials: that of the administrator's kubeconfig, with the
// URLs of --server.
func (o *Options) Cluster() (*clientcmdapi.Cluster, error) {
	cluster, err := o.adminCluster()
	if err != nil {
		return nil, fmt.Errorf("the server cannot be read from %w: start the server once with \"gatehouse up\", or name its directory with --data-dir", err)
	}
	urls := o.Servers
	if len(urls) == 0 {
		if urls, err = failover.Of(cluster); err != nil {
			return nil, err
		}
	}
	if err := checkServers(filepath.Join(o.DataDir, o.CertificateDir), urls); err != nil {
		return nil, err
	}
	return cluster, failover.Extend(cluster, urls)
}

// WithServers returns a kubeconfig with the URLs of --server in place of its own, if there are any.
func (o *Options) WithServers(kubeconfig []byte) ([]byte, error) {
	if len(o.Servers) == 0 {
		return kubeconfig, nil
	}
	if err := checkServers(filepath.Join(o.DataDir, o.CertificateDir), o.Servers); err != nil {
		return nil, err
	}
	return failover.ExtendKubeconfig(kubeconfig, o.Servers)
}

// adminCluster returns the server in the administrator's kubeconfig. The error begins with its path.
func (o *Options) adminCluster() (*clientcmdapi.Cluster, error) {
	path := filepath.Join(o.DataDir, o.Kubeconfig)
	var admin *clientcmdapi.Config
	data, err := files.ReadTrusted(path)
	if err == nil {
		admin, err = clientcmd.Load(data)
	}
	if err == nil {
		if current := admin.Contexts[admin.CurrentContext]; current != nil {
			if cluster := admin.Clusters[current.Cluster]; cluster != nil {
				cluster.LocationOfOrigin = ""
				return cluster, nil
			}
		}
		err = errors.New("it names no server")
	}
	return nil, fmt.Errorf("%s (%w)", path, err)
}

// checkServers refuses URLs of which none has a host in the certificate that the server generates: clients would
// refuse the server. The others are of other servers, which have certificates of their own. If the directory has no such
// certificate, every URL is accepted.
func checkServers(directory string, urls []string) error {
	servers, err := failover.Parse(urls)
	if err != nil {
		return fmt.Errorf("--server=%w", err)
	}
	serving, err := cert.CertsFromFile(filepath.Join(directory, certificates.ServingCertFile))
	if err != nil || slices.ContainsFunc(servers, func(server *url.URL) bool { return serving[0].VerifyHostname(server.Hostname()) == nil }) {
		return nil
	}
	return fmt.Errorf("--server=%s: clients would refuse the server there, because its certificate is valid for %s only: start the server with --tls-san %s, or with --listen 0.0.0.0:PORT for every address of this machine, and run this command again",
		strings.Join(urls, ","), strings.Join(certificates.NamesOf(serving[0]), ", "), servers[0].Hostname())
}

// writeNew writes a file for its owner only. It never replaces a file, which may be the only
// credential of a user.
func writeNew(path string, data []byte) error {
	err := files.WriteNew(path, data, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return existing(path)
	}
	if err != nil {
		return fmt.Errorf("--out: the kubeconfig cannot be written: %w", err)
	}
	return nil
}
