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
	"encoding/json"
	"errors"
	"fmt"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/strategicpatch"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
	fleetclient "github.com/gatehouse-dev/gatehouse/pkg/generated/clientset/versioned/typed/fleet/v1alpha1"
)

func newSetCommand(p *plugin) *cobra.Command {
	cmd := group(&cobra.Command{
		Use:   "set",
		Short: "Change the images, environment, resources or service account of apps",
		Long: `Change the template of apps: images, environment variables, resources, the service account. Each
change creates a new revision, which is rolled out unless the app is paused.`,
	})
	cmd.AddCommand(newSetImageCommand(p), newSetEnvCommand(p), newSetResourcesCommand(p), newSetServiceAccountCommand(p))
	return cmd
}

// selection selects the objects of a command: by names, by labels, or all.
type selection struct {
	what     string // apps or hosts
	names    []string
	selector string
	all      bool
}

func (s *selection) add(cmd *cobra.Command, scope string) {
	cmd.Flags().BoolVar(&s.all, "all", false, fmt.Sprintf("Select all %s%s.", s.what, scope))
	cmd.Flags().StringVarP(&s.selector, "selector", "l", "", fmt.Sprintf("Select %s by labels, as in -l tier=front,env!=test.", s.what))
}

func (s *selection) take(args, kinds []string) error {
	if s.all || s.selector != "" {
		flag := "--all"
		switch {
		case s.all && s.selector != "":
			return errors.New("--all and --selector exclude each other: use one of them")
		case s.selector != "":
			flag = "--selector"
			if _, err := labels.Parse(s.selector); err != nil {
				return fmt.Errorf("--selector=%s is no label selector: %w", s.selector, err)
			}
		}
		if len(args) == 1 && isKind(args[0], kinds) { // "apps --all"
			args = nil
		}
		if len(args) > 0 {
			return fmt.Errorf("%s and names exclude each other: leave out %q or %s", flag, args[0], flag)
		}
		return nil
	}
	if len(args) == 0 || len(args) == 1 && isKind(args[0], kinds) {
		return fmt.Errorf("no %s are named: write %s/NAME, or use --all or --selector", s.what, kinds[0])
	}
	var err error
	s.names, err = namesIn(args, kinds)
	return err
}

// apps returns the selected apps, and an error for each name that cannot be read.
func (s *selection) apps(ctx context.Context, client fleetclient.AppInterface, namespace string) ([]v1alpha1.App, []error) {
	if len(s.names) == 0 {
		list, err := client.List(ctx, metav1.ListOptions{LabelSelector: s.selector})
		if err != nil {
			return nil, []error{explain(err, "app", "", namespace)}
		}
		return list.Items, nil
	}
	var apps []v1alpha1.App
	var failed []error
	for _, name := range s.names {
		app, err := client.Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			failed = append(failed, explain(err, "app", name, namespace))
			continue
		}
		apps = append(apps, *app)
	}
	return apps, failed
}

// setCommand has the common state of the commands below set.
type setCommand struct {
	*plugin
	writeFlags
	selection
}

func newSet(p *plugin) setCommand {
	return setCommand{plugin: p, selection: selection{what: "apps"}}
}

// addFlags adds the common flags of the commands below set.
func (c *setCommand) addFlags(cmd *cobra.Command) {
	c.writeFlags.add(cmd)
	c.selection.add(cmd, " of the namespace")
	cmd.DisableFlagsInUseLine = true
}

// each calls change for every selected app and sends the difference. An app that fails is not changed
// and does not affect the others.
func (c *setCommand) each(ctx context.Context, what string, change func(*v1alpha1.App) error) error {
	client, namespace, err := c.connect()
	if err != nil {
		return err
	}
	apps, failed := c.apps(ctx, client.Apps(namespace), namespace)
	if len(apps)+len(failed) == 0 {
		fmt.Fprintf(c.Err, "No apps found in the namespace %s.\n", namespace)
	}
	for i := range apps {
		if err := c.one(ctx, client.Apps(namespace), &apps[i], what, change); err != nil {
			failed = append(failed, explain(err, "app", apps[i].Name, namespace))
		}
	}
	return errors.Join(failed...)
}

func (c *setCommand) one(ctx context.Context, client fleetclient.AppInterface, app *v1alpha1.App, what string, change func(*v1alpha1.App) error) error {
	changed := app.DeepCopy()
	if err := change(changed); err != nil {
		return err
	}
	difference, err := differenceOf(app, changed)
	if err != nil {
		return err
	}
	if difference == nil {
		return c.doneApp(&c.writeFlags, app, what+" unchanged")
	}
	if !c.onClient() {
		options := metav1.PatchOptions{FieldManager: fieldManager, DryRun: c.options()}
		if changed, err = client.Patch(ctx, app.Name, types.StrategicMergePatchType, difference, options); err != nil {
			return err
		}
	}
	return c.doneApp(&c.writeFlags, changed, what+" updated")
}

// differenceOf returns a strategic merge patch for the app that was read, and not for a later one of
// the same name; nil if nothing differs. Concurrent changes of other fields stay.
func differenceOf(before, after *v1alpha1.App) ([]byte, error) {
	old, err := json.Marshal(before)
	if err != nil {
		return nil, err
	}
	wanted, err := json.Marshal(after)
	if err != nil {
		return nil, err
	}
	patch, err := strategicpatch.CreateTwoWayMergePatch(old, wanted, &v1alpha1.App{})
	if err != nil {
		return nil, err
	}
	fields := map[string]any{}
	if err := json.Unmarshal(patch, &fields); err != nil || len(fields) == 0 {
		return nil, err
	}
	fields["metadata"] = map[string]any{"uid": before.UID} // set changes nothing else there
	return json.Marshal(fields)
}
