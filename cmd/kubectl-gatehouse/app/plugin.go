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
	"io"
	"net/url"
	"strings"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	utilnet "k8s.io/apimachinery/pkg/util/net"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	utilexec "k8s.io/client-go/util/exec"
	"k8s.io/component-base/version"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
)

// The exit codes, for scripts.
const (
	exitDone = 0
	// exitFailed is the code of all errors, including a failed rollout.
	exitFailed = 1
	// exitUnfinished is for a rollout that has neither succeeded nor failed yet.
	exitUnfinished = 2
)

// fieldManager is the name of the plugin in managedFields.
const fieldManager = "kubectl-gatehouse"

// errUnfinished is not printed: the state of the rollout was printed already.
var errUnfinished = errors.New("the rollout is not finished yet")

// Streams are the command's standard streams. In is nil for none.
type Streams struct {
	In       io.Reader
	Out, Err io.Writer
}

// plugin has the common state of all commands.
type plugin struct {
	Streams
	loading   *clientcmd.ClientConfigLoadingRules
	overrides *clientcmd.ConfigOverrides
	// userExtras are the values of --as-user-extra, as KEY=VALUE.
	userExtras []string
	// warnings prints and counts the warnings in the server's responses.
	warnings interface {
		rest.WarningHandler
		WarningCount() int
	}
	warningsAsErrors bool
}

// Execute runs the command line and returns the exit code.
func Execute(ctx context.Context, args []string, streams Streams) int {
	cmd, p := newCommand(streams)
	cmd.SetArgs(args)
	switch err := p.checkWarnings(cmd.ExecuteContext(ctx)); {
	case err == nil:
		return exitDone
	case errors.Is(err, errUnfinished):
		return exitUnfinished
	case errors.Is(err, errRefused):
		return exitFailed
	case exitCodeOf(err) != exitDone:
		fmt.Fprintln(streams.Err, block(err.Error()))
		return exitCodeOf(err)
	default:
		fmt.Fprintln(streams.Err, "error: "+block(unreachable(err).Error()))
		return exitFailed
	}
}

// exitCodeOf returns the exit code of a program in a container; 0 for another error.
func exitCodeOf(err error) int {
	exit := utilexec.CodeExitError{}
	if errors.As(err, &exit) {
		return exit.Code
	}
	return exitDone
}

// unreachable replaces the error of a connection that was refused, whose text is of Go's network
// packages, by one with the cure.
func unreachable(err error) error {
	failed := (*url.Error)(nil)
	if !utilnet.IsConnectionRefused(err) || !errors.As(err, &failed) {
		return err
	}
	server := failed.URL
	if parsed, parseErr := url.Parse(failed.URL); parseErr == nil {
		server = parsed.Scheme + "://" + parsed.Host
	}
	return fmt.Errorf("the server %s refuses connections: start it, or name another with --server or --kubeconfig", server)
}

// NewCommand returns the command of the plugin, for its manual.
func NewCommand(streams Streams) *cobra.Command {
	cmd, _ := newCommand(streams)
	return cmd
}

func newCommand(streams Streams) (*cobra.Command, *plugin) {
	p := &plugin{
		Streams: streams, loading: clientcmd.NewDefaultClientConfigLoadingRules(), overrides: &clientcmd.ConfigOverrides{},
		warnings: rest.NewWarningWriter(streams.Err, rest.WarningWriterOptions{Deduplicate: true}),
	}
	cmd := group(&cobra.Command{
		Use:   "kubectl-gatehouse",
		Short: "Create, change and roll out apps; cordon, taint and drain hosts; reach containers",
		Long: `The commands that kubectl has for Deployments, Pods and Nodes, for the Apps, Instances and Hosts of a Gatehouse; and
"why" and "top requests", which show what the server did with requests.

Flags of kubectl such as --namespace and --kubeconfig come after the word "gatehouse": kubectl
looks for plugins only where its first argument is the plugin's name.

The exit code is 0 on success and 1 on an error. "rollout status" has one more: see its --help. That of
"exec" is that of the program.`,
		Example: `  # Create an app, change its image and wait for the rollout
  kubectl gatehouse create app web --image=registry.example.com/web:1.0 --replicas=3
  kubectl gatehouse set image app/web web=registry.example.com/web:1.1
  kubectl gatehouse rollout status app/web

  # The namespace comes after the plugin's name
  kubectl gatehouse tree app/web --namespace shop`,
		Annotations:   map[string]string{cobra.CommandDisplayNameAnnotation: "kubectl gatehouse"},
		SilenceUsage:  true,
		SilenceErrors: true,
	})
	cmd.SetOut(streams.Out)
	cmd.SetErr(streams.Err)
	cmd.CompletionOptions.HiddenDefaultCmd = true
	cmd.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return fmt.Errorf("%w; see %s --help", err, cmd.CommandPath())
	})
	p.addFlags(cmd.PersistentFlags())
	cmd.AddCommand(
		newCreateCommand(p), newSetCommand(p), newRolloutCommand(p), newTreeCommand(p),
		newCordonCommand(p, true), newCordonCommand(p, false), newDrainCommand(p), newTaintCommand(p),
		newLogsCommand(p), newExecCommand(p), newAttachCommand(p), newPortForwardCommand(p), newCpCommand(p),
		newWhyCommand(p), newTopCommand(p), newReviewCommand(p), newWatchesCommand(p), newStorageCommand(p), newUICommand(p), newVersionCommand(p),
	)
	p.addCompletion(cmd)
	return cmd, p
}

// Names of resources in arguments: singular and plural first, then short names, then the forms with
// the group, and with version and group.
var (
	appKinds      = kindNames("app", "apps")
	hostKinds     = kindNames("host", "hosts", "ho")
	instanceKinds = kindNames("instance", "instances", "inst")
)

func kindNames(singular, plural string, short ...string) []string {
	group, version := v1alpha1.GroupName, v1alpha1.SchemeGroupVersion.Version+"."+v1alpha1.GroupName
	return append(append([]string{singular, plural}, short...),
		singular+"."+group, plural+"."+group, singular+"."+version, plural+"."+version)
}

// nameIn returns the name in an argument: web, app/web, or what kubectl prints with -o name.
func nameIn(arg string, kinds []string) (string, error) {
	kind, name, ok := strings.Cut(arg, "/")
	if !ok {
		kind, name = kinds[0], arg
	}
	known := false
	for _, k := range kinds {
		known = known || strings.EqualFold(k, kind)
	}
	switch {
	case !known:
		return "", fmt.Errorf("%q names a %s, but this is about %s: write %s/NAME", arg, kind, kinds[1], kinds[0])
	case name == "" || strings.Contains(name, "/"):
		return "", fmt.Errorf("%q names no %s: write %s/NAME", arg, kinds[0], kinds[0])
	}
	return name, nil
}

// explain adds the remedy to a NotFound error of the server.
func explain(err error, kind, name, namespace string) error {
	var answer apierrors.APIStatus
	if !errors.As(err, &answer) || !apierrors.IsNotFound(err) {
		return err
	}
	details := answer.Status().Details
	if details == nil || details.Name == "" {
		return fmt.Errorf("the server does not serve %ss: the kubeconfig is not that of a Gatehouse (%w)", kind, err)
	}
	if namespace == "" {
		return fmt.Errorf("there is no %s %q; \"kubectl get %ss\" lists the existing ones", kind, name, kind)
	}
	return fmt.Errorf("there is no %s %q in the namespace %s; \"kubectl get %ss --all-namespaces\" lists the existing ones", kind, name, namespace, kind)
}

// outputFlag is -o, which is json or nothing.
type outputFlag string

func (o *outputFlag) add(cmd *cobra.Command) {
	cmd.Flags().StringVarP((*string)(o), "output", "o", "", "Output format: json, or a table if empty.")
	completeWords(cmd, "output", "json")
}

func (o *outputFlag) check() error {
	if *o != "" && *o != "json" {
		return fmt.Errorf("--output=%s is unknown: use json, or leave the flag out", *o)
	}
	return nil
}

func (o *outputFlag) json() bool { return *o == "json" }

func (p *plugin) printJSON(value any) error {
	encoder := json.NewEncoder(jsonWriter{p.Out})
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	return encoder.Encode(value)
}

func newVersionCommand(p *plugin) *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			fmt.Fprintf(p.Out, "kubectl-gatehouse %s\n", productVersion())
			return nil
		},
	}
}

// productVersion is the product's own version, which hack/version.sh appends to that of Kubernetes.
func productVersion() string {
	if _, ours, ok := strings.Cut(version.Get().GitVersion, "+gatehouse."); ok {
		return "v" + ours
	}
	return "unknown (built without make)"
}
