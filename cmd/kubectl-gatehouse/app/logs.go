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
	"slices"
	"sync"
	"time"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
)

// selectedTail is the number of lines of each instance that a selector selects.
const selectedTail = 10

// logsCommand holds the flags of logs.
type logsCommand struct {
	targetCommand
	selector      string
	allContainers bool
	maxRequests   int
	// noPrefix is set by --prefix=false.
	prefix, noPrefix bool
	// tail is -1 for no limit, and limit 0.
	tail, limit int64
	since       time.Duration
	sinceTime   string
	logOptions
}

func newLogsCommand(p *plugin) *cobra.Command {
	c := &logsCommand{targetCommand: targetCommand{plugin: p}, tail: -1}
	cmd := &cobra.Command{
		Use:   "logs (INSTANCE | app/NAME | -l SELECTOR) [flags]",
		Short: "Print the logs of containers",
		Long: `Print the logs of the containers of an instance, of all instances of an app, or of those that a
selector selects. With -f, the command follows them until the containers end, and resumes after a
lost connection, without a line twice.`,
		Example: `  # Follow the log of an instance
  kubectl gatehouse logs web-844cf8b45-w5s76 -f

  # The logs of all instances of an app, each line with the name of its instance
  kubectl gatehouse logs app/web --prefix

  # What a container said before its last restart
  kubectl gatehouse logs web-844cf8b45-w5s76 -c web --previous`,
		Args: cobra.MaximumNArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			c.noPrefix = cmd.Flags().Changed("prefix") && !c.prefix
			if c.selector != "" && !cmd.Flags().Changed("tail") {
				c.tail = selectedTail
			}
			return c.run(cmd.Context(), args)
		},
	}
	c.addFlags(cmd)
	fs := cmd.Flags()
	fs.StringVarP(&c.selector, "selector", "l", "", "Select instances by labels, as in -l tier=front,env!=test.")
	fs.BoolVar(&c.allContainers, "all-containers", false, "Print the logs of all containers of each instance.")
	fs.BoolVarP(&c.follow, "follow", "f", false, "Print what the containers write until they end.")
	fs.BoolVarP(&c.previous, "previous", "p", false, "Print the log of the attempt before the last restart of the container.")
	fs.BoolVar(&c.prefix, "prefix", false, "Begin each line with the names of its instance and container. Default true for the instances of an app.")
	fs.BoolVar(&c.timestamps, "timestamps", false, "Begin each line with its time.")
	fs.Int64Var(&c.tail, "tail", c.tail, fmt.Sprintf("Number of lines at the end of each log; -1 for all, and %d if a selector is given.", selectedTail))
	fs.Int64Var(&c.limit, "limit-bytes", 0, "Maximum number of bytes of each log; 0 for no limit.")
	fs.DurationVar(&c.since, "since", 0, "Print only what is newer than this, as in 5s, 2m or 3h.")
	fs.StringVar(&c.sinceTime, "since-time", "", "Print only what is newer than this time, as in 2026-01-02T15:04:05Z.")
	fs.IntVar(&c.maxRequests, "max-log-requests", 5, "Maximum number of logs to follow at a time.")
	return cmd
}

func (c *logsCommand) check(args []string) error {
	switch {
	case c.tail < -1:
		return fmt.Errorf("--tail=%d is less than -1: use -1 for all lines, or a number of lines", c.tail)
	case c.limit < 0:
		return fmt.Errorf("--limit-bytes=%d is less than 0: use 0 for no limit", c.limit)
	case c.since < 0 || c.since > 0 && c.since < time.Second:
		return fmt.Errorf("--since=%s is less than a second: write it as 5s, 2m or 3h", c.since)
	case c.since > 0 && c.sinceTime != "":
		return errors.New("--since and --since-time exclude each other: use one of them")
	case c.follow && c.previous:
		return errors.New("--follow and --previous exclude each other: nothing writes to the log of a container that has ended")
	case c.allContainers && c.container != "":
		return errors.New("--all-containers and --container exclude each other: use one of them")
	case c.maxRequests < 1:
		return fmt.Errorf("--max-log-requests=%d is less than 1: use a number from 1 on", c.maxRequests)
	}
	if c.sinceTime != "" {
		if _, err := time.Parse(time.RFC3339, c.sinceTime); err != nil {
			return fmt.Errorf("--since-time=%s is not a time: write it as 2026-01-02T15:04:05Z", c.sinceTime)
		}
	}
	switch {
	case c.selector == "" && len(args) == 0:
		return errors.New("no instance is named: write INSTANCE or app/NAME, or use --selector")
	case c.selector != "" && len(args) > 0:
		return fmt.Errorf("--selector and a name exclude each other: leave out %q or --selector", args[0])
	case c.selector != "":
		if _, err := labels.Parse(c.selector); err != nil {
			return fmt.Errorf("--selector=%s is no label selector: %w", c.selector, err)
		}
	case len(args) == 2 && c.container != "":
		return fmt.Errorf("the container is given twice, as %q and as --container=%s: give it once", args[1], c.container)
	}
	return nil
}

func (c *logsCommand) run(ctx context.Context, args []string) error {
	if err := c.check(args); err != nil {
		return err
	}
	if len(args) == 2 { // logs INSTANCE CONTAINER, as kubectl
		c.container = args[1]
	}
	targets, err := c.targets(ctx, args)
	if err != nil {
		return err
	}
	if c.follow && len(targets) > c.maxRequests {
		return fmt.Errorf("the logs to follow are %d, and --max-log-requests is %d: increase it, or select fewer instances", len(targets), c.maxRequests)
	}
	c.fill()
	out := &lockedWriter{out: c.Out}
	failed := make([]error, len(targets))
	var copies sync.WaitGroup
	for i, target := range targets {
		one := newLogCopy(target, c.logOptions, out, c.Err)
		if c.prefix {
			one.prefix = fmt.Sprintf("[instance/%s/%s] ", target.instance.Name, target.container)
		}
		if !c.follow {
			failed[i] = one.run(ctx)
			continue
		}
		copies.Go(func() { failed[i] = one.run(ctx) })
	}
	copies.Wait()
	return errors.Join(failed...)
}

// fill sets the options of the requests by the flags.
func (c *logsCommand) fill() {
	if c.tail >= 0 {
		c.tailLines = &c.tail
	}
	if c.limit > 0 {
		c.limitBytes = &c.limit
	}
	c.sinceSeconds, c.from = int64(c.since.Round(time.Second)/time.Second), c.sinceTime
}

// targets returns the containers whose logs are printed.
func (c *logsCommand) targets(ctx context.Context, args []string) ([]*target, error) {
	client, namespace, err := c.connect()
	if err != nil {
		return nil, err
	}
	var instances []v1alpha1.Instance
	if c.selector != "" {
		list, err := client.Instances(namespace).List(ctx, metav1.ListOptions{LabelSelector: c.selector})
		if err != nil {
			return nil, err
		}
		instances = list.Items
		if len(instances) == 0 {
			fmt.Fprintf(c.Err, "No instances found in the namespace %s.\n", namespace)
		}
	} else {
		isApp := false
		if instances, isApp, err = instancesFor(ctx, client, namespace, args[0]); err != nil {
			return nil, err
		}
		c.prefix = c.prefix || isApp && len(instances) > 1 && !c.noPrefix
	}
	var targets []*target
	for i := range instances {
		names := containerNames(&instances[i])
		if !c.allContainers {
			name, err := c.containerOf(&instances[i])
			if err != nil {
				return nil, err
			}
			names = slices.DeleteFunc(names, func(other string) bool { return other != name })
		}
		for _, name := range names {
			targets = append(targets, &target{client: client, instance: &instances[i], container: name})
		}
	}
	return targets, nil
}
