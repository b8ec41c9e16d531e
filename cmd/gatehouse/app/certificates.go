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
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/gatehouse-dev/gatehouse/cmd/gatehouse/command"
	"github.com/gatehouse-dev/gatehouse/pkg/certificates"
)

// certificatesCommand holds the flags of gatehouse certificates.
type certificatesCommand struct {
	dir       string
	sans      []string
	alsoTrust []string
	output    string
}

func newCertificatesCommand() *cobra.Command {
	c := certificatesCommand{output: certificates.Formats[0]}
	cmd := &cobra.Command{
		Use:   "certificates --dir DIR",
		Short: "Create the serving certificate for a cluster and print its caBundle",
		Long: `Create an authority and a serving certificate in a directory, or keep existing ones, and print
what the cluster's APIServices must trust.

The command writes ca.crt, ca.key, serving.crt and serving.key to the directory. serving.* go
into the Secret that the server mounts; ca.key signs the next serving certificate and stays
with you. The command can be repeated at any time: the authority is kept, and the serving certificate
is renewed when less than a third of its year is left or when it lacks a name. Names are only
added: the new certificate has every name of the old one.

Only the caBundle is written to standard output; notes are written to standard error.`,
		Example: `  gatehouse certificates --dir pki
  gatehouse certificates --dir pki --tls-san gatehouse.example.com -o patch > ca-bundle.yaml
  gatehouse certificates --dir pki-new --also-trust pki/ca.crt`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := command.Invalid(c.validate()); err != nil {
				return err
			}
			return certificates.PrintForCluster(cmd.OutOrStdout(), cmd.ErrOrStderr(), c.dir, c.sans, c.alsoTrust, c.output)
		},
	}
	fs := cmd.Flags()
	fs.StringVar(&c.dir, "dir", c.dir, "Required. Directory of the authority and the certificate, created with mode 0700 if it does not exist.")
	fs.StringSliceVar(&c.sans, "tls-san", c.sans, "Additional host names and IP addresses at which clients reach the server, comma separated. The names of the Service in artifacts/deploy are always included.")
	fs.StringSliceVar(&c.alsoTrust, "also-trust", c.alsoTrust, "PEM files with certificates that are also printed, so that the authority can be replaced without interruption.")
	fs.StringVarP(&c.output, "output", "o", c.output, "caBundle: base64 on one line, for APIService.spec.caBundle. pem: the same as certificates. patch: a patch of each APIService, in one file for kustomize.")
	cmd.AddCommand(newCertificatesStatusCommand())
	return cmd
}

// validate returns an error for each invalid flag.
func (c certificatesCommand) validate() []error {
	var errs []error
	if c.dir == "" {
		errs = append(errs, fmt.Errorf("--dir is required: name the directory for the authority and the certificate"))
	}
	if !slices.Contains(certificates.Formats, c.output) {
		errs = append(errs, fmt.Errorf("--output=%s is unknown: use caBundle, pem or patch", c.output))
	}
	return errs
}
