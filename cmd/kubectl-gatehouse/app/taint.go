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
	"slices"
	"strings"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/client-go/util/retry"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
	fleetclient "github.com/gatehouse-dev/gatehouse/pkg/generated/clientset/versioned/typed/fleet/v1alpha1"
)

// taintCommand holds the flags of taint.
type taintCommand struct {
	*plugin
	writeFlags
	selection
	overwrite bool
}

func newTaintCommand(p *plugin) *cobra.Command {
	c := &taintCommand{plugin: p, selection: selection{what: "hosts"}}
	cmd := &cobra.Command{
		Use:   "taint HOST... KEY[=VALUE]:EFFECT... KEY[:EFFECT]-... [flags]",
		Short: "Change the taints of hosts",
		Long: `Add (KEY=VALUE:EFFECT) and remove (KEY:EFFECT-, or KEY- for all effects) taints of hosts, as
"kubectl taint" does for nodes. NoSchedule keeps new instances without a matching toleration off a
host; NoExecute also evicts existing ones.`,
		Example: `  # Keep new instances off a host, unless they tolerate the taint
  kubectl gatehouse taint host edge-1 gpu=reserved:NoSchedule

  # Replace the value of a taint that is there
  kubectl gatehouse taint host edge-1 gpu=free:NoSchedule --overwrite

  # Evict all instances that do not tolerate the taint
  kubectl gatehouse taint host edge-1 maintenance:NoExecute

  # Remove the taints with a key from all hosts with a label
  kubectl gatehouse taint host -l room=b maintenance-`,
		DisableFlagsInUseLine: true,
	}
	c.writeFlags.add(cmd)
	c.selection.add(cmd, "")
	cmd.Flags().BoolVar(&c.overwrite, "overwrite", false, "Replace the value of a taint with the same key and effect. Without it, such a taint is refused.")
	cmd.RunE = func(cmd *cobra.Command, args []string) error { return c.run(cmd.Context(), args) }
	return cmd
}

func (c *taintCommand) run(ctx context.Context, args []string) error {
	if err := c.writeFlags.check(); err != nil {
		return err
	}
	names, specs, err := splitPairs(args, isTaintChange, "KEY=VALUE:EFFECT or KEY-")
	if err != nil {
		return err
	}
	added, removed, err := parseTaints(specs)
	if err != nil {
		return err
	}
	if err := c.take(names, hostKinds); err != nil {
		return err
	}
	client, _, err := c.connect()
	if err != nil {
		return err
	}
	names, err = c.hosts(ctx, client.Hosts())
	if err != nil {
		return err
	}
	var failed []error
	for _, name := range names {
		if err := c.one(ctx, client.Hosts(), name, added, removed); err != nil {
			failed = append(failed, explain(err, "host", name, ""))
		}
	}
	return errors.Join(failed...)
}

// hosts returns the names of the selected hosts.
func (s *selection) hosts(ctx context.Context, client fleetclient.HostInterface) ([]string, error) {
	if len(s.names) > 0 {
		return s.names, nil
	}
	list, err := client.List(ctx, metav1.ListOptions{LabelSelector: s.selector})
	if err != nil {
		return nil, explain(err, "host", "", "")
	}
	var names []string
	for i := range list.Items {
		names = append(names, list.Items[i].Name)
	}
	return names, nil
}

// one changes the taints of a host. The list is sent as a whole, with the version that was read,
// because the host lifecycle controller writes taints as well.
func (c *taintCommand) one(ctx context.Context, client fleetclient.HostInterface, name string, added, removed []v1alpha1.Taint) error {
	return retry.RetryOnConflict(retry.DefaultRetry, func() error {
		host, err := client.Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		taints, what, err := changeTaints(host, added, removed, c.overwrite)
		if err != nil {
			return err
		}
		if what == "unchanged" || c.onClient() {
			host.Spec.Taints = taints
			return c.doneHost(&c.writeFlags, host, what)
		}
		change, err := json.Marshal(map[string]any{
			"metadata": map[string]any{"resourceVersion": host.ResourceVersion, "uid": host.UID},
			"spec":     map[string]any{"taints": taints},
		})
		if err != nil {
			return err
		}
		host, err = client.Patch(ctx, name, types.MergePatchType, change, metav1.PatchOptions{FieldManager: fieldManager, DryRun: c.options()})
		if err != nil {
			return err
		}
		return c.doneHost(&c.writeFlags, host, what)
	})
}

func isTaintChange(arg string) bool {
	return strings.ContainsAny(arg, "=:") || strings.HasSuffix(arg, "-")
}

// parseTaints parses KEY=VALUE:EFFECT and KEY:EFFECT, which add a taint, and KEY:EFFECT- and KEY-,
// which remove one or all with the key.
func parseTaints(specs []string) (added, removed []v1alpha1.Taint, err error) {
	if len(specs) == 0 {
		return nil, nil, errors.New("no taint is given: write KEY=VALUE:EFFECT or KEY:EFFECT to add one, KEY:EFFECT- or KEY- to remove one")
	}
	for _, spec := range specs {
		text, remove := strings.CutSuffix(spec, "-")
		taint, err := parseTaint(text)
		switch {
		case err != nil:
			return nil, nil, fmt.Errorf("%q is no taint: %w", spec, err)
		case remove:
			removed = append(removed, v1alpha1.Taint{Key: taint.Key, Effect: taint.Effect})
		case taint.Effect == "":
			return nil, nil, fmt.Errorf("%q has no effect: write %s:NoSchedule or %s:NoExecute, or %s- to remove the taint", spec, spec, spec, taint.Key)
		case slices.ContainsFunc(added, taint.like):
			return nil, nil, fmt.Errorf("%q has the key and the effect of another one: give it once", spec)
		default:
			added = append(added, taint.Taint)
		}
	}
	for _, taint := range removed {
		if slices.ContainsFunc(added, pattern{taint}.like) {
			return nil, nil, fmt.Errorf("the taint %s is both added and removed: do one", taint.Key)
		}
	}
	return added, removed, nil
}

// pattern matches taints by key and effect; an empty effect matches any.
type pattern struct{ v1alpha1.Taint }

func (p pattern) like(other v1alpha1.Taint) bool {
	return p.Key == other.Key && (p.Effect == "" || p.Effect == other.Effect)
}

func parseTaint(text string) (pattern, error) {
	head, effect, _ := strings.Cut(text, ":")
	key, value, _ := strings.Cut(head, "=")
	taint := pattern{v1alpha1.Taint{Key: key, Value: value, Effect: v1alpha1.TaintEffect(effect)}}
	switch taint.Effect {
	case "", v1alpha1.TaintEffectNoSchedule, v1alpha1.TaintEffectNoExecute:
	case "PreferNoSchedule":
		return taint, errors.New("the effect PreferNoSchedule does not exist for hosts: use NoSchedule or NoExecute")
	default:
		return taint, fmt.Errorf("the effect %q is unknown: use NoSchedule or NoExecute", effect)
	}
	if problems := validation.IsQualifiedName(key); len(problems) > 0 {
		return taint, fmt.Errorf("its key %q is invalid: %s", key, strings.Join(problems, "; "))
	}
	if problems := validation.IsValidLabelValue(value); len(problems) > 0 {
		return taint, fmt.Errorf("its value %q is invalid: %s", value, strings.Join(problems, "; "))
	}
	return taint, nil
}

// changeTaints returns the new taints of a host and what has changed, in the words of kubectl:
// tainted, untainted, modified, or unchanged.
func changeTaints(host *v1alpha1.Host, added, removed []v1alpha1.Taint, overwrite bool) (taints []v1alpha1.Taint, what string, err error) {
	taints = slices.Clone(host.Spec.Taints)
	took, put, replaced := false, false, false
	for _, taint := range removed {
		left := slices.DeleteFunc(slices.Clone(taints), pattern{taint}.like)
		if len(left) == len(taints) {
			return nil, "", fmt.Errorf("host %q has no taint %s: its taints are %s", host.Name, written(taint), writtenAll(host.Spec.Taints))
		}
		taints, took = left, true
	}
	for _, taint := range added {
		at := slices.IndexFunc(taints, pattern{taint}.like)
		switch {
		case at < 0:
			taints, put = append(taints, taint), true
		case taints[at] == taint:
		case !overwrite:
			return nil, "", fmt.Errorf("host %q has the taint %s already: use --overwrite to replace its value", host.Name, written(taints[at]))
		default:
			taints[at], replaced = taint, true
		}
	}
	switch {
	case replaced || took && put:
		return taints, "modified", nil
	case put:
		return taints, "tainted", nil
	case took:
		return taints, "untainted", nil
	}
	return taints, "unchanged", nil
}

// written returns a taint in the syntax of the command line.
func written(taint v1alpha1.Taint) string {
	text := taint.Key
	if taint.Value != "" {
		text += "=" + taint.Value
	}
	if taint.Effect != "" {
		text += ":" + string(taint.Effect)
	}
	return text
}

func writtenAll(taints []v1alpha1.Taint) string {
	if len(taints) == 0 {
		return "none"
	}
	var texts []string
	for _, taint := range taints {
		texts = append(texts, written(taint))
	}
	return strings.Join(texts, ", ")
}
