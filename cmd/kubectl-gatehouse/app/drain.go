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
	"strings"
	"time"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
	fleetclient "github.com/gatehouse-dev/gatehouse/pkg/generated/clientset/versioned/typed/fleet/v1alpha1"
)

// drainPoll is the interval at which drain checks for remaining instances.
const drainPoll = time.Second

// drainCommand holds the flags of drain.
type drainCommand struct {
	*plugin
	force   bool
	grace   int64
	timeout time.Duration
}

func newDrainCommand(p *plugin) *cobra.Command {
	c := &drainCommand{plugin: p, grace: -1}
	cmd := &cobra.Command{
		Use:   "drain HOST...",
		Short: "Cordon hosts and delete their instances",
		Long: `Cordon hosts, delete the instances on them in all namespaces, and wait until the hosts have stopped
them. Releases create new instances, which the scheduler places on other hosts. An instance
without a release would be lost: drain deletes nothing on a host with such an instance
that has not terminated, unless --force is given.

Instances of a host whose agent does not respond are not deleted: see the taint ` + v1alpha1.TaintHostOutOfService + `.`,
		Example: `  # Empty a host, and let instances on it again afterwards
  kubectl gatehouse drain edge-1
  kubectl gatehouse uncordon edge-1

  # Give up after five minutes; the host stays cordoned
  kubectl gatehouse drain edge-1 --timeout=5m`,
		Args: someHosts,
		RunE: func(cmd *cobra.Command, args []string) error { return c.run(cmd.Context(), args) },
	}
	fs := cmd.Flags()
	fs.BoolVar(&c.force, "force", false, "Also delete instances without a release, which are not replaced.")
	fs.Int64Var(&c.grace, "grace-period", c.grace, "Seconds that instances have to terminate gracefully; -1 for the grace period of each instance.")
	fs.DurationVar(&c.timeout, "timeout", 0, "Maximum time to wait for the deletion of the instances of a host; 0 for no limit.")
	return cmd
}

func someHosts(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return fmt.Errorf("%s takes a host or more; see %s --help", cmd.CommandPath(), cmd.CommandPath())
	}
	return nil
}

func (c *drainCommand) run(ctx context.Context, args []string) error {
	if c.grace < -1 {
		return fmt.Errorf("--grace-period=%d is less than -1: use -1 for the grace period of each instance, or a number of seconds", c.grace)
	}
	if c.timeout < 0 {
		return fmt.Errorf("--timeout=%s is less than nothing: use 0s to wait for as long as it takes", c.timeout)
	}
	names, err := namesIn(args, hostKinds)
	if err != nil {
		return err
	}
	client, _, err := c.connect()
	if err != nil {
		return err
	}
	var failed []error
	for _, name := range names {
		if err := c.drain(ctx, client, name); err != nil {
			failed = append(failed, explain(err, "host", name, ""))
		}
		if ctx.Err() != nil {
			break
		}
	}
	return errors.Join(failed...)
}

func (c *drainCommand) drain(ctx context.Context, client fleetclient.FleetV1alpha1Interface, host string) error {
	if err := c.cordon(ctx, client.Hosts(), host, true); err != nil {
		return err
	}
	instances, err := instancesOn(ctx, client, host)
	if err != nil {
		return err
	}
	var alone []string
	for i := range instances {
		phase := instances[i].Status.Phase
		ended := phase == v1alpha1.InstanceSucceeded || phase == v1alpha1.InstanceFailed || instances[i].DeletionTimestamp != nil
		if metav1.GetControllerOf(&instances[i]) == nil && !ended {
			alone = append(alone, instances[i].Namespace+"/"+instances[i].Name)
		}
	}
	if len(alone) > 0 && !c.force {
		return fmt.Errorf("host %q is cordoned and not drained: no release replaces %s: delete these instances, or use --force", host, strings.Join(alone, ", "))
	}
	for i := range instances {
		if err := c.delete(ctx, client, &instances[i]); err != nil {
			return fmt.Errorf("host %q is cordoned and not drained: %w", host, err)
		}
	}
	if err := c.await(ctx, client, host, instances); err != nil {
		return err
	}
	fmt.Fprintf(c.Out, "%s/%s drained\n", hostResource, host)
	return nil
}

func instancesOn(ctx context.Context, client fleetclient.FleetV1alpha1Interface, host string) ([]v1alpha1.Instance, error) {
	list, err := client.Instances(metav1.NamespaceAll).List(ctx, metav1.ListOptions{FieldSelector: fields.OneTermEqualSelector(v1alpha1.InstanceHostNameField, host).String()})
	if err != nil {
		return nil, err
	}
	return list.Items, nil
}

// delete deletes the instance that was read, and not a later one of the same name.
func (c *drainCommand) delete(ctx context.Context, client fleetclient.FleetV1alpha1Interface, instance *v1alpha1.Instance) error {
	options := metav1.DeleteOptions{Preconditions: metav1.NewUIDPreconditions(string(instance.UID))}
	if c.grace >= 0 {
		options.GracePeriodSeconds = &c.grace
	}
	err := client.Instances(instance.Namespace).Delete(ctx, instance.Name, options)
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) { // it is gone already
		return nil
	}
	if err == nil {
		fmt.Fprintf(c.Out, "%s/%s deleted from the namespace %s\n", instanceResource, instance.Name, instance.Namespace)
	}
	return err
}

// await returns when none of the instances is left on the host.
func (c *drainCommand) await(ctx context.Context, client fleetclient.FleetV1alpha1Interface, host string, deleted []v1alpha1.Instance) error {
	ours := map[string]bool{}
	for i := range deleted {
		ours[string(deleted[i].UID)] = true
	}
	waiting := ctx
	if c.timeout > 0 {
		var cancel context.CancelFunc
		waiting, cancel = context.WithTimeout(ctx, c.timeout)
		defer cancel()
	}
	var left []string
	err := wait.PollUntilContextCancel(waiting, drainPoll, true, func(ctx context.Context) (bool, error) {
		instances, err := instancesOn(ctx, client, host)
		if err != nil {
			return false, err
		}
		left = nil
		for i := range instances {
			if ours[string(instances[i].UID)] {
				left = append(left, instances[i].Namespace+"/"+instances[i].Name)
			}
		}
		return len(left) == 0, nil
	})
	if (waiting.Err() != nil || wait.Interrupted(err)) && len(left) > 0 {
		why := fmt.Sprintf("after %s (--timeout)", c.timeout)
		if ctx.Err() != nil {
			why = "when drain was interrupted"
		}
		return fmt.Errorf("host %q is cordoned and still had %s %s: the deletions continue", host, strings.Join(left, ", "), why)
	}
	return err
}
