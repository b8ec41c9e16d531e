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
	utilerrors "k8s.io/apimachinery/pkg/util/errors"
	logsapi "k8s.io/component-base/logs/api/v1"
	"k8s.io/klog/v2"

	"github.com/gatehouse-dev/gatehouse/cmd/gatehouse/app/options"
)

func newAPIServerCommand() *cobra.Command {
	o := options.NewOptions()
	cmd := &cobra.Command{
		Use:   "apiserver --mode=standalone|aggregated",
		Short: "Run the API server with all its flags",
		Long: `Run the API server in one of its two modes, with every flag that it has.

"gatehouse up" runs the standalone mode with few flags and more words.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			completed, err := prepare(o, os.Stderr)
			if err != nil {
				return err
			}
			return Run(cmd.Context(), completed, Observer{
				Ready: func(r Ready) {
					klog.InfoS("Gatehouse is ready", "url", r.URL, "kubeconfig", r.Kubeconfig, "took", r.Took)
				},
			})
		},
	}
	addFlags(cmd, o.Flags())
	return cmd
}

// prepare completes and checks options and switches logging on.
func prepare(o *options.Options, logTo io.Writer) (options.CompletedOptions, error) {
	// Flags first: --feature-gates and --emulated-version decide what the rest means.
	if err := o.ServerRun.ComponentGlobalsRegistry.Set(); err != nil {
		return options.CompletedOptions{}, err
	}
	completed, err := o.Complete()
	if err != nil {
		return options.CompletedOptions{}, err
	}
	if errs := completed.Validate(); len(errs) > 0 {
		return options.CompletedOptions{}, utilerrors.NewAggregate(errs)
	}
	featureGate := o.ServerRun.ComponentGlobalsRegistry.FeatureGateFor(o.ServerRun.ComponentName)
	streams := &logsapi.LoggingOptions{ErrorStream: shortLines{logTo}, InfoStream: shortLines{os.Stdout}}
	if err := logsapi.ValidateAndApplyWithOptions(o.Logs, streams, featureGate); err != nil {
		return options.CompletedOptions{}, err
	}
	return completed, nil
}
