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

package provision

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/types"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/klog/v2"
	"k8s.io/utils/ptr"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/pkg/files"
)

// configuration is the data to which an instance refers.
type configuration struct {
	namespace           string
	configMaps, secrets map[string]*v1alpha1.ReferencedData
}

func (m *Manager) savedConfiguration(uid types.UID) string {
	return filepath.Join(m.configurationsDir(), string(uid)+".json")
}

// configuration reads the data to which an instance refers, and saves it on the disk, which only root
// reads. While the server is away, it returns the saved data.
func (m *Manager) configuration(ctx context.Context, instance *v1alpha1.Instance) (*configuration, error) {
	if err := checkUID(instance.UID); err != nil {
		return nil, err
	}
	if !refers(&instance.Spec) {
		return &configuration{namespace: instance.Namespace}, nil
	}
	var answer *v1alpha1.InstanceConfiguration
	err := m.ask(ctx, func(ctx context.Context) (err error) {
		answer, err = m.server.Configuration(ctx, instance.Namespace, instance.Name)
		return err
	})
	switch {
	case errors.Is(err, errAway):
		answer = &v1alpha1.InstanceConfiguration{}
		data, readErr := os.ReadFile(m.savedConfiguration(instance.UID))
		if errors.Is(readErr, os.ErrNotExist) {
			return nil, fmt.Errorf("the ConfigMaps and Secrets of the instance cannot be read: %w, and the host has saved none of an earlier start", err)
		}
		if err := errors.Join(readErr, json.Unmarshal(data, answer)); err != nil {
			return nil, fmt.Errorf("the saved ConfigMaps and Secrets of the instance cannot be read: %w", err)
		}
	case err != nil:
		return nil, fmt.Errorf("the ConfigMaps and Secrets of the instance cannot be read: %w", err)
	case answer.UID != instance.UID:
		return nil, fmt.Errorf("the ConfigMaps and Secrets are those of another instance of this name, with the UID %s", answer.UID)
	default:
		data, err := json.Marshal(answer)
		if err == nil {
			err = files.Replace(m.savedConfiguration(instance.UID), data, 0o600)
		}
		if err != nil {
			klog.FromContext(ctx).Error(err, "Saving ConfigMaps and Secrets failed, the instance does not start without the server", "instance", klog.KObj(instance))
		}
	}
	return &configuration{namespace: instance.Namespace, configMaps: byName(answer.ConfigMaps), secrets: byName(answer.Secrets)}, nil
}

func byName(all []v1alpha1.ReferencedData) map[string]*v1alpha1.ReferencedData {
	out := make(map[string]*v1alpha1.ReferencedData, len(all))
	for i := range all {
		out[all[i].Name] = &all[i]
	}
	return out
}

// refers reports whether an instance refers to ConfigMaps or Secrets.
func refers(spec *v1alpha1.InstanceSpec) bool {
	if len(spec.ImagePullSecrets) > 0 {
		return true
	}
	for i := range spec.Volumes {
		if spec.Volumes[i].ConfigMap != nil || spec.Volumes[i].Secret != nil {
			return true
		}
	}
	for i := range spec.Containers {
		fromObject := func(variable v1alpha1.EnvVar) bool { return variable.ValueFrom != nil }
		if len(spec.Containers[i].EnvFrom) > 0 || slices.ContainsFunc(spec.Containers[i].Env, fromObject) {
			return true
		}
	}
	return false
}

// object returns the data of a ConfigMap or Secret; nil if it is optional and does not exist.
func (c *configuration) object(kind, name string, optional *bool) (*v1alpha1.ReferencedData, error) {
	all := c.configMaps
	if kind == secret {
		all = c.secrets
	}
	if found := all[name]; found != nil && found.Found {
		return found, nil
	}
	if ptr.Deref(optional, false) {
		return nil, nil
	}
	return nil, fmt.Errorf("%s %q does not exist in namespace %q", kind, name, c.namespace)
}

// Kinds in errors.
const (
	configMap = "ConfigMap"
	secret    = "Secret"
)

// variables collects variables; a later one replaces an earlier one of the same name, in its place.
type variables struct {
	places map[string]int
	all    []v1alpha1.EnvVar
}

func (v *variables) set(name, value string) {
	if place, found := v.places[name]; found {
		v.all[place].Value = value
		return
	}
	v.places[name] = len(v.all)
	v.all = append(v.all, v1alpha1.EnvVar{Name: name, Value: value})
}

// environment returns the variables of a container: those of the API, then envFrom, then env.
func (m *Manager) environment(container *v1alpha1.Container, config *configuration) ([]v1alpha1.EnvVar, error) {
	v := &variables{places: map[string]int{}}
	if m.options.ServerHost != "" {
		v.set("KUBERNETES_SERVICE_HOST", m.options.ServerHost)
		v.set("KUBERNETES_SERVICE_PORT", m.options.ServerPort)
		v.set("KUBERNETES_SERVICE_PORT_HTTPS", m.options.ServerPort)
	}
	for i := range container.EnvFrom {
		from := &container.EnvFrom[i]
		kind, source := configMap, from.ConfigMapRef
		if from.SecretRef != nil {
			kind, source = secret, from.SecretRef
		}
		if source == nil {
			continue
		}
		object, err := config.object(kind, source.Name, source.Optional)
		if err != nil {
			return nil, err
		}
		if object == nil {
			continue
		}
		for _, key := range slices.Sorted(maps.Keys(object.Data)) {
			if name := from.Prefix + key; len(utilvalidation.IsRelaxedEnvVarName(name)) == 0 {
				v.set(name, string(object.Data[key]))
			}
		}
	}
	for i := range container.Env {
		variable := &container.Env[i]
		value, isSet, err := config.value(variable)
		if err != nil {
			return nil, err
		}
		if isSet {
			v.set(variable.Name, value)
		}
	}
	return v.all, nil
}

// value returns the value of a variable. isSet is false if an optional source does not exist.
func (c *configuration) value(variable *v1alpha1.EnvVar) (value string, isSet bool, err error) {
	if variable.ValueFrom == nil {
		return variable.Value, true, nil
	}
	kind, key := configMap, variable.ValueFrom.ConfigMapKeyRef
	if variable.ValueFrom.SecretKeyRef != nil {
		kind, key = secret, variable.ValueFrom.SecretKeyRef
	}
	if key == nil {
		return "", false, fmt.Errorf("variable %s has a source that this agent does not know: use a newer gatehouse-agent", variable.Name)
	}
	object, err := c.object(kind, key.Name, key.Optional)
	if object == nil {
		return "", false, err
	}
	data, found := object.Data[key.Key]
	switch {
	case found && strings.ContainsRune(string(data), 0):
		return "", false, fmt.Errorf("key %q of %s %q in namespace %q has a zero byte, which a variable cannot have: mount it as a file", key.Key, kind, key.Name, c.namespace)
	case found:
		return string(data), true, nil
	case ptr.Deref(key.Optional, false):
		return "", false, nil
	}
	return "", false, fmt.Errorf("%s %q in namespace %q has no key %q", kind, key.Name, c.namespace, key.Key)
}
