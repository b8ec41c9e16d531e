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

// Package login has "gatehouse user login", "gatehouse user logout" and "gatehouse kubeconfig".
package login

import (
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/gatehouse-dev/gatehouse/cmd/gatehouse/command"
	"github.com/gatehouse-dev/gatehouse/pkg/login"
)

// NewLoginCommand returns "gatehouse user login".
func NewLoginCommand() *cobra.Command {
	o := login.NewOptions()
	cmd := &cobra.Command{
		Use:   "login",
		Short: "Log in at an OpenID Connect provider, for kubectl",
		Long: `Log in at an OpenID Connect provider and print the token for kubectl. It is an exec credential
plugin (client.authentication.k8s.io/v1): "gatehouse kubeconfig --oidc" writes a kubeconfig that
runs it. On a terminal it prints no token, but who is logged in.

The login is an authorization code flow with PKCE in a browser that $BROWSER names, or in that of the
desktop. On a machine without one, and with --device, it is a device flow: the user enters a code
on another device. If the provider has no device flow, a link is printed.

Tokens are cached for their owner only, and the refresh token gets new ones. Commands that run at the
same time log in once. "gatehouse user logout" removes what is cached.`,
		Example: `  gatehouse user login --issuer-url https://sso.example.com --client-id gatehouse
  gatehouse user login --issuer-url https://sso.example.com --client-id gatehouse --scopes offline_access,groups --device`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			client := 0
			if info := os.Getenv(login.ExecInfo); info != "" {
				if err := login.ValidateExecInfo(info); err != nil {
					return err
				}
				client = os.Getppid()
			}
			if err := command.Invalid(o.Validate()); err != nil {
				return err
			}
			credential, err := o.Credential(cmd.Context(), client, cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			if client == 0 && term.IsTerminal(int(os.Stdout.Fd())) {
				fmt.Fprintf(cmd.OutOrStdout(), "%s has %q logged in; the token is valid until %s\n", o.Issuer, credential.Subject, credential.Expiry.Local().Format(time.RFC3339))
				return nil
			}
			return credential.WriteExec(cmd.OutOrStdout())
		},
	}
	o.AddFlags(cmd.Flags())
	return cmd
}

// NewLogoutCommand returns "gatehouse user logout".
func NewLogoutCommand() *cobra.Command {
	var dir string
	cmd := &cobra.Command{
		Use:   "logout",
		Short: "Remove the cached tokens of all logins",
		Long: `Remove the tokens that "gatehouse user login" has cached, of all providers. The next kubectl logs
in again. The session at the provider is another matter: the browser may still have it, and tokens
that were copied are valid until they expire.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			removed, err := login.Logout(dir)
			if err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "Removed %d cached logins.\n", removed)
			return nil
		},
	}
	cmd.Flags().StringVar(&dir, "cache-dir", dir, "Directory of the cached tokens. If empty, gatehouse/login in the user's cache directory ($XDG_CACHE_HOME or ~/.cache).")
	return cmd
}
