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
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"
	utilerrors "k8s.io/apimachinery/pkg/util/errors"
	cliflag "k8s.io/component-base/cli/flag"
	"k8s.io/component-base/cli/globalflag"
	"k8s.io/component-base/logs"
	"k8s.io/component-base/term"
)

// Execute runs the command line and returns the exit code: 0, or 1 after saying why on
// standard error.
func Execute(ctx context.Context, args []string) int {
	cmd := newCommand()
	cmd.SetArgs(args)
	if err := cmd.ExecuteContext(ctx); err != nil {
		printErrors(err)
		return 1
	}
	return 0
}

// printErrors writes one line for each thing that is wrong.
func printErrors(err error) {
	errs := []error{err}
	if aggregate, ok := err.(utilerrors.Aggregate); ok {
		errs = utilerrors.Flatten(aggregate).Errors()
	}
	for _, e := range errs {
		fmt.Fprintln(os.Stderr, "gatehouse: "+e.Error())
	}
}

func newCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "gatehouse",
		Short: "A kubectl-compatible API server for the machines outside a cluster",
		Long: `Gatehouse is a Kubernetes-style API server for the machines outside your cluster.

Start one with "gatehouse up": it keeps its data in an etcd inside the same process and
writes a kubeconfig, and kubectl works.`,
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          onlySubcommands,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return fmt.Errorf("%w; see %s --help", err, cmd.CommandPath())
	})
	cmd.AddCommand(newUpCommand(), newAPIServerCommand(), newControllersCommand(), newKubeconfigCommand(), newUserCommand(), newHostCommand(), newSimulateHostsCommand(), newCertificatesCommand(), newVersionCommand())
	return cmd
}

// onlySubcommands refuses what is no subcommand, and suggests those that it could be. cobra
// does so by itself only for a root command without Args.
func onlySubcommands(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	cmd.SuggestionsMinimumDistance = 2
	err := fmt.Errorf("unknown command %q for %q", args[0], cmd.CommandPath())
	if similar := cmd.SuggestionsFor(args[0]); len(similar) > 0 {
		return fmt.Errorf("%w: did you mean %s?", err, strings.Join(similar, " or "))
	}
	return fmt.Errorf("%w; see %s --help", err, cmd.CommandPath())
}

// addFlags gives the command flags in named sections, in --help as well.
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
