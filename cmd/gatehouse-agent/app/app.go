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

// Package app has the commands of gatehouse-agent. It joins the packages below pkg/agent: run.go is
// the only place that does.
package app

import (
	"context"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/gatehouse-dev/gatehouse/cmd/gatehouse/command"
	"github.com/gatehouse-dev/gatehouse/pkg/logging"
	"github.com/gatehouse-dev/gatehouse/pkg/version"
)

// Execute runs the command line and returns the exit code: 0, or 1 after an error on standard error.
func Execute(ctx context.Context, args []string) int {
	cmd := NewCommand()
	cmd.SetArgs(args)
	if err := cmd.ExecuteContext(ctx); err != nil {
		logging.PrintErrors(os.Stderr, "gatehouse-agent", err)
		return 1
	}
	return 0
}

// NewCommand returns the command gatehouse-agent.
func NewCommand() *cobra.Command {
	cmd := command.Parent("gatehouse-agent", "The agent of a host of Gatehouse", newJoinCommand(), newRunCommand(), newVersionCommand())
	cmd.Long = `The agent of a host of Gatehouse: it runs the instances that are bound to the host in a container
runtime (containerd or CRI-O) and reports their status.`
	cmd.SilenceUsage, cmd.SilenceErrors = true, true
	cmd.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return fmt.Errorf("%w; see %s --help", err, cmd.CommandPath())
	})
	return cmd
}

func newVersionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprintln(cmd.OutOrStdout(), version.Product())
			return err
		},
	}
}
