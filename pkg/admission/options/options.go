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

// Package options has the flags of the admission chain.
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
	"github.com/gatehouse-dev/gatehouse/pkg/files"
)

// Options are the flags that enable and configure admission plugins. pkg/admission builds and
// orders the chain.
type Options struct {
	library *genericoptions.AdmissionOptions
}

// New returns the defaults.
func New() Options {
	plugins := apiserveradmission.NewPlugins()
	admission.Register(plugins)
	off := sets.New[string]()
	for _, plugin := range admission.Plugins() {
		if plugin.DefaultOff {
			off.Insert(plugin.Name)
		}
	}
	return Options{&genericoptions.AdmissionOptions{RecommendedPluginOrder: admission.Names(), DefaultOffPlugins: off, Plugins: plugins}}
}

// Enable adds plugins as --enable-admission-plugins does.
func (o *Options) Enable(names ...string) {
	o.library.EnablePlugins = append(o.library.EnablePlugins, names...)
}

// Disable adds plugins as --disable-admission-plugins does.
func (o *Options) Disable(names ...string) {
	o.library.DisablePlugins = append(o.library.DisablePlugins, names...)
}

// Copy returns options that do not change with these.
func (o *Options) Copy() Options {
	library := *o.library
	library.EnablePlugins, library.DisablePlugins = slices.Clone(library.EnablePlugins), slices.Clone(library.DisablePlugins)
	return Options{&library}
}

// SetConfigFile sets --admission-control-config-file.
func (o *Options) SetConfigFile(path string) { o.library.ConfigFile = path }

// AddFlags adds the flags to a set.
func (o *Options) AddFlags(fs *pflag.FlagSet) {
	o.library.AddFlags(fs)
	on, off := o.defaults()
	fs.Lookup("enable-admission-plugins").Usage = "Admission plugins that run besides the default ones, comma separated; the server sets their order. Off unless named here: " + strings.Join(off, ", ") + "."
	fs.Lookup("disable-admission-plugins").Usage = "Admission plugins that do not run, comma separated, of those that run by default: " + strings.Join(on, ", ") + "."
	fs.Lookup("admission-control-config-file").Usage = "File with an AdmissionConfiguration (apiserver.config.k8s.io/v1): settings of single plugins."
}

func (o *Options) defaults() (on, off []string) {
	for _, plugin := range admission.Plugins() {
		if plugin.DefaultOff {
			off = append(off, plugin.Name)
		} else {
			on = append(on, plugin.Name)
		}
	}
	return on, off
}

// Enabled returns the enabled plugins.
func (o *Options) Enabled() []string {
	var names []string
	for _, plugin := range admission.Plugins() {
		// As in Kubernetes, enabling takes precedence; naming a plugin in both flags is an error.
		off := plugin.DefaultOff || slices.Contains(o.library.DisablePlugins, plugin.Name)
		if !off || slices.Contains(o.library.EnablePlugins, plugin.Name) {
			names = append(names, plugin.Name)
		}
	}
	return names
}

// Configuration reads the settings of the enabled plugins.
func (o *Options) Configuration(enabled []string) (apiserveradmission.ConfigProvider, error) {
	scheme := runtime.NewScheme()
	apiserverinstall.Install(scheme)
	provider, err := apiserveradmission.ReadAdmissionConfiguration(enabled, o.library.ConfigFile, scheme)
	if err != nil {
		return nil, fmt.Errorf("--admission-control-config-file: %w", err)
	}
	return provider, nil
}

// Validate returns an error for each invalid flag.
func (o *Options) Validate() []error {
	known := admission.Names()
	var errs []error
	for _, flag := range []struct {
		name  string
		value []string
	}{{"enable-admission-plugins", o.library.EnablePlugins}, {"disable-admission-plugins", o.library.DisablePlugins}} {
		for _, name := range flag.value {
			if !slices.Contains(known, name) {
				errs = append(errs, fmt.Errorf("--%s: there is no admission plugin %q: use %s", flag.name, name, strings.Join(known, ", ")))
			}
		}
	}
	for _, name := range o.library.EnablePlugins {
		if slices.Contains(o.library.DisablePlugins, name) {
			errs = append(errs, fmt.Errorf("--enable-admission-plugins and --disable-admission-plugins both name %s: leave it out of one", name))
		}
	}
	return append(errs, o.validateFile()...)
}

// validateFile checks what the library would ignore or end the process for.
func (o *Options) validateFile() []error {
	const flag = "admission-control-config-file"
	path := o.library.ConfigFile
	if path == "" {
		return nil
	}
	if errs := files.ValidateFlag(flag, path); errs != nil {
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
		return []error{fmt.Errorf("--%s: %s is not an AdmissionConfiguration of apiserver.config.k8s.io/v1: %w", flag, path, err)}
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
			errs = append(errs, files.ValidateFlag(flag, file)...)
		}
	}
	return errs
}
