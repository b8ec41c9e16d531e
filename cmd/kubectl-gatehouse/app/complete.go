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
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/metadata"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
)

// completionTimeout bounds how long a completion waits for the server.
const completionTimeout = 5 * time.Second

// completer returns the words that toComplete can be completed to.
type completer = func(cmd *cobra.Command, args []string, toComplete string) ([]string, cobra.ShellCompDirective)

// completeWords registers a fixed set of words as the completion of a flag.
func completeWords(cmd *cobra.Command, flag string, words ...string) {
	completeFlag(cmd, flag, cobra.FixedCompletions(words, cobra.ShellCompDirectiveNoFileComp))
}

// completeFlag registers the completion of a flag. It fails only for a flag that does not exist, which
// TestEveryFlagThatTakesAKnownWordCompletes detects.
func completeFlag(cmd *cobra.Command, flag string, f completer) {
	_ = cmd.RegisterFlagCompletionFunc(flag, f)
}

// addCompletion registers the completion of the arguments and flags of all commands. kubectl calls
// kubectl_complete-gatehouse, which calls the hidden command __complete.
func (p *plugin) addCompletion(root *cobra.Command) {
	completeFlag(root, "namespace", p.complete(schema.GroupVersionResource{Version: "v1", Resource: "namespaces"}, 0, nil))
	completeFlag(root, "context", p.completeFromKubeconfig(func(config clientcmdapi.Config) []string { return slices.Collect(maps.Keys(config.Contexts)) }))
	completeFlag(root, "cluster", p.completeFromKubeconfig(func(config clientcmdapi.Config) []string { return slices.Collect(maps.Keys(config.Clusters)) }))
	completeFlag(root, "user", p.completeFromKubeconfig(func(config clientcmdapi.Config) []string { return slices.Collect(maps.Keys(config.AuthInfos)) }))
	apps, hosts := v1alpha1.SchemeGroupVersion.WithResource("apps"), v1alpha1.SchemeGroupVersion.WithResource("hosts")
	p.eachCommand(root, func(cmd *cobra.Command, path string) {
		switch path {
		case "tree", "rollout status", "rollout history", "rollout undo", "rollout pause", "rollout resume", "rollout restart":
			cmd.ValidArgsFunction = p.complete(apps, 1, appKinds)
		case "set resources", "set serviceaccount":
			cmd.ValidArgsFunction = p.complete(apps, 0, appKinds)
		case "set image":
			cmd.ValidArgsFunction = p.completePairs(imagePairs)
		case "set env":
			cmd.ValidArgsFunction = p.completePairs(envPairs)
		case "cordon", "uncordon", "drain", "taint":
			cmd.ValidArgsFunction = p.complete(hosts, 0, hostKinds)
		case "logs", "exec", "attach", "port-forward":
			cmd.ValidArgsFunction = p.completeTarget
		case "cp":
			cmd.ValidArgsFunction = p.completePlace
		case "why":
			cmd.ValidArgsFunction = p.completeObject
		case "version":
			cmd.ValidArgsFunction = cobra.NoFileCompletions
		}
		if cmd.Flags().Lookup("containers") != nil {
			completeFlag(cmd, "containers", p.completeContainers)
		}
		if cmd.Flags().Lookup("container") != nil {
			completeFlag(cmd, "container", p.completeContainer)
		}
	})
}

// eachCommand visits the commands below root, with their paths behind it.
func (p *plugin) eachCommand(root *cobra.Command, visit func(cmd *cobra.Command, path string)) {
	for _, cmd := range root.Commands() {
		visit(cmd, strings.TrimPrefix(cmd.CommandPath(), cmd.Root().CommandPath()+" "))
		p.eachCommand(cmd, visit)
	}
}

// complete completes the names of a resource for up to most arguments (0 for any number), each once.
// A kind in front of the name, as in app/, stays.
func (p *plugin) complete(resource schema.GroupVersionResource, most int, kinds []string) completer {
	return func(cmd *cobra.Command, args []string, toComplete string) ([]string, cobra.ShellCompDirective) {
		prefix := ""
		if kind, _, ok := strings.Cut(toComplete, "/"); ok {
			prefix = kind + "/"
			if !isKind(kind, kinds) {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
		}
		given := args
		if len(args) > 0 && isKind(args[0], kinds) { // "app web"
			given = args[1:]
		}
		if most > 0 && len(given) >= most && kinds != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		var words []string
		for _, name := range p.namesOf(cmd.Context(), resource) {
			isGiven := slices.ContainsFunc(given, func(arg string) bool { return arg == name || strings.HasSuffix(arg, "/"+name) })
			if word := prefix + name; strings.HasPrefix(word, toComplete) && (!isGiven || kinds == nil) {
				words = append(words, word)
			}
		}
		return words, cobra.ShellCompDirectiveNoFileComp
	}
}

// namesOf lists the names of a resource: its metadata, from the watch cache. Errors are logged only,
// because a completion cannot report them.
func (p *plugin) namesOf(ctx context.Context, resource schema.GroupVersionResource) []string {
	config, namespace, err := p.config()
	if err != nil {
		cobra.CompErrorln(err.Error())
		return nil
	}
	config.Timeout = completionTimeout
	client, err := metadata.NewForConfig(config)
	if err != nil {
		cobra.CompErrorln(err.Error())
		return nil
	}
	if resource.Resource == "hosts" || resource.Resource == "namespaces" {
		namespace = ""
	}
	list, err := client.Resource(resource).Namespace(namespace).List(ctx, metav1.ListOptions{ResourceVersion: "0"})
	if err != nil {
		cobra.CompDebugln(err.Error(), false)
		return nil
	}
	var names []string
	for i := range list.Items {
		names = append(names, list.Items[i].Name)
	}
	return names
}

// completeFromKubeconfig completes names in the kubeconfig.
func (p *plugin) completeFromKubeconfig(names func(clientcmdapi.Config) []string) completer {
	return func(_ *cobra.Command, _ []string, toComplete string) ([]string, cobra.ShellCompDirective) {
		loader, err := p.loader()
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		config, err := loader.RawConfig()
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		words := slices.DeleteFunc(names(config), func(name string) bool { return !strings.HasPrefix(name, toComplete) })
		slices.Sort(words)
		return words, cobra.ShellCompDirectiveNoFileComp
	}
}

// completePairs completes the names of apps first, then what words returns for the named app.
func (p *plugin) completePairs(words func(*v1alpha1.App) []string) completer {
	apps := p.complete(v1alpha1.SchemeGroupVersion.WithResource("apps"), 0, appKinds)
	return func(cmd *cobra.Command, args []string, toComplete string) ([]string, cobra.ShellCompDirective) {
		name := firstApp(args)
		if name == "" {
			return apps(cmd, args, toComplete)
		}
		app := p.appNamed(cmd.Context(), name)
		if app == nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		var offered []string
		for _, word := range words(app) {
			isGiven := slices.ContainsFunc(args, func(arg string) bool { return strings.HasPrefix(arg, word) })
			if strings.HasPrefix(word, toComplete) && !isGiven {
				offered = append(offered, word)
			}
		}
		return offered, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
	}
}

// firstApp is the first app that the arguments name, if any.
func firstApp(args []string) string {
	names, _, err := splitPairs(args, isEnvChange, "")
	if err != nil || len(names) == 0 || len(names) == 1 && isKind(names[0], appKinds) {
		return ""
	}
	found, err := namesIn(names, appKinds)
	if err != nil {
		return ""
	}
	return found[0]
}

func (p *plugin) appNamed(ctx context.Context, name string) *v1alpha1.App {
	client, namespace, err := p.connect()
	if err != nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, completionTimeout)
	defer cancel()
	app, err := client.Apps(namespace).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return nil
	}
	return app
}

func imagePairs(app *v1alpha1.App) (words []string) {
	for _, container := range app.Spec.Template.Spec.Containers {
		words = append(words, container.Name+"=")
	}
	return words
}

func envPairs(app *v1alpha1.App) (words []string) {
	for _, container := range app.Spec.Template.Spec.Containers {
		for _, variable := range container.Env {
			words = append(words, variable.Name+"=", variable.Name+"-")
		}
	}
	slices.Sort(words)
	return slices.Compact(words)
}

func (p *plugin) completeContainers(cmd *cobra.Command, args []string, toComplete string) (words []string, _ cobra.ShellCompDirective) {
	if app := p.appNamed(cmd.Context(), firstApp(args)); app != nil {
		for _, container := range app.Spec.Template.Spec.Containers {
			if strings.HasPrefix(container.Name, toComplete) {
				words = append(words, container.Name)
			}
		}
	}
	return words, cobra.ShellCompDirectiveNoFileComp
}

// completeObject offers objects of the fleet, as TYPE/NAME or TYPE NAME. IDs come from messages.
func (p *plugin) completeObject(cmd *cobra.Command, args []string, toComplete string) ([]string, cobra.ShellCompDirective) {
	resources := map[string]string{"app": "apps", "release": "releases", "instance": "instances", "host": "hosts"}
	kind, _, slash := strings.Cut(toComplete, "/")
	if len(args) == 1 {
		kind = args[0]
	}
	switch {
	case len(args) > 1 || len(args) == 1 && slash:
		return nil, cobra.ShellCompDirectiveNoFileComp
	case len(args) == 0 && !slash:
		var words []string
		for _, word := range slices.Sorted(maps.Keys(resources)) {
			if strings.HasPrefix(word, toComplete) {
				words = append(words, word+"/")
			}
		}
		return words, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
	}
	for singular, plural := range resources {
		if kinds := kindNames(singular, plural); isKind(kind, kinds) {
			return p.complete(v1alpha1.SchemeGroupVersion.WithResource(plural), 0, kinds)(cmd, nil, toComplete)
		}
	}
	return nil, cobra.ShellCompDirectiveNoFileComp
}

// completeTarget offers the names of instances, and app/NAME.
func (p *plugin) completeTarget(cmd *cobra.Command, args []string, toComplete string) ([]string, cobra.ShellCompDirective) {
	kind, _, slash := strings.Cut(toComplete, "/")
	switch {
	case len(args) > 0:
		return nil, cobra.ShellCompDirectiveNoFileComp
	case slash && isKind(kind, appKinds):
		return p.complete(v1alpha1.SchemeGroupVersion.WithResource("apps"), 1, appKinds)(cmd, nil, toComplete)
	}
	words, directive := p.complete(v1alpha1.SchemeGroupVersion.WithResource(instancesResource), 1, instanceKinds)(cmd, nil, toComplete)
	if strings.HasPrefix("app/", toComplete) && !slash {
		return append(words, "app/"), directive | cobra.ShellCompDirectiveNoSpace
	}
	return words, directive
}

// completePlace offers instances, and the files of this machine.
func (p *plugin) completePlace(cmd *cobra.Command, args []string, toComplete string) (words []string, _ cobra.ShellCompDirective) {
	if len(args) > 1 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	if toComplete == "" || strings.ContainsAny(toComplete, "/.:") {
		return nil, cobra.ShellCompDirectiveDefault
	}
	for _, name := range p.namesOf(cmd.Context(), v1alpha1.SchemeGroupVersion.WithResource(instancesResource)) {
		if strings.HasPrefix(name, toComplete) {
			words = append(words, name+":")
		}
	}
	return words, cobra.ShellCompDirectiveNoSpace
}

// completeContainer offers the containers of the instance or app that is named.
func (p *plugin) completeContainer(cmd *cobra.Command, args []string, toComplete string) (words []string, _ cobra.ShellCompDirective) {
	client, namespace, err := p.connect()
	if err != nil || len(args) == 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), completionTimeout)
	defer cancel()
	instances, _, err := instancesFor(ctx, client, namespace, args[0])
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	for _, name := range containerNames(&instances[0]) {
		if strings.HasPrefix(name, toComplete) {
			words = append(words, name)
		}
	}
	return words, cobra.ShellCompDirectiveNoFileComp
}
