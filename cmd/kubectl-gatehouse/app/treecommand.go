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
	"time"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
	fleetclient "github.com/gatehouse-dev/gatehouse/pkg/generated/clientset/versioned/typed/fleet/v1alpha1"
)

// fewHosts is the number of hosts up to which they are read one by one; more are cheaper to list.
const fewHosts = 10

// treeCommand holds the flags of tree.
type treeCommand struct {
	*plugin
	all    bool
	output outputFlag
}

func newTreeCommand(p *plugin) *cobra.Command {
	c := &treeCommand{plugin: p}
	cmd := &cobra.Command{
		Use:   "tree APP",
		Short: "Show an app's releases, their instances and the hosts that run them",
		Long: `Show an app with its releases, their instances and the hosts that these run on, and which of
them are ready. Without the permission to read hosts, their status is empty.`,
		Example: `  kubectl gatehouse tree app/web`,
		Args:    exactlyOne("app"),
		RunE:    func(cmd *cobra.Command, args []string) error { return c.run(cmd.Context(), joined(args)[0]) },
	}
	cmd.Flags().BoolVar(&c.all, "all", c.all, "Also show old releases without instances.")
	c.output.add(cmd)
	return cmd
}

func (c *treeCommand) run(ctx context.Context, arg string) error {
	name, err := nameIn(arg, appKinds)
	if err != nil {
		return err
	}
	if err := c.output.check(); err != nil {
		return err
	}
	client, namespace, err := c.connect()
	if err != nil {
		return err
	}
	app, err := client.Apps(namespace).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return explain(err, "app", name, namespace)
	}
	releases, err := releasesOf(ctx, client, app)
	if err != nil {
		return err
	}
	instances, err := client.Instances(namespace).List(ctx, metav1.ListOptions{LabelSelector: metav1.FormatLabelSelector(app.Spec.Selector)})
	if err != nil {
		return err
	}
	hosts, missing, err := hostsOf(ctx, client.Hosts(), instances.Items)
	if err != nil {
		return err
	}
	t := buildTree(app, releases, instances.Items, hosts, missing)
	if c.output.json() {
		return c.printJSON(t)
	}
	if missing == "" && len(hosts) == 0 && len(instances.Items) > 0 {
		fmt.Fprintln(c.Err, "You may not read hosts, so their status is not shown.")
	}
	return t.write(c.Out, c.all, time.Now())
}

// hostsOf reads the hosts to which the instances are bound. missing is the status of hosts that do not
// exist; empty if the user may not read hosts.
func hostsOf(ctx context.Context, client fleetclient.HostInterface, instances []v1alpha1.Instance) (hosts map[string]*v1alpha1.Host, missing string, err error) {
	hosts = map[string]*v1alpha1.Host{}
	wanted := map[string]bool{}
	for i := range instances {
		if name := instances[i].Spec.HostName; name != "" {
			wanted[name] = true
		}
	}
	missing = "Gone"
	if len(wanted) > fewHosts {
		list, err := client.List(ctx, metav1.ListOptions{})
		if apierrors.IsForbidden(err) {
			return hosts, "", nil
		}
		if err != nil {
			return nil, "", err
		}
		for i := range list.Items {
			hosts[list.Items[i].Name] = &list.Items[i]
		}
		return hosts, missing, nil
	}
	for name := range wanted {
		host, err := client.Get(ctx, name, metav1.GetOptions{})
		switch {
		case err == nil:
			hosts[name] = host
		case apierrors.IsForbidden(err):
			missing = ""
		case !apierrors.IsNotFound(err):
			return nil, "", err
		}
	}
	return hosts, missing, nil
}
