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
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
	fleetclient "github.com/gatehouse-dev/gatehouse/pkg/generated/clientset/versioned/typed/fleet/v1alpha1"
)

// targetCommand has the common state of the commands for a container of an instance.
type targetCommand struct {
	*plugin
	container string
}

func (c *targetCommand) addFlags(cmd *cobra.Command) {
	cmd.Flags().StringVarP(&c.container, "container", "c", "", "Container of the instance; if empty, the first one.")
}

// target is a container of an instance, and the client for it.
type target struct {
	client    fleetclient.FleetV1alpha1Interface
	instance  *v1alpha1.Instance
	container string
}

// find returns the container that an argument and the flag name.
func (c *targetCommand) find(ctx context.Context, arg string) (*target, error) {
	client, namespace, err := c.connect()
	if err != nil {
		return nil, err
	}
	return c.findIn(ctx, client, namespace, arg)
}

func (c *targetCommand) findIn(ctx context.Context, client fleetclient.FleetV1alpha1Interface, namespace, arg string) (*target, error) {
	t, err := c.findInstance(ctx, client, namespace, arg)
	if err != nil {
		return nil, err
	}
	t.container, err = c.containerOf(t.instance)
	return t, err
}

// findInstance returns the instance that an argument names, or the most useful one of an app, without a container.
func (p *plugin) findInstance(ctx context.Context, client fleetclient.FleetV1alpha1Interface, namespace, arg string) (*target, error) {
	instances, isApp, err := instancesFor(ctx, client, namespace, arg)
	if err != nil {
		return nil, err
	}
	instance := &instances[0]
	if isApp {
		if instance.Status.Phase != v1alpha1.InstanceRunning {
			return nil, fmt.Errorf("no instance of %s runs; \"kubectl gatehouse tree %s\" shows them", arg, arg)
		}
		if len(instances) > 1 {
			fmt.Fprintf(p.Err, "Found %d instances of %s, using %s\n", len(instances), cell(arg), instance.Name)
		}
	}
	return &target{client: client, instance: instance}, nil
}

// containerOf returns the container of an instance that the flag names, or the first one.
func (c *targetCommand) containerOf(instance *v1alpha1.Instance) (string, error) {
	names := containerNames(instance)
	switch {
	case c.container == "" && len(names) > 1:
		fmt.Fprintf(c.Err, "Defaulted container %q out of: %s\n", names[0], strings.Join(names, ", "))
		return names[0], nil
	case c.container == "" && len(names) == 1:
		return names[0], nil
	case !slices.Contains(names, c.container):
		return "", fmt.Errorf("--container=%s: the instance %q has no such container: its containers are %s", c.container, instance.Name, strings.Join(names, ", "))
	}
	return c.container, nil
}

func containerNames(instance *v1alpha1.Instance) []string {
	var names []string
	for i := range instance.Spec.Containers {
		names = append(names, instance.Spec.Containers[i].Name)
	}
	return names
}

// instancesFor returns the instances that an argument names, one at least: NAME and instance/NAME name one,
// and app/NAME all of an app, those that serve first.
func instancesFor(ctx context.Context, client fleetclient.FleetV1alpha1Interface, namespace, arg string) (instances []v1alpha1.Instance, isApp bool, err error) {
	if kind, _, ok := strings.Cut(arg, "/"); ok && isKind(kind, appKinds) {
		instances, err = instancesOfApp(ctx, client, namespace, arg)
		return instances, true, err
	}
	name, err := nameIn(arg, instanceKinds)
	if err != nil {
		return nil, false, fmt.Errorf("%w, or %s/NAME", err, appKinds[0])
	}
	instance, err := client.Instances(namespace).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return nil, false, explain(err, "instance", name, namespace)
	}
	return []v1alpha1.Instance{*instance}, false, nil
}

func instancesOfApp(ctx context.Context, client fleetclient.FleetV1alpha1Interface, namespace, arg string) ([]v1alpha1.Instance, error) {
	name, err := nameIn(arg, appKinds)
	if err != nil {
		return nil, err
	}
	app, err := client.Apps(namespace).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return nil, explain(err, "app", name, namespace)
	}
	list, err := client.Instances(namespace).List(ctx, metav1.ListOptions{LabelSelector: metav1.FormatLabelSelector(app.Spec.Selector)})
	if err != nil {
		return nil, err
	}
	if len(list.Items) == 0 {
		return nil, fmt.Errorf("the app %q has no instances", name)
	}
	slices.SortStableFunc(list.Items, func(a, b v1alpha1.Instance) int {
		return cmp.Or(cmp.Compare(rank(&a), rank(&b)), cmp.Compare(a.Name, b.Name))
	})
	return list.Items, nil
}

// rank is lower for an instance that is more useful to look into.
func rank(instance *v1alpha1.Instance) int {
	rank := 0
	if instance.Status.Phase != v1alpha1.InstanceRunning {
		rank += 4
	}
	if instance.DeletionTimestamp != nil {
		rank += 2
	}
	if slices.ContainsFunc(instance.Status.ContainerStatuses, func(s v1alpha1.ContainerStatus) bool { return !s.Ready }) {
		rank++
	}
	return rank
}

// request begins a request for a subresource of the instance.
func (t *target) request(verb, subresource string) *rest.Request {
	return t.client.RESTClient().Verb(verb).Namespace(t.instance.Namespace).Resource(instancesResource).Name(t.instance.Name).SubResource(subresource)
}

const instancesResource = "instances"
