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
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"
	cliflag "k8s.io/component-base/cli/flag"
	"k8s.io/component-base/cli/globalflag"
	"k8s.io/component-base/logs"
	"k8s.io/component-base/term"

	"github.com/gatehouse-dev/gatehouse/cmd/gatehouse/auth"
	"github.com/gatehouse-dev/gatehouse/cmd/gatehouse/backup"
	"github.com/gatehouse-dev/gatehouse/cmd/gatehouse/command"
	"github.com/gatehouse-dev/gatehouse/cmd/gatehouse/doctor"
	"github.com/gatehouse-dev/gatehouse/cmd/gatehouse/encryption"
	"github.com/gatehouse-dev/gatehouse/cmd/gatehouse/login"
	"github.com/gatehouse-dev/gatehouse/cmd/gatehouse/member"
	"github.com/gatehouse-dev/gatehouse/cmd/gatehouse/storage"
	"github.com/gatehouse-dev/gatehouse/pkg/logging"
)

// Execute runs the command line and returns the exit code: 0, or 1 after an error on standard
// error. "gatehouse doctor" has exit codes of its own.
func Execute(ctx context.Context, args []string) int {
	cmd := NewCommand()
	cmd.SetArgs(args)
	if err := cmd.ExecuteContext(ctx); err != nil {
		code := 1
		if exit, is := errors.AsType[*doctor.Exit](err); is {
			if code, err = exit.Code, exit.Err; err == nil {
				return code // the report has been printed
			}
		}
		logging.PrintErrors(os.Stderr, "gatehouse", err)
		return code
	}
	return 0
}

// NewCommand returns the command gatehouse.
func NewCommand() *cobra.Command {
	cmd := command.Parent("gatehouse", "A kubectl-compatible API server for the machines outside a cluster",
		newUpCommand(), newAPIServerCommand(), newControllersCommand(), login.NewKubeconfigCommand(), newUserCommand(), newHostCommand(), newSimulateHostsCommand(), newCertificatesCommand(), auth.NewCommand(), encryption.NewCommand(), member.NewCommand(), backup.NewCommand(), backup.NewRestoreCommand(), storage.NewCommand(), doctor.NewCommand(), newVersionCommand())
	cmd.Long = `Gatehouse is a Kubernetes-style API server for the machines outside your cluster.

Start one with "gatehouse up": it keeps its data in an etcd inside the same process and
writes a kubeconfig, and kubectl works.`
	cmd.SilenceUsage, cmd.SilenceErrors = true, true
	cmd.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return fmt.Errorf("%w; see %s --help", err, cmd.CommandPath())
	})
	return cmd
}

// addFlags adds flags to the command in named sections, also in --help.
func addFlags(cmd *cobra.Command, sets cliflag.NamedFlagSets) {
	// The section "logs" has --v and --vmodule already.
	globalflag.AddGlobalFlags(sets.FlagSet("global"), cmd.Name(), logs.SkipLoggingConfigurationFlags())
	for _, name := range sets.Order {
		cmd.Flags().AddFlagSet(sets.FlagSets[name])
	}
	cmd.Flags().SetNormalizeFunc(cliflag.WordSepNormalizeFunc)
	columns, _, _ := term.TerminalSize(cmd.OutOrStdout())
	cliflag.SetUsageAndHelpFunc(cmd, sets, columns)
}
