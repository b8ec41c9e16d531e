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
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/diagnostics/v1alpha1"
)

// whyCommand holds the flags of why.
type whyCommand struct {
	*plugin
	last, follow bool
	output       string
}

func newWhyCommand(p *plugin) *cobra.Command {
	c := &whyCommand{plugin: p}
	cmd := &cobra.Command{
		Use:   "why (ID | TYPE/NAME | TYPE NAME)",
		Short: "Show what each gate of the server said about a request, or what happened to an object",
		Long: `Show what each gate of the server said about a request, and which one refused it.

The message of a refusal ends with the ID: the beginning of the request's Audit-ID, which is also a
header of every response. Every user may see its own requests; the cluster role
gatehouse:diagnostics permits to see those of all users. A server keeps the latest requests in
memory only, and each server has its own: of several behind one address, the command asks one after
the other over new connections, and an error names those that responded. --follow has a watch of each
server to which a new connection leads, and looks for further servers every minute.

With an object, show what its status says, which managers changed it last and by which requests, what
the gates did to the latest of these, and what was refused on it lately. For an app or a release,
this includes what was refused on the releases and instances that belong to it.`,
		Example: `  # The request that a refusal names
  kubectl gatehouse why 4f2c9a1e

  # The latest refused request, or each one from now on
  kubectl gatehouse why --last
  kubectl gatehouse why --follow

  # Why an app has no instances, or an instance does not start
  kubectl gatehouse why app/web
  kubectl gatehouse why instance web-5db6b9bcb-8w2kx -n shop`,
		Args: cobra.MaximumNArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error { return c.run(cmd.Context(), args) },
	}
	cmd.Flags().BoolVar(&c.last, "last", c.last, "Show the latest refused request.")
	cmd.Flags().BoolVarP(&c.follow, "follow", "f", c.follow, "Show each refused request from now on.")
	cmd.Flags().StringVarP(&c.output, "output", "o", "", "Output format: json, yaml, name, or a report if empty. name prints the names of the requests.")
	completeWords(cmd, "output", "json", "yaml", "name")
	return cmd
}

// isObject reports whether the arguments name an object: an ID has no slash.
func isObject(args []string) bool {
	return len(args) == 2 || len(args) == 1 && strings.Contains(args[0], "/")
}

func (c *whyCommand) check(args []string) error {
	modes := min(len(args), 1)
	for _, set := range []bool{c.last, c.follow} {
		if set {
			modes++
		}
	}
	switch {
	case modes != 1:
		return errors.New("name one request, by its ID, which the message of a refusal has, or by --last, or follow them with --follow; or name one object, as TYPE/NAME")
	case c.output != "" && c.output != "json" && c.output != "yaml" && c.output != "name":
		return fmt.Errorf("--output=%s is unknown: use json, yaml or name, or leave the flag out", c.output)
	}
	return nil
}

func (c *whyCommand) run(ctx context.Context, args []string) error {
	if err := c.check(args); err != nil {
		return err
	}
	t, namespace, err := c.traces()
	if err != nil {
		return err
	}
	switch {
	case c.follow:
		return c.followRefusals(ctx, t)
	case isObject(args):
		return c.object(ctx, t, namespace, args)
	}
	var trace *v1alpha1.RequestTrace
	if c.last {
		trace, err = lastRefusal(ctx, t)
	} else {
		trace, err = t.find(ctx, args[0])
	}
	if err != nil {
		return err
	}
	return c.print(trace)
}

func lastRefusal(ctx context.Context, t *traces) (*v1alpha1.RequestTrace, error) {
	items, servers, err := t.all(ctx, refusals())
	if err != nil {
		return nil, err
	}
	if len(items) == 0 {
		return nil, fmt.Errorf("no refused request of yours is in the memory of %s", serversText(servers))
	}
	last := &items[len(items)-1]
	if len(servers) > 1 {
		return t.find(ctx, last.Name)
	}
	return t.whole(ctx, last), nil
}

// print prints one trace.
func (c *whyCommand) print(trace *v1alpha1.RequestTrace) error {
	trace.TypeMeta = metav1.TypeMeta{APIVersion: v1alpha1.SchemeGroupVersion.String(), Kind: "RequestTrace"}
	switch c.output {
	case "name":
		c.printName(trace)
		return nil
	case "":
		return report(c.Out, trace, time.Now())
	}
	return c.printValue(trace)
}

func (c *whyCommand) printName(trace *v1alpha1.RequestTrace) {
	fmt.Fprintf(c.Out, "requesttrace.%s/%s\n", v1alpha1.GroupName, cell(trace.Name))
}

// printValue prints a value as JSON or YAML.
func (c *whyCommand) printValue(value any) error {
	if c.output == "json" {
		return c.printJSON(value)
	}
	content, err := yaml.Marshal(value)
	if err != nil {
		return err
	}
	if c.follow {
		fmt.Fprintln(c.Out, "---")
	}
	_, err = c.Out.Write(content)
	return err
}
