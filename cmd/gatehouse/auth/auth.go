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

// Package auth has "gatehouse auth".
package auth

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/gatehouse-dev/gatehouse/cmd/gatehouse/command"
	"github.com/gatehouse-dev/gatehouse/pkg/authentication"
	"github.com/gatehouse-dev/gatehouse/pkg/authentication/structured"
)

// NewCommand returns "gatehouse auth".
func NewCommand() *cobra.Command {
	return command.Parent("auth", "Check how users are authenticated", newAuthCheckCommand())
}

// longestTokenFile bounds --token-file, in bytes. A server accepts no token of that length.
const longestTokenFile = 10 << 20

// authCheckCommand holds the flags of gatehouse auth check.
type authCheckCommand struct {
	token, tokenFile string
	issuers          []string
}

func newAuthCheckCommand() *cobra.Command {
	c := authCheckCommand{issuers: []string{authentication.DefaultIssuer}}
	cmd := &cobra.Command{
		Use:   "check FILE [--token TOKEN | --token-file FILE]",
		Short: "Validate a file for --authentication-config, and show whom a token names",
		Long: `Validate an AuthenticationConfiguration. With a token, show how a server with this file
authenticates it: the issuer, each claim, each validation rule, and the user with groups, UID and
extra attributes. No server is needed. The provider's keys are fetched as a server does.

The exit code is 1 if the file is not valid or the token is refused, with the reason on standard
error.`,
		Example: `  gatehouse auth check authentication.yaml
  gatehouse auth check authentication.yaml --token-file token
  kubectl create token demo | gatehouse auth check authentication.yaml --token-file -`,
		Args: command.ExactlyOneFile("authentication-config"),
		RunE: func(cmd *cobra.Command, args []string) error {
			for _, flag := range []string{"token", "token-file"} {
				if cmd.Flags().Changed(flag) && c.token+c.tokenFile == "" {
					return fmt.Errorf("--%s is empty: give it a value, or leave it out to validate the file only", flag)
				}
			}
			token, err := c.read(cmd.InOrStdin())
			if err != nil {
				return err
			}
			if err := authentication.CheckLength(token); err != nil {
				return err
			}
			if err := structured.Check(cmd.Context(), cmd.OutOrStdout(), args[0], token, c.issuers); err != nil {
				return err
			}
			if token != "" {
				fmt.Fprintln(cmd.OutOrStdout(), "accepted")
			}
			return nil
		},
	}
	fs := cmd.Flags()
	fs.StringVar(&c.token, "token", c.token, "The token. Other users of this machine can read the command line: prefer --token-file.")
	fs.StringVar(&c.tokenFile, "token-file", c.tokenFile, "File with the token; - for standard input.")
	fs.StringArrayVar(&c.issuers, "service-account-issuer", c.issuers, "Issuers of the server's service account tokens, which the file must not contain. May be given more than once.")
	cmd.MarkFlagsMutuallyExclusive("token", "token-file")
	return cmd
}

// read returns the token; empty if no flag is given.
func (c authCheckCommand) read(standard io.Reader) (string, error) {
	if c.tokenFile == "" {
		return c.token, nil
	}
	if c.tokenFile != "-" {
		file, err := os.Open(c.tokenFile)
		if err != nil {
			return "", fmt.Errorf("--token-file: %w", err)
		}
		defer file.Close()
		standard = file
	}
	data, err := io.ReadAll(io.LimitReader(standard, longestTokenFile))
	if err != nil {
		return "", fmt.Errorf("--token-file: %w", err)
	}
	if len(bytes.TrimSpace(data)) == 0 {
		return "", fmt.Errorf("--token-file: %s is empty: write the token to it", c.tokenFile)
	}
	return strings.TrimSpace(string(data)), nil
}
