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
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
	watchtools "k8s.io/client-go/tools/watch"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
	fleetclient "github.com/gatehouse-dev/gatehouse/pkg/generated/clientset/versioned/typed/fleet/v1alpha1"
)

// statusCommand holds the flags of rollout status.
type statusCommand struct {
	*plugin
	timeout  time.Duration
	watch    bool
	revision int64
	output   outputFlag
}

func newStatusCommand(p *plugin) *cobra.Command {
	c := &statusCommand{plugin: p, watch: true}
	cmd := &cobra.Command{
		Use:   "status APP",
		Short: "Watch a rollout until it is done or has failed",
		Long: `Watch the rollout of an app's newest version until it is done or has failed, or --timeout has
passed. On a terminal, one line is updated in place; otherwise each change is a line.

Exit codes:
  0  the rollout is done
  1  it has failed (the progress deadline was exceeded, the app was deleted, --revision
     names another), or could not be watched
  2  it is in progress: --watch=false was given, or --timeout has passed`,
		Example: `  kubectl gatehouse rollout status app/web
  kubectl gatehouse rollout status web --timeout 5m
  kubectl gatehouse rollout status web --watch=false -o json`,
		Args: exactlyOne("app"),
		RunE: func(cmd *cobra.Command, args []string) error { return c.run(cmd.Context(), joined(args)[0]) },
	}
	fs := cmd.Flags()
	fs.DurationVar(&c.timeout, "timeout", c.timeout, "Maximum time to watch; 0 for no limit.")
	fs.BoolVarP(&c.watch, "watch", "w", c.watch, "Watch until the rollout is done. With --watch=false, print its state and exit.")
	fs.Int64Var(&c.revision, "revision", c.revision, "Revision to watch: the command fails if the app is at another. 0 for the newest.")
	c.output.add(cmd)
	return cmd
}

func (c *statusCommand) run(ctx context.Context, arg string) error {
	name, err := nameIn(arg, appKinds)
	if err != nil {
		return err
	}
	if c.timeout < 0 {
		return fmt.Errorf("--timeout=%s is less than nothing: use 0s to watch for as long as it takes", c.timeout)
	}
	if c.revision < 0 {
		return fmt.Errorf("--revision=%d is no revision: use a number from 1, or 0 for the newest", c.revision)
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
	last := progressOf(app, c.revision)
	out := c.reporter()
	out.show(last)
	if c.watch && !last.Done && !last.Failed {
		last, err = c.follow(ctx, client, app, last, out)
	}
	out.end()
	if c.output.json() {
		err = errors.Join(err, c.printJSON(last))
	}
	switch {
	case err != nil:
		return err
	case last.Failed:
		return errors.New(last.Message)
	case !last.Done:
		return errUnfinished
	}
	return nil
}

// follow watches until the rollout is done or has failed, or the timeout has passed.
func (c *statusCommand) follow(ctx context.Context, client fleetclient.FleetV1alpha1Interface, app *v1alpha1.App, last progress, out reporter) (progress, error) {
	if c.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, c.timeout)
		defer cancel()
	}
	one := fields.OneTermEqualSelector(metav1.ObjectNameField, app.Name).String()
	source := cache.ToListWatcherWithWatchListSemantics(&cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
			options.FieldSelector = one
			return client.Apps(app.Namespace).List(ctx, options)
		},
		WatchFuncWithContext: func(ctx context.Context, options metav1.ListOptions) (watch.Interface, error) {
			options.FieldSelector = one
			return client.Apps(app.Namespace).Watch(ctx, options)
		},
	}, client)
	deleted := fmt.Errorf("app %q was deleted while its rollout was watched", app.Name)
	_, err := watchtools.UntilWithSync(ctx, source, &v1alpha1.App{}, func(store cache.Store) (bool, error) {
		if len(store.List()) == 0 { // between the get and the list
			return true, deleted
		}
		return false, nil
	}, func(event watch.Event) (bool, error) {
		current, ok := event.Object.(*v1alpha1.App)
		if !ok || event.Type == watch.Deleted || current.UID != app.UID {
			return true, deleted
		}
		last = progressOf(current, c.revision)
		out.show(last)
		return last.Done || last.Failed, nil
	})
	if err != nil && wait.Interrupted(err) {
		if c.timeout > 0 && errors.Is(ctx.Err(), context.DeadlineExceeded) {
			fmt.Fprintf(c.Err, "The rollout was watched for %s (--timeout) and continues.\n", c.timeout)
		}
		return last, nil // run reports that it is in progress
	}
	return last, err
}

// reporter prints progress.
type reporter interface {
	show(progress)
	end()
}

func (c *statusCommand) reporter() reporter {
	if c.output.json() {
		return silent{} // only the last state is printed
	}
	if file, ok := c.Out.(*os.File); ok && term.IsTerminal(int(file.Fd())) {
		return &live{out: file, width: func() int {
			width, _, err := term.GetSize(int(file.Fd()))
			if err != nil {
				return 0
			}
			return width
		}}
	}
	return &lines{out: c.Out}
}

type silent struct{}

func (silent) show(progress) {}
func (silent) end()          {}

// lines prints one line for each change. A failure is returned as an error instead.
type lines struct {
	out  io.Writer
	last string
}

func (l *lines) show(p progress) {
	if p.Message != l.last && !p.Failed {
		fmt.Fprintln(l.out, cell(p.Message))
	}
	l.last = p.Message
}

func (l *lines) end() {}

// live updates one line. The line is cut to the width of the terminal, because a wrapped line cannot
// be overwritten.
type live struct {
	out   io.Writer
	width func() int
	open  bool
}

func (l *live) show(p progress) {
	if p.Failed {
		return
	}
	line := p.bar() + "  " + cell(p.Message)
	if width := l.width(); width > 1 && len(line) >= width {
		line = line[:width-1]
	}
	fmt.Fprint(l.out, "\r\x1b[K"+line) // to the beginning of the line, which is then cleared
	l.open = true
}

func (l *live) end() {
	if l.open {
		fmt.Fprintln(l.out)
	}
	l.open = false
}
