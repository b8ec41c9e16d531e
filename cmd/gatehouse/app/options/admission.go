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

package options

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/pflag"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/util/sets"
	apiserveradmission "k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/apis/apiserver"
	apiserverinstall "k8s.io/apiserver/pkg/apis/apiserver/install"
	genericoptions "k8s.io/apiserver/pkg/server/options"

	"github.com/gatehouse-dev/gatehouse/pkg/admission"
)

// Admission says which plugins decide whether a write should be allowed. The library's
// options are for the flags; the chain is built by pkg/admission, which orders it.
type Admission struct {
	library *genericoptions.AdmissionOptions
}

func newAdmission() Admission {
	plugins := apiserveradmission.NewPlugins()
	admission.Register(plugins)
	off := sets.New[string]()
	for _, plugin := range admission.Plugins() {
		if plugin.DefaultOff {
			off.Insert(plugin.Name)
		}
	}
	return Admission{&genericoptions.AdmissionOptions{RecommendedPluginOrder: admission.Names(), DefaultOffPlugins: off, Plugins: plugins}}
}

// Enable and Disable do what the flags do.
func (a *Admission) Enable(names ...string) {
	a.library.EnablePlugins = append(a.library.EnablePlugins, names...)
}
func (a *Admission) Disable(names ...string) {
	a.library.DisablePlugins = append(a.library.DisablePlugins, names...)
}

func (a *Admission) addFlags(fs *pflag.FlagSet) {
	a.library.AddFlags(fs)
	on, off := a.defaults()
	fs.Lookup("enable-admission-plugins").Usage = "Admission plugins that run besides those that run anyway, comma separated; their order is the server's own. Off unless named here: " + strings.Join(off, ", ") + "."
	fs.Lookup("disable-admission-plugins").Usage = "Admission plugins that do not run, comma separated, of those that run by default: " + strings.Join(on, ", ") + "."
	fs.Lookup("admission-control-config-file").Usage = "File with an AdmissionConfiguration (apiserver.config.k8s.io/v1): settings of single plugins."
}

func (a *Admission) defaults() (on, off []string) {
	for _, plugin := range admission.Plugins() {
		if plugin.DefaultOff {
			off = append(off, plugin.Name)
		} else {
			on = append(on, plugin.Name)
		}
	}
	return on, off
}

// Enabled are the plugins that run.
func (a *Admission) Enabled() []string {
	var names []string
	for _, plugin := range admission.Plugins() {
		// As in Kubernetes, who enables wins; naming one in both flags is an error.
		off := plugin.DefaultOff || slices.Contains(a.library.DisablePlugins, plugin.Name)
		if !off || slices.Contains(a.library.EnablePlugins, plugin.Name) {
			names = append(names, plugin.Name)
		}
	}
	return names
}

// Configuration reads the settings of single plugins.
func (a *Admission) Configuration() (apiserveradmission.ConfigProvider, error) {
	scheme := runtime.NewScheme()
	apiserverinstall.Install(scheme)
	provider, err := apiserveradmission.ReadAdmissionConfiguration(a.Enabled(), a.library.ConfigFile, scheme)
	if err != nil {
		return nil, fmt.Errorf("--admission-control-config-file: %w", err)
	}
	return provider, nil
}

func (a *Admission) validate() []error {
	known := admission.Names()
	var errs []error
	for _, flag := range []struct {
		name  string
		value []string
	}{{"enable-admission-plugins", a.library.EnablePlugins}, {"disable-admission-plugins", a.library.DisablePlugins}} {
		for _, name := range flag.value {
			if !slices.Contains(known, name) {
				errs = append(errs, fmt.Errorf("--%s: there is no admission plugin %q: use %s", flag.name, name, strings.Join(known, ", ")))
			}
		}
	}
	for _, name := range a.library.EnablePlugins {
		if slices.Contains(a.library.DisablePlugins, name) {
			errs = append(errs, fmt.Errorf("--enable-admission-plugins and --disable-admission-plugins both name %s: leave it out of one", name))
		}
	}
	return append(errs, a.validateFile()...)
}

// validateFile looks at what the library would answer with the end of the process, or not at
// all.
func (a *Admission) validateFile() []error {
	const flag = "admission-control-config-file"
	path := a.library.ConfigFile
	if path == "" {
		return nil
	}
	if errs := readable(flag, path); errs != nil {
		return errs
	}
	content, err := os.ReadFile(path)
	if err != nil {
		return []error{fmt.Errorf("--%s: %w", flag, err)}
	}
	scheme := runtime.NewScheme()
	apiserverinstall.Install(scheme)
	object, err := runtime.Decode(serializer.NewCodecFactory(scheme, serializer.EnableStrict).UniversalDecoder(), content)
	if err != nil {
		return []error{fmt.Errorf("--%s: %s is no AdmissionConfiguration of apiserver.config.k8s.io/v1: %w", flag, path, err)}
	}
	configuration, ok := object.(*apiserver.AdmissionConfiguration)
	if !ok {
		return []error{fmt.Errorf("--%s: %s holds a %T: write an AdmissionConfiguration of apiserver.config.k8s.io/v1", flag, path, object)}
	}
	var errs []error
	for i, plugin := range configuration.Plugins {
		if !slices.Contains(admission.Names(), plugin.Name) {
			errs = append(errs, fmt.Errorf("--%s: plugins[%d].name: there is no admission plugin %q: use %s", flag, i, plugin.Name, strings.Join(admission.Names(), ", ")))
		}
		file := plugin.Path
		if file != "" && !filepath.IsAbs(file) {
			file = filepath.Join(filepath.Dir(path), file)
		}
		if file != "" {
			errs = append(errs, readable(flag, file)...)
		}
	}
	return errs
}
