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

package login

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/gatehouse-dev/gatehouse/cmd/gatehouse/command"
	"github.com/gatehouse-dev/gatehouse/pkg/credentials"
	"github.com/gatehouse-dev/gatehouse/pkg/files"
	"github.com/gatehouse-dev/gatehouse/pkg/login"
	"github.com/gatehouse-dev/gatehouse/pkg/server/options"
)

// contextName is the name of cluster and context, as in the administrator's kubeconfig.
const contextName = "gatehouse"

// kubeconfigCommand holds the flags of gatehouse kubeconfig.
type kubeconfigCommand struct {
	server  credentials.Options
	login   *login.Options
	oidc    bool
	program string
}

// NewKubeconfigCommand returns "gatehouse kubeconfig".
func NewKubeconfigCommand() *cobra.Command {
	c := kubeconfigCommand{
		server:  credentials.Options{DataDir: options.DefaultDataDir(), CertificateDir: options.CertificateDirName, Kubeconfig: options.KubeconfigName},
		login:   login.NewOptions(),
		program: "gatehouse",
	}
	forLogin := pflag.NewFlagSet("login", pflag.ContinueOnError)
	c.login.AddFlags(forLogin)
	forLogin.StringVar(&c.program, "command", c.program, "The program gatehouse on the users' machines: a name in $PATH, or a path.")
	forLogin.VisitAll(func(flag *pflag.Flag) { flag.Usage = "With --oidc: " + flag.Usage })
	cmd := &cobra.Command{
		Use:   "kubeconfig",
		Short: "Print the administrator's kubeconfig, or one with which users log in at a provider",
		Long: `Print the kubeconfig that the server wrote into its data directory at its last start. It holds the
administrator's private key: treat it as a password. With --server, it leads to these servers.

With --oidc, print one for the users of an OpenID Connect provider instead. kubectl runs
"gatehouse user login" with its flags. No secret is in it: every user can have the same file. The
server needs the provider in the file of --authentication-config.`,
		Example: `  gatehouse kubeconfig > ~/.kube/gatehouse
  gatehouse kubeconfig --server https://10.0.0.1:6443,https://10.0.0.2:6443 > controllers.kubeconfig
  gatehouse kubeconfig --oidc --issuer-url https://sso.example.com --client-id gatehouse > users.kubeconfig`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			data, err := c.render(cmd.Flags(), forLogin)
			if err != nil {
				return err
			}
			_, err = cmd.OutOrStdout().Write(data)
			return err
		},
	}
	cmd.Flags().StringVar(&c.server.DataDir, "data-dir", c.server.DataDir, "The server's data directory.")
	cmd.Flags().BoolVar(&c.oidc, "oidc", c.oidc, "Print a kubeconfig whose users log in at an OpenID Connect provider.")
	c.server.AddServerFlag(cmd.Flags())
	cmd.Flags().AddFlagSet(forLogin)
	return cmd
}

// render returns the kubeconfig. forLogin are the flags that need --oidc.
func (c kubeconfigCommand) render(given, forLogin *pflag.FlagSet) ([]byte, error) {
	if c.oidc {
		if err := command.Invalid(c.login.Validate()); err != nil {
			return nil, err
		}
		cluster, err := c.server.Cluster()
		if err != nil {
			return nil, err
		}
		return c.login.Kubeconfig(cluster, contextName, c.program)
	}
	var needless []error
	given.Visit(func(flag *pflag.Flag) {
		if forLogin.Lookup(flag.Name) != nil {
			needless = append(needless, fmt.Errorf("--%s is for a kubeconfig without the administrator's key: add --oidc", flag.Name))
		}
	})
	if len(needless) > 0 {
		return nil, command.Invalid(needless)
	}
	path := filepath.Join(c.server.DataDir, options.KubeconfigName)
	data, err := files.ReadTrusted(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s does not exist: start the server once with \"gatehouse up\", or name its directory with --data-dir", path)
	}
	if err != nil {
		return nil, fmt.Errorf("the kubeconfig cannot be read: %w", err)
	}
	return c.server.WithServers(data)
}
