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

package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := newCommand().ExecuteContext(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func newCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:           "bench",
		Short:         "Measure bin/gatehouse from outside and print markdown tables",
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	cmd.CompletionOptions.HiddenDefaultCmd = true
	e := &environment{}
	flags := cmd.PersistentFlags()
	flags.StringVar(&e.gatehouse, "gatehouse", os.Getenv("GATEHOUSE_BINARY"), "The server's binary; where empty, bin/gatehouse. Also $GATEHOUSE_BINARY.")
	flags.StringVar(&e.kubectl, "kubectl", os.Getenv("GATEHOUSE_KUBECTL"), "kubectl's binary; where empty, bin/kubectl. Also $GATEHOUSE_KUBECTL.")
	flags.StringVar(&e.tempDir, "dir", os.TempDir(), "Where temporary data directories are made. Its disk is what fsync waits for.")
	flags.BoolVar(&e.keep, "keep", false, "Keep the temporary data directories.")
	cmd.AddCommand(newStartCommand(e), newWriteCommand(e), newWatchCommand(e), newAuthzCommand(e), newAuthnCommand(e), newAdmissionCommand(e), newTracesCommand(e), newAggregatedCommand(e), newFleetCommand(e), newPeersCommand(e))
	return cmd
}
