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

// Package command has what the command lines of the subcommands share.
package command

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	utilerrors "k8s.io/apimachinery/pkg/util/errors"
)

// OnlySubcommands refuses unknown subcommands and suggests similar ones. cobra does so only for a
// root command without Args.
func OnlySubcommands(cmd *cobra.Command, args []string) error {
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

// Parent returns a command that only has subcommands.
func Parent(use, short string, subcommands ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{
		Use:   use,
		Short: short,
		Args:  OnlySubcommands,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(subcommands...)
	return cmd
}

// Invalid returns one error that joins the validation errors of a command's options, or nil.
func Invalid(errs []error) error { return utilerrors.NewAggregate(errs) }

// QuoteForShell quotes a path unless it is plain.
func QuoteForShell(path string) string {
	for _, r := range path {
		plain := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '/' || r == '.' || r == '-' || r == '_'
		if !plain {
			return strconv.Quote(path)
		}
	}
	return path
}

// ExactlyOneFile validates the arguments of a command that takes one file, that of a flag of the server.
func ExactlyOneFile(flag string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) != 1 {
			return fmt.Errorf("%s takes one file, that of --%s, and not %d; see %s --help", cmd.CommandPath(), flag, len(args), cmd.CommandPath())
		}
		return nil
	}
}
