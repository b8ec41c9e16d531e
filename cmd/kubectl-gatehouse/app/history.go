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
	"io"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1/helper"
	fleetclient "github.com/gatehouse-dev/gatehouse/pkg/generated/clientset/versioned/typed/fleet/v1alpha1"
)

// changeCauseAnnotation is the annotation in which users note the reason of a change, as for
// Deployments.
const changeCauseAnnotation = "kubernetes.io/change-cause"

// revision is one version of an app. It is what -o json prints.
type revision struct {
	Revision int64 `json:"revision"`
	// Current marks the newest revision of the app.
	Current     bool     `json:"current"`
	Release     string   `json:"release"`
	Images      []string `json:"images"`
	ChangeCause string   `json:"changeCause,omitempty"`
	// Template is set only for a single revision.
	Template *v1alpha1.InstanceTemplateSpec `json:"template,omitempty"`
}

type historyCommand struct {
	*plugin
	revision int64
	output   outputFlag
}

func newHistoryCommand(p *plugin) *cobra.Command {
	c := &historyCommand{plugin: p}
	cmd := &cobra.Command{
		Use:   "history APP",
		Short: "List the revisions of an app, or show one",
		Long: `List the retained revisions of an app with their images and their change causes (annotation
` + changeCauseAnnotation + `). An asterisk marks the current revision. With --revision, show the
template of one revision.`,
		Example: `  kubectl gatehouse rollout history app/web
  kubectl gatehouse rollout history web --revision 3`,
		Args: exactlyOne("app"),
		RunE: func(cmd *cobra.Command, args []string) error { return c.run(cmd.Context(), joined(args)[0]) },
	}
	cmd.Flags().Int64Var(&c.revision, "revision", c.revision, "Show the template of this revision.")
	c.output.add(cmd)
	return cmd
}

func (c *historyCommand) run(ctx context.Context, arg string) error {
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
	history := historyOf(app, releases)
	if c.revision != 0 {
		return c.showOne(name, history)
	}
	for i := range history {
		history[i].Template = nil
	}
	if c.output.json() {
		return c.printJSON(history)
	}
	if len(history) == 0 {
		fmt.Fprintf(c.Err, "App %q has no revisions yet: its controller makes them.\n", name)
		return nil
	}
	return writeHistory(c.Out, history)
}

func (c *historyCommand) showOne(name string, history []revision) error {
	i := slices.IndexFunc(history, func(r revision) bool { return r.Revision == c.revision })
	if i < 0 {
		return fmt.Errorf("app %q has no revision %d: %s", name, c.revision, thoseThatExist(history))
	}
	if c.output.json() {
		return c.printJSON(history[i])
	}
	template, err := yaml.Marshal(history[i].Template)
	if err != nil {
		return err
	}
	fmt.Fprintf(c.Out, "%s/%s with revision #%d, release %s\n%s", appResource, name, c.revision, cell(history[i].Release), block(string(template)))
	return nil
}

func thoseThatExist(history []revision) string {
	if len(history) == 0 {
		return "it has no revisions yet"
	}
	var numbers []string
	for _, r := range history {
		numbers = append(numbers, strconv.FormatInt(r.Revision, 10))
	}
	return "its revisions are " + strings.Join(numbers, ", ")
}

// releasesOf lists the releases that the selector of the app matches and that the app controls.
func releasesOf(ctx context.Context, client fleetclient.FleetV1alpha1Interface, app *v1alpha1.App) ([]v1alpha1.Release, error) {
	list, err := client.Releases(app.Namespace).List(ctx, metav1.ListOptions{LabelSelector: metav1.FormatLabelSelector(app.Spec.Selector)})
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(list.Items, func(r v1alpha1.Release) bool { return !metav1.IsControlledBy(&r, app) }), nil
}

// historyOf returns the revisions of an app, the newest last, with the templates as the app had them.
func historyOf(app *v1alpha1.App, releases []v1alpha1.Release) []revision {
	current := helper.ValidRevision(app)
	all := make([]*v1alpha1.Release, len(releases))
	for i := range releases {
		all[i] = &releases[i]
	}
	history := []revision{}
	for _, release := range helper.RevisionsOf(app, all) {
		number := helper.ValidRevision(release)
		template := release.Spec.Template.DeepCopy()
		helper.RemoveTemplateHash(template)
		r := revision{
			Revision: number, Current: number == current, Release: release.Name, Images: []string{},
			ChangeCause: release.Annotations[changeCauseAnnotation], Template: template,
		}
		for _, container := range template.Spec.Containers {
			r.Images = append(r.Images, container.Image)
		}
		history = append(history, r)
	}
	return history
}

func writeHistory(out io.Writer, history []revision) error {
	table := tabwriter.NewWriter(out, 0, 8, 3, ' ', 0)
	fmt.Fprintln(table, "REVISION\tRELEASE\tIMAGES\tCHANGE-CAUSE")
	for _, r := range history {
		number := strconv.FormatInt(r.Revision, 10)
		if r.Current {
			number += "*"
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", number, cell(r.Release), cell(strings.Join(r.Images, ",")), cmp.Or(cell(oneLine(r.ChangeCause)), "<none>"))
	}
	return table.Flush()
}

// oneLine joins the lines of a text, which would break a table.
func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }
