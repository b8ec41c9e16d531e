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
	"errors"
	"fmt"
	"path"
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
)

func newSetImageCommand(p *plugin) *cobra.Command {
	c := newSet(p)
	cmd := &cobra.Command{
		Use:   "image APP... CONTAINER=IMAGE... [flags]",
		Short: "Change the images of an app's containers",
		Long: `Change the images of an app's containers, as "kubectl set image" does for deployments. The
name "*" matches all containers of an app.`,
		Example: `  # Set the image of the container server
  kubectl gatehouse set image app/web server=registry.example.com/web:1.1

  # Set the images of two containers in one step, which makes one revision
  kubectl gatehouse set image app/web server=registry.example.com/web:1.1 proxy=registry.example.com/proxy:2

  # Set the image of all containers of all apps with a label
  kubectl gatehouse set image -l tier=front '*=registry.example.com/web:1.1'

  # Have the server check the change, and print the result
  kubectl gatehouse set image app/web server=registry.example.com/web:1.1 --dry-run=server -o yaml`,
	}
	c.addFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := c.writeFlags.check(); err != nil {
			return err
		}
		names, pairs, err := splitPairs(args, isAssignment, "CONTAINER=IMAGE")
		if err != nil {
			return err
		}
		if last := len(names) - 1; last > 0 && len(pairs) == 0 { // such as "app/web server"
			return fmt.Errorf("no image is given: %q is no CONTAINER=IMAGE", names[last])
		}
		images, err := parseImages(pairs)
		if err != nil {
			return err
		}
		if err := c.take(names, appKinds); err != nil {
			return err
		}
		return c.each(cmd.Context(), "image", func(app *v1alpha1.App) error { return setImages(app, images) })
	}
	return cmd
}

func isAssignment(arg string) bool { return strings.Contains(arg, "=") }

// assignment is a CONTAINER=IMAGE.
type assignment struct{ container, image string }

func parseImages(pairs []string) ([]assignment, error) {
	if len(pairs) == 0 {
		return nil, errors.New("no image is given: write CONTAINER=IMAGE, or '*=IMAGE' for all containers")
	}
	seen := map[string]bool{}
	var images []assignment
	for _, pair := range pairs {
		container, image, _ := strings.Cut(pair, "=")
		switch {
		case container == "" || strings.TrimSpace(image) == "":
			return nil, fmt.Errorf("%q is incomplete: write CONTAINER=IMAGE", pair)
		case seen[container]:
			return nil, fmt.Errorf("the container %q is given two images: give it one", container)
		}
		seen[container] = true
		images = append(images, assignment{container, image})
	}
	if seen["*"] && len(images) > 1 {
		return nil, errors.New("'*' names all containers already: leave out the others")
	}
	return images, nil
}

func setImages(app *v1alpha1.App, images []assignment) error {
	for _, one := range images {
		containers, err := containersOf(app, one.container)
		if err != nil {
			return err
		}
		for _, container := range containers {
			container.Image = one.image
		}
	}
	return nil
}

// containersOf returns the containers of the app with names that match the pattern, in which "*"
// stands for any letters.
func containersOf(app *v1alpha1.App, pattern string) ([]*v1alpha1.Container, error) {
	var found []*v1alpha1.Container
	var names []string
	containers := app.Spec.Template.Spec.Containers
	for i := range containers {
		names = append(names, containers[i].Name)
		if matched, err := path.Match(pattern, containers[i].Name); err != nil {
			return nil, fmt.Errorf("%q is no container name: %w", pattern, err)
		} else if matched {
			found = append(found, &containers[i])
		}
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("app %q has no container %q: its containers are %s", app.Name, pattern, strings.Join(names, ", "))
	}
	return found, nil
}

func newSetResourcesCommand(p *plugin) *cobra.Command {
	c := newSet(p)
	containers, requests, limits := "*", "", ""
	cmd := &cobra.Command{
		Use:   "resources APP... [--requests=LIST] [--limits=LIST] [flags]",
		Short: "Change the resource requests and limits of an app's containers",
		Long: `Change the resource requests of an app's containers, which the scheduler reserves on hosts, and
their limits. Resources that are not named keep their values.`,
		Example: `  # Set aside half a core and 256 MiB for each instance of an app
  kubectl gatehouse set resources app/web --requests=cpu=500m,memory=256Mi

  # Limit one container
  kubectl gatehouse set resources app/web -c proxy --limits=memory=64Mi`,
	}
	c.addFlags(cmd)
	fs := cmd.Flags()
	fs.StringVar(&requests, "requests", "", "Resources that the scheduler reserves, as cpu=100m,memory=256Mi.")
	fs.StringVar(&limits, "limits", "", "Maximum resources, as cpu=100m,memory=256Mi.")
	fs.StringVarP(&containers, "containers", "c", containers, "Names of the containers to change; '*' matches any characters.")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := c.writeFlags.check(); err != nil {
			return err
		}
		if requests == "" && limits == "" {
			return errors.New("no resources are given: use --requests or --limits, as in --requests=cpu=100m,memory=256Mi")
		}
		wanted, err := parseResources("--requests", requests)
		if err != nil {
			return err
		}
		most, err := parseResources("--limits", limits)
		if err != nil {
			return err
		}
		if err := c.take(args, appKinds); err != nil {
			return err
		}
		return c.each(cmd.Context(), "resources", func(app *v1alpha1.App) error {
			found, err := containersOf(app, containers)
			for _, container := range found {
				container.Resources.Requests = overlaid(container.Resources.Requests, wanted)
				container.Resources.Limits = overlaid(container.Resources.Limits, most)
			}
			return err
		})
	}
	return cmd
}

func newSetServiceAccountCommand(p *plugin) *cobra.Command {
	c := newSet(p)
	cmd := &cobra.Command{
		Use:     "serviceaccount APP... SERVICE_ACCOUNT [flags]",
		Aliases: []string{"sa"},
		Short:   "Change the service account of an app's instances",
		Example: `  # Let the instances of an app talk to the API as the service account builder
  kubectl gatehouse set serviceaccount app/web builder`,
	}
	c.addFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := c.writeFlags.check(); err != nil {
			return err
		}
		if len(args) == 0 || strings.Contains(args[len(args)-1], "/") {
			return errors.New("no service account is given: write its name after those of the apps")
		}
		account := args[len(args)-1]
		if err := c.take(args[:len(args)-1], appKinds); err != nil {
			return err
		}
		return c.each(cmd.Context(), "serviceaccount", func(app *v1alpha1.App) error {
			app.Spec.Template.Spec.ServiceAccountName = account
			return nil
		})
	}
	return cmd
}

func overlaid(list, changes v1alpha1.ResourceList) v1alpha1.ResourceList {
	for name, quantity := range changes {
		if list == nil {
			list = v1alpha1.ResourceList{}
		}
		list[name] = quantity
	}
	return list
}

// parseResources parses cpu=100m,memory=256Mi, the value of the flag.
func parseResources(flag, list string) (v1alpha1.ResourceList, error) {
	if list == "" {
		return nil, nil
	}
	resources := v1alpha1.ResourceList{}
	for item := range strings.SplitSeq(list, ",") {
		name, amount, ok := strings.Cut(item, "=")
		if !ok || name == "" {
			return nil, fmt.Errorf("%s=%s: %q is not of the form NAME=QUANTITY: write for example cpu=100m,memory=256Mi", flag, list, item)
		}
		quantity, err := resource.ParseQuantity(amount)
		switch {
		case err != nil:
			return nil, fmt.Errorf("%s=%s: %q is no quantity: write for example cpu=100m,memory=256Mi", flag, list, amount)
		case quantity.Sign() < 0:
			return nil, fmt.Errorf("%s=%s: %q is less than 0: use a quantity of 0 or more", flag, list, amount)
		}
		if _, ok := resources[v1alpha1.ResourceName(name)]; ok {
			return nil, fmt.Errorf("%s=%s: %s is given twice: give it once", flag, list, name)
		}
		resources[v1alpha1.ResourceName(name)] = quantity
	}
	return resources, nil
}
