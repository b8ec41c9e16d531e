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
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// suggestionDistance is how many letters a mistyped command may differ from the one that is
// suggested.
const suggestionDistance = 2

// insteadOf returns what to use instead of a command of kubectl that the plugin does not have.
func insteadOf(verb string) string {
	switch verb {
	case "scale":
		return `"kubectl scale app NAME --replicas=N" scales apps`
	case "wait":
		return `"kubectl wait app/NAME --for=condition=Available" waits for apps, and "kubectl gatehouse rollout status NAME" follows a rollout`
	case "run":
		return `"kubectl gatehouse create app NAME --image=IMAGE" creates an app`
	case "get", "describe", "delete", "edit", "apply", "patch", "label", "annotate", "explain", "events", "diff", "replace":
		return fmt.Sprintf("\"kubectl %s\" itself takes apps and hosts", verb)
	case "debug", "expose", "autoscale":
		return "it is not served for apps, instances and hosts yet"
	}
	return ""
}

// group returns a command that requires a subcommand. The error for an unknown one suggests similar
// names.
func group(cmd *cobra.Command) *cobra.Command {
	cmd.SuggestionsMinimumDistance = suggestionDistance
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return nil
		}
		cure := fmt.Sprintf("see %s --help", cmd.CommandPath())
		// Every word of two letters is within the distance of another.
		suggestions := slices.DeleteFunc(cmd.SuggestionsFor(args[0]), func(name string) bool { return !strings.ContainsAny(name, args[0]) })
		if instead := insteadOf(args[0]); instead != "" && !cmd.HasParent() {
			cure = instead
		} else if len(suggestions) > 0 {
			slices.Sort(suggestions)
			cure = fmt.Sprintf("did you mean %s?", strings.Join(slices.Compact(suggestions), " or "))
		}
		return fmt.Errorf("unknown command %q for %q: %s", args[0], cmd.CommandPath(), cure)
	}
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
	return cmd
}

// exactlyOne accepts the argument of commands for one object: NAME, KIND/NAME or KIND NAME.
func exactlyOne(what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if count := len(joined(args)); count != 1 {
			return fmt.Errorf("%s takes one %s, not %d; see %s --help", cmd.CommandPath(), what, count, cmd.CommandPath())
		}
		return nil
	}
}

// joined converts "app web api", which kubectl accepts as well, to app/web app/api. A single word is a
// name, even if it is also that of a kind.
func joined(args []string) []string {
	if len(args) < 2 || !isKind(args[0], appKinds) && !isKind(args[0], hostKinds) || slices.ContainsFunc(args, func(arg string) bool { return strings.Contains(arg, "/") }) {
		return args
	}
	var names []string
	for _, name := range args[1:] {
		names = append(names, args[0]+"/"+name)
	}
	return names
}

func isKind(word string, kinds []string) bool {
	return slices.ContainsFunc(kinds, func(kind string) bool { return strings.EqualFold(kind, word) })
}

// clusterKinds are kinds that users of clusters type in front of names. An app with such a name can
// still be written as app/node.
var clusterKinds = []string{"node", "nodes", "deployment", "deployments", "deploy", "statefulset", "statefulsets", "sts", "daemonset", "daemonsets", "ds", "pod", "pods"}

// namesIn returns the names in args, each once and in their order.
func namesIn(args, kinds []string) ([]string, error) {
	if len(args) > 1 && slices.Contains(clusterKinds, strings.ToLower(args[0])) {
		return nil, fmt.Errorf("%q is a kind that only clusters have: write %s %s", args[0], kinds[0], strings.Join(args[1:], " "))
	}
	var names []string
	for _, arg := range joined(args) {
		name, err := nameIn(arg, kinds)
		if err != nil {
			return nil, err
		}
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names, nil
}

// splitPairs separates the names that come first from the changes that follow.
func splitPairs(args []string, isPair func(string) bool, form string) (names, pairs []string, err error) {
	first := slices.IndexFunc(args, isPair)
	if first < 0 {
		return args, nil, nil
	}
	for _, arg := range args[first:] {
		if !isPair(arg) {
			return nil, nil, fmt.Errorf("%q is not of the form %s: names come before the first of these", arg, form)
		}
	}
	return args[:first], args[first:], nil
}
