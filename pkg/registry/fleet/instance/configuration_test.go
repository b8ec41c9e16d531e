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
	"reflect"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/endpoints/request"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet"
)

// specified is a storage with web-0, bound to edge-1.
type specified struct{ spec fleet.InstanceSpec }

func (s specified) Get(ctx context.Context, name string, options *metav1.GetOptions) (runtime.Object, error) {
	obj, err := oneInstance{"", "edge-1"}.Get(ctx, name, options)
	if err != nil {
		return nil, err
	}
	instance := obj.(*fleet.Instance)
	instance.Spec = s.spec
	instance.Spec.HostName = "edge-1"
	return instance, nil
}

// objects has one ConfigMap and one Secret, and counts the reads.
type objects struct{ reads int }

func (o *objects) ConfigMap(_ context.Context, namespace, name string) (*corev1.ConfigMap, error) {
	o.reads++
	if namespace+"/"+name != "shop/settings" {
		return nil, apierrors.NewNotFound(corev1.Resource("configmaps"), name)
	}
	return &corev1.ConfigMap{Data: map[string]string{"level": "info", "theme": "dark"}, BinaryData: map[string][]byte{"logo": {0xff}}}, nil
}

func (o *objects) Secret(_ context.Context, namespace, name string) (*corev1.Secret, error) {
	o.reads++
	if namespace+"/"+name != "shop/database" {
		return nil, apierrors.NewNotFound(corev1.Resource("secrets"), name)
	}
	return &corev1.Secret{Type: corev1.SecretTypeOpaque, Data: map[string][]byte{"user": []byte("u"), "password": []byte("p"), corev1.DockerConfigJsonKey: []byte("{}")}}, nil
}

func bytesOf(values map[string]string) map[string][]byte {
	out := map[string][]byte{}
	for key, value := range values {
		out[key] = []byte(value)
	}
	return out
}

func TestAHostReadsTheKeysToWhichItsInstanceRefersAndNoOthers(t *testing.T) {
	secretEnv := func(name, key string) fleet.InstanceSpec {
		return fleet.InstanceSpec{Containers: []fleet.Container{{Env: []fleet.EnvVar{{Name: "A", ValueFrom: &fleet.EnvVarSource{SecretKeyRef: &fleet.KeySelector{Name: name, Key: key}}}}}}}
	}
	for _, tc := range []struct {
		name                string
		spec                fleet.InstanceSpec
		configMaps, secrets []fleet.ReferencedData
	}{
		{name: "nothing, without a reference", spec: fleet.InstanceSpec{Containers: []fleet.Container{{Env: []fleet.EnvVar{{Name: "A", Value: "b"}}}}}},
		{
			name: "one key of a Secret", spec: secretEnv("database", "user"),
			secrets: []fleet.ReferencedData{{Name: "database", Found: true, Type: "Opaque", Data: bytesOf(map[string]string{"user": "u"})}},
		},
		{name: "a key that does not exist", spec: secretEnv("database", "none"), secrets: []fleet.ReferencedData{{Name: "database", Found: true, Type: "Opaque", Data: bytesOf(nil)}}},
		{name: "a Secret that does not exist", spec: secretEnv("none", "user"), secrets: []fleet.ReferencedData{{Name: "none"}}},
		{
			name:       "one key of a ConfigMap",
			spec:       fleet.InstanceSpec{Containers: []fleet.Container{{Env: []fleet.EnvVar{{Name: "A", ValueFrom: &fleet.EnvVarSource{ConfigMapKeyRef: &fleet.KeySelector{Name: "settings", Key: "level"}}}}}}},
			configMaps: []fleet.ReferencedData{{Name: "settings", Found: true, Data: bytesOf(map[string]string{"level": "info"})}},
		},
		{
			name: "all keys, as variables",
			spec: fleet.InstanceSpec{Containers: []fleet.Container{{EnvFrom: []fleet.EnvFromSource{{ConfigMapRef: &fleet.EnvSource{Name: "settings"}}}}}},
			configMaps: []fleet.ReferencedData{{Name: "settings", Found: true, Data: map[string][]byte{
				"level": []byte("info"), "theme": []byte("dark"), "logo": {0xff},
			}}},
		},
		{
			name:       "the items of a volume, and a key of the same object",
			spec:       fleet.InstanceSpec{Volumes: []fleet.Volume{{ConfigMap: &fleet.ConfigMapVolumeSource{Name: "settings", Items: []fleet.KeyToPath{{Key: "theme", Path: "t"}}}}}, Containers: []fleet.Container{{Env: []fleet.EnvVar{{Name: "A", ValueFrom: &fleet.EnvVarSource{ConfigMapKeyRef: &fleet.KeySelector{Name: "settings", Key: "level"}}}}}}},
			configMaps: []fleet.ReferencedData{{Name: "settings", Found: true, Data: bytesOf(map[string]string{"level": "info", "theme": "dark"})}},
		},
		{
			name:    "the credentials of a registry",
			spec:    fleet.InstanceSpec{ImagePullSecrets: []fleet.LocalObjectReference{{Name: "database"}}},
			secrets: []fleet.ReferencedData{{Name: "database", Found: true, Type: "Opaque", Data: bytesOf(map[string]string{corev1.DockerConfigJsonKey: "{}"})}},
		},
		{
			name:    "a whole Secret, as files",
			spec:    fleet.InstanceSpec{Volumes: []fleet.Volume{{Secret: &fleet.SecretVolumeSource{SecretName: "database"}}}},
			secrets: []fleet.ReferencedData{{Name: "database", Found: true, Type: "Opaque", Data: bytesOf(map[string]string{"user": "u", "password": "p", corev1.DockerConfigJsonKey: "{}"})}},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			edge := &user.DefaultInfo{Name: "system:host:edge-1", Groups: []string{"system:hosts"}}
			ctx := request.WithUser(request.WithNamespace(t.Context(), "shop"), edge)
			obj, err := (&ConfigurationREST{instances: specified{tc.spec}, objects: &objects{}}).Get(ctx, "web-0", &metav1.GetOptions{})
			if err != nil {
				t.Fatal(err)
			}
			got := obj.(*fleet.InstanceConfiguration)
			if got.UID != "uid-0" || got.Name != "web-0" || got.Namespace != "shop" {
				t.Errorf("it is that of %v", got.ObjectMeta)
			}
			if !reflect.DeepEqual(got.ConfigMaps, tc.configMaps) || !reflect.DeepEqual(got.Secrets, tc.secrets) {
				t.Errorf("got %+v and %+v", got.ConfigMaps, got.Secrets)
			}
		})
	}
}

func TestTheConfigurationOfAnInstanceIsOnlyForItsHost(t *testing.T) {
	spec := fleet.InstanceSpec{Volumes: []fleet.Volume{{Secret: &fleet.SecretVolumeSource{SecretName: "database"}}}}
	for _, tc := range []struct {
		name, user, group, instance string
	}{
		{"another host", "system:host:edge-2", "system:hosts", "web-0"},
		{"a caller with the name of the host and not its group", "system:host:edge-1", "system:authenticated", "web-0"},
		{"an administrator", "admin", "system:masters", "web-0"},
		{"the host, of an instance that does not exist", "system:host:edge-1", "system:hosts", "web-1"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			ctx := request.WithUser(request.WithNamespace(t.Context(), "shop"), &user.DefaultInfo{Name: tc.user, Groups: []string{tc.group}})
			read := &objects{}
			obj, err := (&ConfigurationREST{instances: specified{spec}, objects: read}).Get(ctx, tc.instance, &metav1.GetOptions{})
			if !apierrors.IsForbidden(err) || obj != nil || read.reads != 0 {
				t.Fatalf("got %v, %v after %d reads", obj, err, read.reads)
			}
			if !strings.HasSuffix(err.Error(), "and "+tc.user+" is not it") {
				t.Errorf("the answer reveals more than that: %v", err)
			}
		})
	}
}
