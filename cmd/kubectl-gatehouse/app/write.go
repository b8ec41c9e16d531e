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
	"encoding/json"
	"errors"
	"fmt"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/yaml"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
)

// dryRunAlone is the value of --dry-run without a value.
const dryRunAlone = "unset"

// writeFlags are the flags of commands that create or change objects: --dry-run and --output.
type writeFlags struct {
	dryRun string
	output string
	// printed counts the objects, because YAML separates them by a line.
	printed int
}

func (w *writeFlags) add(cmd *cobra.Command) {
	fs := cmd.Flags()
	fs.StringVar(&w.dryRun, "dry-run", "none", `Must be "none", "server", or "client". With "client", only print what would be sent; with "server", the server checks the request and stores nothing.`)
	fs.StringVarP(&w.output, "output", "o", "", `Output format: json, yaml or name. If empty, one line describes the result.`)
	fs.Lookup("dry-run").NoOptDefVal = dryRunAlone // or it would take the next flag for its value
	completeWords(cmd, "dry-run", "none", "server", "client")
	completeWords(cmd, "output", "json", "yaml", "name")
}

func (w *writeFlags) check() error {
	switch w.dryRun {
	case "none", "server", "client":
	case dryRunAlone:
		return errors.New("--dry-run has no value: use --dry-run=client to send nothing, or --dry-run=server to have the server check it")
	default:
		return fmt.Errorf("--dry-run=%s is unknown: use none, server or client", w.dryRun)
	}
	switch w.output {
	case "", "json", "yaml", "name":
		return nil
	}
	return fmt.Errorf("--output=%s is unknown: use json, yaml or name; \"kubectl get -o\" has more formats", w.output)
}

// onClient reports whether nothing is sent to the server.
func (w *writeFlags) onClient() bool { return w.dryRun == "client" }

// options is the dryRun field of the options of a request.
func (w *writeFlags) options() []string {
	if w.dryRun == "server" {
		return []string{metav1.DryRunAll}
	}
	return nil
}

// done prints an object, or the action on it.
func (p *plugin) done(w *writeFlags, object metav1.Object, resource schema.GroupResource, kind, what string) error {
	line := resource.String() + "/" + object.GetName()
	switch w.output {
	case "":
		switch w.dryRun {
		case "client":
			what += " (dry run)"
		case "server":
			what += " (server dry run)"
		}
		_, err := fmt.Fprintln(p.Out, line+" "+what)
		return err
	case "name":
		_, err := fmt.Fprintln(p.Out, line)
		return err
	}
	fields, err := fieldsOf(object, kind)
	if err != nil {
		return err
	}
	if w.onClient() {
		prune(fields)
	}
	if w.output == "json" {
		return p.printJSON(fields)
	}
	text, err := yaml.Marshal(fields)
	if err != nil {
		return err
	}
	if w.printed++; w.printed > 1 {
		fmt.Fprintln(p.Out, "---")
	}
	_, err = p.Out.Write(text)
	return err
}

// fieldsOf returns an object as it is sent, with its kind and without managedFields,
// which kubectl does not print either.
func fieldsOf(object metav1.Object, kind string) (map[string]any, error) {
	text, err := json.Marshal(object)
	if err != nil {
		return nil, err
	}
	fields := map[string]any{}
	if err := json.Unmarshal(text, &fields); err != nil {
		return nil, err
	}
	fields["apiVersion"], fields["kind"] = v1alpha1.SchemeGroupVersion.String(), kind
	if metadata, ok := fields["metadata"].(map[string]any); ok {
		delete(metadata, "managedFields")
	}
	return fields, nil
}

// prune removes empty objects, which the Go types write for structs without a value. An App has
// no field in which an empty object has a meaning.
func prune(value any) {
	switch value := value.(type) {
	case map[string]any:
		for key, field := range value {
			prune(field)
			if object, ok := field.(map[string]any); ok && len(object) == 0 {
				delete(value, key)
			}
		}
	case []any:
		for _, item := range value {
			prune(item)
		}
	}
}

// Resources as kubectl prints them in front of names.
var (
	appResource      = v1alpha1.Resource("app")
	hostResource     = v1alpha1.Resource("host")
	instanceResource = v1alpha1.Resource("instance")
)

func (p *plugin) doneApp(w *writeFlags, app *v1alpha1.App, what string) error {
	return p.done(w, app, appResource, "App", what)
}

func (p *plugin) doneHost(w *writeFlags, host *v1alpha1.Host, what string) error {
	return p.done(w, host, hostResource, "Host", what)
}
