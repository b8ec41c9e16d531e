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
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/yaml"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/diagnostics/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/pkg/generated/clientset/versioned"
	diagnosticsclient "github.com/gatehouse-dev/gatehouse/pkg/generated/clientset/versioned/typed/diagnostics/v1alpha1"
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
		Use:   "why [ID]",
		Short: "Show what each gate of the server said about a request",
		Long: `Show what each gate of the server said about a request, and which one refused it.

The message of a refusal ends with the ID: the beginning of the request's Audit-ID, which is also a
header of every response. Every user may see its own requests; the cluster role
gatehouse:diagnostics permits to see those of all users. A server keeps the latest requests in
memory only, and each server has its own.`,
		Example: `  # The request that a refusal names
  kubectl gatehouse why 4f2c9a1e

  # The latest refused request, or each one from now on
  kubectl gatehouse why --last
  kubectl gatehouse why --follow`,
		Args: cobra.MaximumNArgs(1),
		// IDs come from messages.
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE:              func(cmd *cobra.Command, args []string) error { return c.run(cmd.Context(), args) },
	}
	cmd.Flags().BoolVar(&c.last, "last", c.last, "Show the latest refused request.")
	cmd.Flags().BoolVarP(&c.follow, "follow", "f", c.follow, "Show each refused request from now on.")
	cmd.Flags().StringVarP(&c.output, "output", "o", "", "Output format: json, yaml, or a report if empty.")
	completeWords(cmd, "output", "json", "yaml")
	return cmd
}

func (c *whyCommand) check(args []string) error {
	modes := len(args)
	for _, set := range []bool{c.last, c.follow} {
		if set {
			modes++
		}
	}
	switch {
	case modes != 1:
		return errors.New("name one request: by its ID, which the message of a refusal has, or by --last, or follow them with --follow")
	case c.output != "" && c.output != "json" && c.output != "yaml":
		return fmt.Errorf("--output=%s is unknown: use json or yaml, or leave the flag out", c.output)
	}
	return nil
}

func (c *whyCommand) run(ctx context.Context, args []string) error {
	if err := c.check(args); err != nil {
		return err
	}
	config, _, err := c.config()
	if err != nil {
		return err
	}
	clients, err := versioned.NewForConfig(config)
	if err != nil {
		return err
	}
	client := clients.DiagnosticsV1alpha1().RequestTraces()
	if c.follow {
		return c.followRefusals(ctx, client)
	}
	name := ""
	if c.last {
		name, err = lastRefusal(ctx, client)
	} else {
		name, err = nameOfTrace(ctx, client, args[0])
	}
	if err != nil {
		return err
	}
	trace, err := client.Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return noTrace(name)
	}
	if err != nil {
		return err
	}
	return c.print(trace)
}

// refusals selects refused requests.
func refusals() metav1.ListOptions {
	return metav1.ListOptions{FieldSelector: fields.OneTermEqualSelector(v1alpha1.TraceVerdictField, string(v1alpha1.VerdictRefused)).String()}
}

func lastRefusal(ctx context.Context, client diagnosticsclient.RequestTraceInterface) (string, error) {
	list, err := client.List(ctx, refusals())
	if err != nil {
		return "", served(err)
	}
	if len(list.Items) == 0 {
		return "", errors.New("the server remembers no refused request of yours")
	}
	return list.Items[len(list.Items)-1].Name, nil
}

// nameOfTrace returns the name that begins with the ID: most IDs are of refused requests.
func nameOfTrace(ctx context.Context, client diagnosticsclient.RequestTraceInterface, id string) (string, error) {
	for _, options := range []metav1.ListOptions{refusals(), {}} {
		list, err := client.List(ctx, options)
		if err != nil {
			return "", served(err)
		}
		var found []string
		for i := range list.Items {
			if name := list.Items[i].Name; name == id {
				return name, nil
			} else if strings.HasPrefix(name, id) {
				found = append(found, name)
			}
		}
		switch len(found) {
		case 0:
		case 1:
			return found[0], nil
		default:
			return "", fmt.Errorf("%d requests begin with %q: name one of %s", len(found), id, strings.Join(found, ", "))
		}
	}
	return "", noTrace(id)
}

func noTrace(id string) error {
	return fmt.Errorf("the server remembers no request %q of yours: each server keeps only the latest requests, and only the role gatehouse:diagnostics sees those of other users", id)
}

// served explains the error of a server without traces.
func served(err error) error {
	if apierrors.IsNotFound(err) {
		return fmt.Errorf("the server does not serve request traces: it is older than this plugin, or the kubeconfig is not that of a Gatehouse (%w)", err)
	}
	return err
}

// after selects the refusals after a version; from now on without one.
func after(version string) metav1.ListOptions {
	options := refusals()
	options.AllowWatchBookmarks, options.ResourceVersion = true, version
	if version == "" {
		options.SendInitialEvents, options.ResourceVersionMatch = ptr.To(false), metav1.ResourceVersionMatchNotOlderThan
	}
	return options
}

// followRefusals prints each refused request until the context ends.
func (c *whyCommand) followRefusals(ctx context.Context, client diagnosticsclient.RequestTraceInterface) error {
	version := ""
	for {
		events, err := client.Watch(ctx, after(version))
		if apierrors.IsResourceExpired(err) && version != "" {
			version = ""
			continue
		}
		if err != nil {
			return served(err)
		}
		for event := range events.ResultChan() {
			trace, ok := event.Object.(*v1alpha1.RequestTrace)
			if !ok {
				version = "" // an error: traces are lost
				continue
			}
			version = trace.ResourceVersion
			if event.Type != watch.Added {
				continue
			}
			// A watch has no near misses.
			if whole, err := client.Get(ctx, trace.Name, metav1.GetOptions{}); err == nil {
				trace = whole
			}
			if err := c.print(trace); err != nil {
				return err
			}
			if c.output == "" {
				fmt.Fprintln(c.Out)
			}
		}
		if ctx.Err() != nil {
			return nil
		}
		// The server ends watches after some minutes.
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(time.Second):
		}
	}
}

func (c *whyCommand) print(trace *v1alpha1.RequestTrace) error {
	trace.TypeMeta = metav1.TypeMeta{APIVersion: v1alpha1.SchemeGroupVersion.String(), Kind: "RequestTrace"}
	switch c.output {
	case "json":
		return c.printJSON(trace)
	case "yaml":
		content, err := yaml.Marshal(trace)
		if err != nil {
			return err
		}
		if c.follow {
			fmt.Fprintln(c.Out, "---")
		}
		_, err = c.Out.Write(content)
		return err
	}
	return report(c.Out, trace, time.Now())
}
