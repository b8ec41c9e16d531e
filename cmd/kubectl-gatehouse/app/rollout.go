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
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
	fleetclient "github.com/gatehouse-dev/gatehouse/pkg/generated/clientset/versioned/typed/fleet/v1alpha1"
)

func newRolloutCommand(p *plugin) *cobra.Command {
	cmd := group(&cobra.Command{Use: "rollout", Short: "Watch and manage the rollouts of apps"})
	cmd.AddCommand(newStatusCommand(p), newHistoryCommand(p), newUndoCommand(p), newPauseCommand(p, true), newPauseCommand(p, false), newRestartCommand(p))
	return cmd
}

// onApp returns a command that acts on one app.
func (p *plugin) onApp(cmd *cobra.Command, do func(ctx context.Context, client fleetclient.AppInterface, app *v1alpha1.App) error) *cobra.Command {
	cmd.Args = exactlyOne("app")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		name, err := nameIn(joined(args)[0], appKinds)
		if err != nil {
			return err
		}
		client, namespace, err := p.connect()
		if err != nil {
			return err
		}
		app, err := client.Apps(namespace).Get(cmd.Context(), name, metav1.GetOptions{})
		if err == nil {
			err = do(cmd.Context(), client.Apps(namespace), app)
		}
		return explain(err, "app", name, namespace)
	}
	return cmd
}

func (p *plugin) printApp(app *v1alpha1.App, what string) {
	fmt.Fprintf(p.Out, "%s/%s %s\n", appResource, cell(app.Name), what)
}

func newUndoCommand(p *plugin) *cobra.Command {
	var revision int64
	dryRun := dryRunFlag("none")
	cmd := p.onApp(&cobra.Command{
		Use:   "undo APP",
		Short: "Roll an app back to an earlier revision",
		Long: `Roll an app back to the template of an earlier revision: the one before the newest, or
--to-revision. The server performs the rollback with all checks of a change of the app.`,
		Example: `  kubectl gatehouse rollout undo web
  kubectl gatehouse rollout undo web --to-revision 3 --dry-run=server`,
	}, func(ctx context.Context, client fleetclient.AppInterface, app *v1alpha1.App) error {
		options := metav1.CreateOptions{FieldManager: fieldManager}
		var err error
		if options.DryRun, err = dryRun.value(); err != nil {
			return err
		}
		if revision < 0 {
			return fmt.Errorf("--to-revision=%d is no revision: use a number that \"kubectl gatehouse rollout history %s\" lists, or 0 for the one before the newest", revision, app.Name)
		}
		if app.Spec.Paused {
			return fmt.Errorf("app %q is paused, and would not be rolled out: resume it first with \"kubectl gatehouse rollout resume %s\"", app.Name, app.Name)
		}
		if _, err := client.Rollback(ctx, app.Name, &v1alpha1.AppRollback{ObjectMeta: metav1.ObjectMeta{Name: app.Name}, ToRevision: revision}, options); err != nil {
			return verbatim(err)
		}
		if len(options.DryRun) > 0 {
			p.printApp(app, "rolled back (server dry run)")
			return nil
		}
		now, err := client.Get(ctx, app.Name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		if now.Generation == app.Generation {
			p.printApp(app, "unchanged: its template is that of the revision already")
			return nil
		}
		p.printApp(app, "rolled back")
		return nil
	})
	cmd.Flags().Int64Var(&revision, "to-revision", revision, "Revision to roll back to. 0 for the one before the newest.")
	dryRun.add(cmd)
	return cmd
}

// dryRunFlag is --dry-run: none, or server; alone it means server.
type dryRunFlag string

func (d *dryRunFlag) add(cmd *cobra.Command) {
	cmd.Flags().StringVar((*string)(d), "dry-run", string(*d), "Must be none or server. With server, the server checks the request and stores nothing.")
	cmd.Flags().Lookup("dry-run").NoOptDefVal = "server"
	completeWords(cmd, "dry-run", "none", "server")
}

func (d *dryRunFlag) value() ([]string, error) {
	switch *d {
	case "none":
		return nil, nil
	case "server":
		return []string{metav1.DryRunAll}, nil
	}
	return nil, fmt.Errorf("--dry-run=%s is unknown: use none or server; only the server can check the request", *d)
}

func newPauseCommand(p *plugin, pause bool) *cobra.Command {
	use, short, done := "resume APP", "Let a paused app be rolled out again", "resumed"
	if pause {
		use, short, done = "pause APP", "Keep changes of an app from being rolled out", "paused"
	}
	verb, _, _ := strings.Cut(use, " ")
	example := fmt.Sprintf("  # %s\n  kubectl gatehouse rollout %s app/web", short, verb)
	return p.onApp(&cobra.Command{Use: use, Short: short, Example: example}, func(ctx context.Context, client fleetclient.AppInterface, app *v1alpha1.App) error {
		switch {
		case pause && app.Spec.Paused:
			return fmt.Errorf("app %q is paused already", app.Name)
		case !pause && !app.Spec.Paused:
			return fmt.Errorf("app %q is not paused", app.Name)
		}
		if err := patch(ctx, client, app, map[string]any{"paused": pause}); err != nil {
			return err
		}
		p.printApp(app, done)
		return nil
	})
}

func newRestartCommand(p *plugin) *cobra.Command {
	return p.onApp(&cobra.Command{
		Use:   "restart APP",
		Short: "Replace all instances of an app gradually",
		Long: `Replace all instances of an app with new ones, according to its strategy. The time is written to the
annotation ` + v1alpha1.RestartedAtAnnotation + ` of its template, which creates a new revision.`,
		Example: `  # Replace all instances of an app
  kubectl gatehouse rollout restart app/web`,
	}, func(ctx context.Context, client fleetclient.AppInterface, app *v1alpha1.App) error {
		if app.Spec.Paused {
			return fmt.Errorf("app %q is paused, and would not be rolled out: resume it first with \"kubectl gatehouse rollout resume %s\"", app.Name, app.Name)
		}
		annotations := map[string]string{v1alpha1.RestartedAtAnnotation: time.Now().Format(time.RFC3339)}
		if err := patch(ctx, client, app, map[string]any{"template": map[string]any{"metadata": map[string]any{"annotations": annotations}}}); err != nil {
			return err
		}
		p.printApp(app, "restarted")
		return nil
	})
}

// patch changes the spec of the app that was read, and not of a later one of the same name.
func patch(ctx context.Context, client fleetclient.AppInterface, app *v1alpha1.App, spec map[string]any) error {
	change, err := json.Marshal(map[string]any{"metadata": map[string]any{"uid": app.UID}, "spec": spec})
	if err != nil {
		return err
	}
	_, err = client.Patch(ctx, app.Name, types.MergePatchType, change, metav1.PatchOptions{FieldManager: fieldManager})
	return err
}

// verbatim keeps explain from replacing the message of the server: for a missing revision, which is a
// NotFound as well, it lists the existing ones.
func verbatim(err error) error { return fmt.Errorf("%s", err.Error()) }
