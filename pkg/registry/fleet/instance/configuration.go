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

package instance

import (
	"context"
	"fmt"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/registry/rest"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet"
)

// maxConfigurationBytes bounds the answer. A ConfigMap or Secret has 1 MiB at most, but an instance
// may refer to many.
const maxConfigurationBytes = 16 << 20

// ObjectReader reads the ConfigMaps and Secrets to which instances refer. An absent object is a
// NotFound error.
type ObjectReader interface {
	ConfigMap(ctx context.Context, namespace, name string) (*corev1.ConfigMap, error)
	Secret(ctx context.Context, namespace, name string) (*corev1.Secret, error)
}

// ConfigurationREST is the configuration endpoint of instances. The host to which an instance is
// bound reads there the keys of ConfigMaps and Secrets to which the instance refers, and no others:
// hosts have no right to read ConfigMaps and Secrets themselves.
//
// Only the bound host may read it: no other host, and no user with a role that allows it.
type ConfigurationREST struct {
	instances rest.Getter
	objects   ObjectReader
}

var (
	_ rest.Getter = &ConfigurationREST{}
	_ rest.Scoper = &ConfigurationREST{}
)

// New returns an empty InstanceConfiguration.
func (r *ConfigurationREST) New() runtime.Object { return &fleet.InstanceConfiguration{} }

// Destroy does nothing: the storage of instances is closed elsewhere.
func (r *ConfigurationREST) Destroy() {}

// NamespaceScoped is true, as for instances.
func (r *ConfigurationREST) NamespaceScoped() bool { return true }

// Get returns the data to which the named instance refers.
func (r *ConfigurationREST) Get(ctx context.Context, name string, _ *metav1.GetOptions) (runtime.Object, error) {
	instance, err := boundTo(ctx, r.instances, name, "configuration", "the configuration of an instance is for the host to which it is bound")
	if err != nil {
		return nil, err
	}
	configMaps, secrets := referencesOf(&instance.Spec)
	out := &fleet.InstanceConfiguration{ObjectMeta: metav1.ObjectMeta{Namespace: instance.Namespace, Name: instance.Name, UID: instance.UID}}
	size := 0
	for _, name := range slices.Sorted(maps.Keys(configMaps)) {
		object, err := r.objects.ConfigMap(ctx, instance.Namespace, name)
		if err != nil && !apierrors.IsNotFound(err) {
			return nil, err
		}
		data := fleet.ReferencedData{Name: name, Found: err == nil}
		if err == nil {
			data.Data = configMaps[name].of(withText(object))
		}
		if size += sizeOf(data.Data); size > maxConfigurationBytes {
			return nil, tooLarge(instance.Name)
		}
		out.ConfigMaps = append(out.ConfigMaps, data)
	}
	for _, name := range slices.Sorted(maps.Keys(secrets)) {
		object, err := r.objects.Secret(ctx, instance.Namespace, name)
		if err != nil && !apierrors.IsNotFound(err) {
			return nil, err
		}
		data := fleet.ReferencedData{Name: name, Found: err == nil}
		if err == nil {
			data.Type, data.Data = string(object.Type), secrets[name].of(object.Data)
		}
		if size += sizeOf(data.Data); size > maxConfigurationBytes {
			return nil, tooLarge(instance.Name)
		}
		out.Secrets = append(out.Secrets, data)
	}
	return out, nil
}

func tooLarge(name string) error {
	return apierrors.NewRequestEntityTooLargeError(fmt.Sprintf("the ConfigMaps and Secrets of instance %s have more than %d MiB together: refer to fewer, or to fewer keys of them", name, maxConfigurationBytes>>20))
}

func sizeOf(data map[string][]byte) int {
	size := 0
	for key, value := range data {
		size += len(key) + len(value)
	}
	return size
}

// withText returns the binary and the text values of a ConfigMap.
func withText(object *corev1.ConfigMap) map[string][]byte {
	all := make(map[string][]byte, len(object.Data)+len(object.BinaryData))
	maps.Copy(all, object.BinaryData)
	for key, value := range object.Data {
		all[key] = []byte(value)
	}
	return all
}

// keys are the keys of one object to which an instance refers.
type keys struct {
	all   bool
	named map[string]bool
}

// of returns the values of the keys, as far as they exist.
func (k *keys) of(data map[string][]byte) map[string][]byte {
	out := map[string][]byte{}
	for key, value := range data {
		if k.all || k.named[key] {
			out[key] = value
		}
	}
	return out
}

// references are the objects of one kind to which an instance refers, by name.
type references map[string]*keys

func (r references) add(name string, names ...string) {
	if r[name] == nil {
		r[name] = &keys{named: map[string]bool{}}
	}
	for _, key := range names {
		r[name].named[key] = true
	}
}

// addAll adds an object with all keys.
func (r references) addAll(name string) {
	r.add(name)
	r[name].all = true
}

func (r references) addItems(name string, items []fleet.KeyToPath) {
	if len(items) == 0 {
		r.addAll(name)
		return
	}
	for i := range items {
		r.add(name, items[i].Key)
	}
}

// referencesOf returns the ConfigMaps and Secrets to which an instance refers. Volumes that no
// container mounts count: the API does not distinguish them.
func referencesOf(spec *fleet.InstanceSpec) (configMaps, secrets references) {
	configMaps, secrets = references{}, references{}
	for i := range spec.Containers {
		for j := range spec.Containers[i].EnvFrom {
			if from := spec.Containers[i].EnvFrom[j].ConfigMapRef; from != nil {
				configMaps.addAll(from.Name)
			}
			if from := spec.Containers[i].EnvFrom[j].SecretRef; from != nil {
				secrets.addAll(from.Name)
			}
		}
		for j := range spec.Containers[i].Env {
			from := spec.Containers[i].Env[j].ValueFrom
			if from == nil {
				continue
			}
			if key := from.ConfigMapKeyRef; key != nil {
				configMaps.add(key.Name, key.Key)
			}
			if key := from.SecretKeyRef; key != nil {
				secrets.add(key.Name, key.Key)
			}
		}
	}
	for i := range spec.Volumes {
		if source := spec.Volumes[i].ConfigMap; source != nil {
			configMaps.addItems(source.Name, source.Items)
		}
		if source := spec.Volumes[i].Secret; source != nil {
			secrets.addItems(source.SecretName, source.Items)
		}
	}
	for i := range spec.ImagePullSecrets {
		secrets.add(spec.ImagePullSecrets[i].Name, corev1.DockerConfigJsonKey, corev1.DockerConfigKey)
	}
	return configMaps, secrets
}
