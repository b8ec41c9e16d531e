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

package app

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"k8s.io/client-go/util/cert"

	"github.com/gatehouse-dev/gatehouse/cmd/gatehouse/app/options"
	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/pkg/certificates"
	"github.com/gatehouse-dev/gatehouse/pkg/files"
)

const (
	// reservedPrefix begins the names of users and groups that mean something to the server.
	reservedPrefix = "system:"
	// userLifetime is how long a certificate is good when nobody says otherwise: a year, as
	// the administrator's own.
	userLifetime = 365 * 24 * time.Hour
	// toStandardOutput is the name of standard output among files.
	toStandardOutput = "-"
)

// credentialCommand holds the flags of gatehouse user add and gatehouse host add.
type credentialCommand struct {
	groups  []string
	ttl     time.Duration
	dataDir string
	server  string
	out     string
}

func newUserCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "user",
		Short: "Give people access to a standalone server",
		Args:  onlySubcommands,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	c := newCredentialCommand()
	add := &cobra.Command{
		Use:   "add NAME",
		Short: "Make a client certificate for a user and write a kubeconfig with it",
		Long: `Make a client certificate for a user, signed by the authority in the data directory, and
write a kubeconfig that holds it. The server may be running; it need not be told.

The user exists from then on, and may do what roles give to the name or to a group. The
certificate cannot be taken back before it ends: choose --ttl with that in mind, and take
the roles away from who leaves. A server with --client-ca-file trusts another authority, and
its users get their certificates there. The kubeconfig holds a private key: treat it as a
password.`,
		Example: `  gatehouse user add jane --group developers
  gatehouse user add ci --ttl 24h --server https://gatehouse.example.com:6443 --out ci.kubeconfig`,
		Args: exactlyOneName,
		RunE: func(cmd *cobra.Command, args []string) error {
			name := args[0]
			if err := checkUser(name, c.groups); err != nil {
				return err
			}
			return c.run(cmd.OutOrStdout(), cmd.ErrOrStderr(), name, name, c.groups, certificates.IssueClient)
		},
	}
	c.addFlags(add)
	add.Flags().StringArrayVar(&c.groups, "group", c.groups, "Group that the user is in. May be given more than once.")
	cmd.AddCommand(add)
	return cmd
}

func newHostCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "host",
		Short: "Give hosts access to a server, and take it back",
		Args:  onlySubcommands,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	c := newCredentialCommand()
	add := &cobra.Command{
		Use:   "add NAME",
		Short: "Make a client certificate for a host's agent and write a kubeconfig with it",
		Long: `Make a client certificate for the agent of a host, signed by the authority in the data
directory, and write a kubeconfig that holds it. The server may be running; it need not be
told.

The agent is the user ` + v1alpha1.HostUserPrefix + `NAME in the group ` + v1alpha1.HostsGroup + `: it may keep its own Host
and HostLease, and what is bound to it. The kubeconfig holds a private key: treat it as a
password. "gatehouse host revoke" takes it back.`,
		Example: `  gatehouse host add edge-1 --server https://gatehouse.example.com:6443`,
		Args:    exactlyOneName,
		RunE: func(cmd *cobra.Command, args []string) error {
			name := args[0]
			if err := checkHost(name); err != nil {
				return err
			}
			return c.run(cmd.OutOrStdout(), cmd.ErrOrStderr(), name, v1alpha1.HostUserPrefix+name, []string{v1alpha1.HostsGroup}, certificates.IssueHost)
		},
	}
	c.addFlags(add)
	cmd.AddCommand(add, newRevokeCommand())
	return cmd
}

func checkHost(name string) error {
	if problems := validation.IsDNS1123Subdomain(name); len(problems) > 0 {
		return fmt.Errorf("%q cannot be the name of a host: %s", name, strings.Join(problems, "; "))
	}
	return nil
}

func exactlyOneName(cmd *cobra.Command, args []string) error {
	if len(args) != 1 {
		return fmt.Errorf("%s takes one name, not %d; see %s --help", cmd.CommandPath(), len(args), cmd.CommandPath())
	}
	return nil
}

func newCredentialCommand() *credentialCommand {
	return &credentialCommand{ttl: userLifetime, dataDir: options.DefaultDataDir()}
}

func (c *credentialCommand) addFlags(cmd *cobra.Command) {
	fs := cmd.Flags()
	fs.DurationVar(&c.ttl, "ttl", c.ttl, "How long the certificate is good.")
	fs.StringVar(&c.dataDir, "data-dir", c.dataDir, "The server's data directory.")
	fs.StringVar(&c.server, "server", c.server, "URL by which the new kubeconfig reaches the server; its host must be in the server's certificate, see --tls-san of the server. Where empty, the one in the administrator's kubeconfig.")
	fs.StringVar(&c.out, "out", c.out, "File to write, which must not exist; - for standard output. Where empty, NAME.kubeconfig in the working directory.")
}

// checkUser refuses names that mean something to the server: with them a kubeconfig would
// give more than roles say.
func checkUser(name string, groups []string) error {
	if strings.HasPrefix(name, reservedPrefix) {
		return fmt.Errorf("%q cannot be the name of a user: names that begin with %s mean something to the server; for the agent of a host use \"gatehouse host add\"", name, reservedPrefix)
	}
	if name == certificates.AdminUser {
		return fmt.Errorf("%q is the administrator, whose kubeconfig \"gatehouse kubeconfig\" prints", name)
	}
	for _, group := range groups {
		if strings.HasPrefix(group, reservedPrefix) {
			return fmt.Errorf("--group=%s cannot be given: groups that begin with %s mean something to the server; bind the role that you mean to the user or to a group of yours", group, reservedPrefix)
		}
	}
	for _, word := range append([]string{name}, groups...) {
		if word == "" || word != strings.TrimSpace(word) || strings.ContainsFunc(word, unicode.IsControl) {
			return fmt.Errorf("%q cannot name a user or a group: it is empty, or has spaces around it or control characters in it", word)
		}
	}
	return nil
}

// issuer signs a client certificate.
type issuer func(ca certificates.KeyPair, cn string, orgs []string, ttl time.Duration, now time.Time) (certPEM, keyPEM []byte, err error)

// run issues the certificate and writes the kubeconfig.
func (c *credentialCommand) run(out, notes io.Writer, name, user string, groups []string, issue issuer) error {
	ca, err := certificates.LoadCA(filepath.Join(c.dataDir, options.CertificateDirName))
	if err != nil {
		return fmt.Errorf("--data-dir=%s: %w", c.dataDir, err)
	}
	server, err := c.serverURL()
	if err != nil {
		return err
	}
	if err := c.checkServer(server); err != nil {
		return err
	}
	now := time.Now()
	clientCert, key, err := issue(ca, user, slices.Compact(slices.Sorted(slices.Values(groups))), c.ttl, now)
	if err != nil {
		return fmt.Errorf("--ttl=%s: %w", c.ttl, err)
	}
	kubeconfig, err := certificates.Kubeconfig(server, ca.CertPEM, clientCert, key, "gatehouse")
	if err != nil {
		return fmt.Errorf("--server=%s: %w", server, err)
	}
	if c.out == toStandardOutput {
		_, err := out.Write(kubeconfig)
		return err
	}
	path := c.out
	if path == "" {
		if path = name + ".kubeconfig"; filepath.Base(path) != path {
			return fmt.Errorf("%q is no name for a file: name one with --out", name)
		}
	}
	if err := writeNew(path, kubeconfig); err != nil {
		return err
	}
	fmt.Fprintf(notes, "%s is in %s until %s\n", user, path, now.Add(c.ttl).Format(time.DateOnly))
	return nil
}

// serverURL is where the new kubeconfig leads.
func (c *credentialCommand) serverURL() (string, error) {
	if c.server != "" {
		return c.server, nil
	}
	path := filepath.Join(c.dataDir, options.KubeconfigName)
	var admin *clientcmdapi.Config
	data, err := readOwn(path)
	if err == nil {
		admin, err = clientcmd.Load(data)
	}
	if err == nil {
		if current := admin.Contexts[admin.CurrentContext]; current != nil {
			if cluster := admin.Clusters[current.Cluster]; cluster != nil {
				return cluster.Server, nil
			}
		}
		err = errors.New("it names no server")
	}
	return "", fmt.Errorf("where the server is cannot be read from %s (%w): say so with --server", path, err)
}

// checkServer refuses a URL under which clients would not believe the server: the certificate
// that the server makes for itself does not carry the name. Where there is no such certificate
// yet, nothing can be said.
func (c *credentialCommand) checkServer(server string) error {
	u, err := url.Parse(server)
	if err != nil || u.Scheme != "https" || u.Hostname() == "" {
		return fmt.Errorf("--server=%s: it is not the URL of a server: write it as https://gatehouse.example.com:6443", server)
	}
	serving, err := cert.CertsFromFile(filepath.Join(c.dataDir, options.CertificateDirName, servingCertificate))
	if err != nil || serving[0].VerifyHostname(u.Hostname()) == nil {
		return nil
	}
	return fmt.Errorf("--server=%s: clients would refuse the server there, because its certificate is good for %s only: start the server with --tls-san %s, or with --listen 0.0.0.0:PORT for every address of this machine, and run this command again",
		server, strings.Join(namesOf(serving[0]), ", "), u.Hostname())
}

// writeNew writes a file for its owner only, and never in the place of another: what is
// there may be somebody's only way in.
func writeNew(path string, data []byte) error {
	err := files.WriteNew(path, data, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s exists: remove it, or name another file with --out", path)
	}
	if err != nil {
		return fmt.Errorf("--out: the kubeconfig cannot be written: %w", err)
	}
	return nil
}
