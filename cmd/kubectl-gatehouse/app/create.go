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

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
)

func newCreateCommand(p *plugin) *cobra.Command {
	cmd := group(&cobra.Command{Use: "create", Short: "Create apps"})
	cmd.AddCommand(newCreateAppCommand(p))
	return cmd
}

// createAppCommand holds the flags of create app.
type createAppCommand struct {
	*plugin
	writeFlags
	images, env      []string
	port, replicas   int32
	requests, limits string
}

func newCreateAppCommand(p *plugin) *cobra.Command {
	c := &createAppCommand{plugin: p}
	cmd := &cobra.Command{
		Use:     "app NAME --image=IMAGE [flags] [-- COMMAND [ARG...]]",
		Aliases: []string{"apps"},
		Short:   "Create an app with the specified name",
		Long: `Create an app with the specified name, as "kubectl create deployment" creates a deployment. The
app selects its instances by the label app=NAME. Each --image adds a container, which is named
after the image; COMMAND replaces the entry point of the image.`,
		Example: `  # Create an app named web that runs one instance of an image
  kubectl gatehouse create app web --image=registry.example.com/web:1.0

  # Create an app with 3 replicas that sets aside half a core and 128 MiB for each
  kubectl gatehouse create app web --image=registry.example.com/web:1.0 --replicas=3 --requests=cpu=500m,memory=128Mi

  # Create an app with a port, an environment variable and a command
  kubectl gatehouse create app web --image=registry.example.com/web:1.0 --port=8080 --env=MODE=prod -- /bin/web --verbose

  # Create an app with two containers, named web and proxy
  kubectl gatehouse create app web --image=registry.example.com/web:1.0 --image=registry.example.com/proxy:2

  # Write the manifest into a file and send nothing
  kubectl gatehouse create app web --image=registry.example.com/web:1.0 --dry-run=client -o yaml > web.yaml`,
		DisableFlagsInUseLine: true,
		Args:                  createAppArgs,
		ValidArgsFunction:     cobra.NoFileCompletions,
		RunE:                  func(cmd *cobra.Command, args []string) error { return c.run(cmd.Context(), args[0], args[1:]) },
	}
	fs := cmd.Flags()
	fs.StringArrayVar(&c.images, "image", nil, "Container image to run. May be repeated for an app with several containers. Required.")
	fs.Int32VarP(&c.replicas, "replicas", "r", 1, "Number of instances to run; 0 to create the app stopped.")
	fs.Int32Var(&c.port, "port", -1, "Port on which the first container listens, from 1 to 65535.")
	fs.StringArrayVar(&c.env, "env", nil, "Environment variable of each container, as KEY=VALUE. May be repeated.")
	fs.StringVar(&c.requests, "requests", "", "Resources that the scheduler reserves for each container, as cpu=100m,memory=256Mi.")
	fs.StringVar(&c.limits, "limits", "", "Maximum resources of each container, as cpu=100m,memory=256Mi.")
	c.writeFlags.add(cmd)
	return cmd
}

func createAppArgs(cmd *cobra.Command, args []string) error {
	names := len(args)
	if dash := cmd.ArgsLenAtDash(); dash >= 0 {
		names = dash
	}
	switch {
	case names == 0:
		return fmt.Errorf("%s takes a NAME; see %s --help", cmd.CommandPath(), cmd.CommandPath())
	case names > 1:
		return fmt.Errorf("%s takes one NAME, not %d (%s): the command of the container comes after \"--\"", cmd.CommandPath(), names, strings.Join(args[:names], " "))
	}
	return nil
}

func (c *createAppCommand) run(ctx context.Context, name string, command []string) error {
	app, err := c.build(name, command)
	if err != nil {
		return err
	}
	if c.onClient() { // no server is needed
		loader, err := c.loader()
		if err != nil {
			return err
		}
		namespace, given, err := loader.Namespace()
		if err != nil && !clientcmd.IsEmptyConfig(err) {
			return err
		}
		if given {
			app.Namespace = namespace
		}
		return c.doneApp(&c.writeFlags, app, "created")
	}
	client, namespace, err := c.connect()
	if err != nil {
		return err
	}
	created, err := client.Apps(namespace).Create(ctx, app, metav1.CreateOptions{FieldManager: fieldManager, DryRun: c.options()})
	switch {
	case apierrors.IsAlreadyExists(err):
		return fmt.Errorf("app %q already exists in the namespace %s: use another name, or change it with \"kubectl gatehouse set\"", name, namespace)
	case apierrors.IsNotFound(err):
		return verbatim(err) // of the namespace
	case err != nil:
		return fmt.Errorf("failed to create app: %w", err)
	}
	return c.doneApp(&c.writeFlags, created, "created")
}

// build returns the app that the flags describe, or an error with the invalid flag.
func (c *createAppCommand) build(name string, command []string) (*v1alpha1.App, error) {
	for _, problems := range [][]string{validation.IsDNS1123Subdomain(name), validation.IsValidLabelValue(name)} { // it is the value of the label app, too
		if len(problems) > 0 {
			return nil, fmt.Errorf("NAME %q is invalid: %s", name, problems[0])
		}
	}
	container, err := c.template()
	if err != nil {
		return nil, err
	}
	container.Command = command
	labels := map[string]string{"app": name}
	app := &v1alpha1.App{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels},
		Spec: v1alpha1.AppSpec{
			Replicas: &c.replicas,
			Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: v1alpha1.InstanceTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}},
		},
	}
	spec := &app.Spec.Template.Spec
	for _, image := range c.images {
		one := *container.DeepCopy()
		one.Name, one.Image = containerName(image, spec.Containers), image
		spec.Containers = append(spec.Containers, one)
	}
	if c.port >= 0 {
		spec.Containers[0].Ports = []v1alpha1.ContainerPort{{ContainerPort: c.port}}
	}
	if len(c.images) > 1 && len(command) > 0 {
		return nil, errors.New("a command after \"--\" is for one --image: leave it out, or write a manifest with --dry-run=client -o yaml and edit it")
	}
	return app, nil
}

// template has the common settings of all containers.
func (c *createAppCommand) template() (container v1alpha1.Container, err error) {
	if err := c.writeFlags.check(); err != nil {
		return container, err
	}
	if len(c.images) == 0 {
		return container, errors.New("--image is required: name the container image to run, as in --image=registry.example.com/web:1.0")
	}
	c.images = strings.Split(strings.Join(c.images, ","), ",") // as kubectl takes them
	for _, image := range c.images {
		if strings.TrimSpace(image) == "" {
			return container, errors.New("--image is empty: name the container image to run, as in --image=registry.example.com/web:1.0")
		}
	}
	if c.replicas < 0 {
		return container, fmt.Errorf("--replicas=%d is less than 0: use 0 for an app that is stopped, or a greater number", c.replicas)
	}
	if c.port != -1 && len(validation.IsValidPortNum(int(c.port))) > 0 {
		return container, fmt.Errorf("--port=%d is no port: use a number from 1 to 65535", c.port)
	}
	env, removed, err := parseEnv(c.env)
	if err != nil {
		return container, fmt.Errorf("--env: %w", err)
	}
	if len(removed) > 0 {
		return container, fmt.Errorf("--env=%s- removes a variable, and a new app has none: write KEY=VALUE", removed[0])
	}
	container.Env = env
	if container.Resources.Requests, err = parseResources("--requests", c.requests); err != nil {
		return container, err
	}
	container.Resources.Limits, err = parseResources("--limits", c.limits)
	return container, err
}

// containerName returns the last part of the image's name, without tag and digest, as a DNS label
// that no other container has.
func containerName(image string, others []v1alpha1.Container) string {
	name, _, _ := strings.Cut(image[strings.LastIndex(image, "/")+1:], "@")
	name, _, _ = strings.Cut(name, ":")
	name = strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9':
			return r
		case r >= 'A' && r <= 'Z':
			return r - 'A' + 'a'
		}
		return '-'
	}, name)
	const room = validation.DNS1123LabelMaxLength - len("-16") // an instance has at most 16 containers
	name = strings.Trim(name[:min(len(name), room)], "-")
	if name == "" {
		name = "app"
	}
	unique := name
	for number := 2; hasContainer(others, unique); number++ {
		unique = fmt.Sprintf("%s-%d", name, number)
	}
	return unique
}

func hasContainer(containers []v1alpha1.Container, name string) bool {
	for i := range containers {
		if containers[i].Name == name {
			return true
		}
	}
	return false
}
