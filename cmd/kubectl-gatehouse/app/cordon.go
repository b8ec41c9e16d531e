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

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	fleetclient "github.com/gatehouse-dev/gatehouse/pkg/generated/clientset/versioned/typed/fleet/v1alpha1"
)

// newCordonCommand returns cordon or uncordon.
func newCordonCommand(p *plugin, cordon bool) *cobra.Command {
	use, short := "uncordon HOST...", "Let hosts take new instances again"
	example := `  # Let new instances on two hosts again
  kubectl gatehouse uncordon edge-1 edge-2`
	if cordon {
		use, short = "cordon HOST...", "Keep new instances off hosts; those already there stay"
		example = `  # Keep new instances off a host
  kubectl gatehouse cordon edge-1`
	}
	return &cobra.Command{
		Use:     use,
		Short:   short,
		Example: example,
		Args:    someHosts,
		RunE: func(cmd *cobra.Command, args []string) error {
			names, err := namesIn(args, hostKinds)
			if err != nil {
				return err
			}
			client, _, err := p.connect()
			if err != nil {
				return err
			}
			var failed []error
			for _, name := range names { // one that fails does not stop the others
				if err := p.cordon(cmd.Context(), client.Hosts(), name, cordon); err != nil {
					failed = append(failed, explain(err, "host", name, ""))
				}
			}
			return errors.Join(failed...)
		},
	}
}

func (p *plugin) cordon(ctx context.Context, client fleetclient.HostInterface, name string, cordon bool) error {
	done := "uncordoned"
	if cordon {
		done = "cordoned"
	}
	host, err := client.Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return err
	}
	if host.Spec.Unschedulable == cordon {
		fmt.Fprintf(p.Out, "%s/%s already %s\n", hostResource, name, done)
		return nil
	}
	change := fmt.Appendf(nil, `{"spec":{"unschedulable":%t}}`, cordon)
	if _, err := client.Patch(ctx, name, types.MergePatchType, change, metav1.PatchOptions{FieldManager: fieldManager}); err != nil {
		return err
	}
	fmt.Fprintf(p.Out, "%s/%s %s\n", hostResource, name, done)
	return nil
}
