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
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/client-go/util/cert"

	"github.com/gatehouse-dev/gatehouse/cmd/gatehouse/command"
	"github.com/gatehouse-dev/gatehouse/pkg/agent/join"
	"github.com/gatehouse-dev/gatehouse/pkg/failover"
)

// joinOptions are the flags of "gatehouse-agent join".
type joinOptions struct {
	token, ca, name, root string
}

func newJoinCommand() *cobra.Command {
	o := &joinOptions{}
	cmd := &cobra.Command{
		Use:   "join SERVER[,SERVER...] --token TOKEN --ca CA [--name NAME]",
		Short: "Get the certificate of this host with a token",
		Long: `Get the certificate of this host with a token, and write a kubeconfig with it to --root-dir.
"gatehouse host token create" on the server prints the whole command.

Several servers, separated by commas, are servers of the same API: the agent uses the next one when
one fails.

The server approves the request by itself if no host of the name exists. Otherwise an operator
approves it, and the command waits.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			servers := strings.Split(args[0], ",")
			authority, errs := o.validate(servers)
			if err := command.Invalid(errs); err != nil {
				return err
			}
			kubeconfig := filepath.Join(o.root, kubeconfigName)
			err := join.Join(cmd.Context(), join.Options{
				Servers: servers, CA: authority, Token: o.token, Name: o.name, Kubeconfig: kubeconfig, Notes: cmd.OutOrStdout(),
			})
			if err != nil {
				return err
			}
			start := "gatehouse-agent run"
			if o.root != defaultRoot {
				start += " --root-dir " + command.QuoteForShell(o.root)
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s has joined; its certificate is in %s. Start the agent: %s\n", o.name, kubeconfig, start)
			return err
		},
	}
	name, _ := os.Hostname()
	fs := cmd.Flags()
	fs.StringVar(&o.token, "token", "", "Token of the form ID.SECRET.")
	fs.StringVar(&o.ca, "ca", "", "Certificates that verify the server, in PEM and base64 for URLs.")
	fs.StringVar(&o.name, "name", strings.ToLower(name), "Name of the host.")
	fs.StringVar(&o.root, "root-dir", defaultRoot, "Directory of the agent.")
	return cmd
}

// validate returns the certificates of --ca, and an error for each invalid flag.
func (o *joinOptions) validate(servers []string) ([]byte, []error) {
	var errs []error
	if _, err := failover.Parse(servers); err != nil {
		errs = append(errs, err)
	}
	if o.token == "" {
		errs = append(errs, errors.New("--token is missing: \"gatehouse host token create\" on the server prints it"))
	}
	authority, err := base64.RawURLEncoding.DecodeString(o.ca)
	if err == nil {
		_, err = cert.ParseCertsPEM(authority)
	}
	if o.ca == "" {
		errs = append(errs, errors.New("--ca is missing: \"gatehouse host token create\" on the server prints it"))
	} else if err != nil {
		errs = append(errs, fmt.Errorf("--ca has no certificate (%w): copy the whole command that \"gatehouse host token create\" printed", err))
	}
	if problems := validation.IsDNS1123Subdomain(o.name); len(problems) > 0 {
		errs = append(errs, fmt.Errorf("--name=%q is not the name of a host: %s", o.name, problems[0]))
	}
	return authority, errs
}
