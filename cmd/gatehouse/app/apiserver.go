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
	"io"
	"os"

	"github.com/spf13/cobra"
	"k8s.io/klog/v2"

	"github.com/gatehouse-dev/gatehouse/cmd/gatehouse/command"
	"github.com/gatehouse-dev/gatehouse/pkg/logging"
	"github.com/gatehouse-dev/gatehouse/pkg/server/options"
)

func newAPIServerCommand() *cobra.Command {
	o := options.NewOptions()
	cmd := &cobra.Command{
		Use:   "apiserver --mode=standalone|aggregated",
		Short: "Run the API server with all its flags",
		Long: `Run the API server in one of its two modes, with all its flags.

"gatehouse up" runs the standalone mode with few flags and prints the progress of the start.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			completed, err := prepare(o, os.Stderr)
			if err != nil {
				return err
			}
			return logging.End(o.Logs, Run(cmd.Context(), completed, Observer{
				Ready: func(r Ready) {
					klog.InfoS("Gatehouse is ready", "url", r.URL, "kubeconfig", r.Kubeconfig, "took", r.Took)
				},
			}))
		},
	}
	addFlags(cmd, o.Flags())
	return cmd
}

// prepare completes and validates options and configures logging.
func prepare(o *options.Options, logTo io.Writer) (options.CompletedOptions, error) {
	// --feature-gates and --emulated-version come first because other flags depend on them.
	if err := o.ServerRun.ComponentGlobalsRegistry.Set(); err != nil {
		return options.CompletedOptions{}, err
	}
	completed, err := o.Complete()
	if err != nil {
		return options.CompletedOptions{}, err
	}
	if err := command.Invalid(completed.Validate()); err != nil {
		return options.CompletedOptions{}, err
	}
	featureGate := o.ServerRun.ComponentGlobalsRegistry.FeatureGateFor(o.ServerRun.ComponentName)
	return completed, logging.Apply(o.Logs, logTo, featureGate)
}
