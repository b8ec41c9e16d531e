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

	"github.com/spf13/cobra"

	"github.com/gatehouse-dev/gatehouse/cmd/gatehouse/command"
	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/pkg/credentials"
	"github.com/gatehouse-dev/gatehouse/pkg/server/options"
	"github.com/gatehouse-dev/gatehouse/pkg/simulation"
	"github.com/gatehouse-dev/gatehouse/pkg/version"
)

func newSimulateHostsCommand() *cobra.Command {
	c, hosts := simulation.NewFlags(), credentials.HostOptions{
		DataDir: options.DefaultDataDir(), CertificateDir: options.CertificateDirName, AdminKubeconfig: options.KubeconfigName,
	}
	c.Version = version.Product()
	cmd := &cobra.Command{
		Use:   "simulate-hosts",
		Short: "Simulate hosts, for demonstrations, tests and load",
		Long: `Simulate the agents of hosts. Nothing really runs on them.

Each registers its Host, renews its HostLease, watches for the instances that are bound to it
and reports their status: they start, fail, restart and stop according to the flags and at random.
With the same --seed, instances with the same names behave the same on hosts with the same
names. An image whose name contains one of --bad-images can never be pulled, as if it did not
exist.

Each host has a separate client certificate, signed with the authority in the server's data
directory, so the command must run on the machine of the server. Behind a kube-apiserver, or if
the certificates of hosts have another signer, use --kubeconfig with --impersonate: the user in that
kubeconfig must be allowed to impersonate the users ` + v1alpha1.HostUserPrefix + `NAME and the group
` + v1alpha1.HostsGroup + `.

The hosts disappear when the command stops (Ctrl-C or SIGTERM), as after a power failure:
their leases expire, and their Hosts and instances remain. "kubectl delete hosts -l
` + v1alpha1.SimulatedHostLabel + `=true" removes them.`,
		Example: `  gatehouse simulate-hosts
  gatehouse simulate-hosts --count 1000 --failure-rate 0.05 --start-delay 3s
  gatehouse simulate-hosts --kubeconfig ~/.kube/config --impersonate`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := command.Invalid(append(c.Complete(), hosts.Validate()...)); err != nil {
				return err
			}
			identity, list, server, err := hosts.Identity()
			if err != nil {
				return err
			}
			c.Servers = list
			simulated, err := simulation.New(c.Options, identity)
			if err != nil {
				return err
			}
			out := cmd.OutOrStdout()
			fmt.Fprintf(out, "%d simulated hosts for %s. Nothing really runs on them.\n", c.Count, server)
			simulated.OnRegistered(func() {
				if c.Count == 1 {
					fmt.Fprintf(out, "%s is registered.\n", c.HostName(1))
					return
				}
				fmt.Fprintf(out, "%s to %s are registered.\n", c.HostName(1), c.HostName(c.Count))
			})
			simulated.Run(cmd.Context())
			fmt.Fprintln(out, "Stopped. Hosts and instances are still there; their leases expire.")
			return nil
		},
	}
	c.AddFlags(cmd.Flags())
	hosts.AddFlags(cmd.Flags())
	return cmd
}
