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
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/gatehouse-dev/gatehouse/pkg/agent/runtime"
	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
)

// dockerHub is the registry of images without one.
const dockerHub = "docker.io"

// entry is a registry in a file of Docker's credentials.
type entry struct {
	Username      string `json:"username"`
	Password      string `json:"password"`
	Auth          string `json:"auth"`
	IdentityToken string `json:"identitytoken"`
}

// Logins implements runtime.Provider. A Secret that does not exist, or has another type, is passed
// over, as a kubelet does: the image may be present or public.
func (m *Manager) Logins(ctx context.Context, instance *v1alpha1.Instance, image string) ([]runtime.Login, error) {
	if len(instance.Spec.ImagePullSecrets) == 0 {
		return nil, nil
	}
	defer m.lock(instance.UID)()
	config, err := m.configuration(ctx, instance)
	if err != nil {
		return nil, err
	}
	var logins []runtime.Login
	for i := range instance.Spec.ImagePullSecrets {
		object := config.secrets[instance.Spec.ImagePullSecrets[i].Name]
		if object == nil || !object.Found {
			continue
		}
		entries, err := entriesOf(object)
		if err != nil {
			return nil, fmt.Errorf("imagePullSecrets: Secret %q: %w", object.Name, err)
		}
		logins = append(logins, matching(entries, image)...)
	}
	return logins, nil
}

// entriesOf reads the registries of a Secret.
func entriesOf(object *v1alpha1.ReferencedData) (map[string]entry, error) {
	switch corev1.SecretType(object.Type) {
	case corev1.SecretTypeDockerConfigJson:
		config := struct {
			Auths map[string]entry `json:"auths"`
		}{}
		if err := json.Unmarshal(object.Data[corev1.DockerConfigJsonKey], &config); err != nil {
			return nil, fmt.Errorf("%s cannot be read as JSON", corev1.DockerConfigJsonKey) // the error may quote the password
		}
		return config.Auths, nil
	case corev1.SecretTypeDockercfg:
		entries := map[string]entry{}
		if err := json.Unmarshal(object.Data[corev1.DockerConfigKey], &entries); err != nil {
			return nil, fmt.Errorf("%s cannot be read as JSON", corev1.DockerConfigKey)
		}
		return entries, nil
	}
	return nil, nil
}

// matching returns the logins for the repository of an image, those of the longest path first.
func matching(entries map[string]entry, image string) []runtime.Login {
	repository := repositoryOf(image)
	var places []string
	for place := range entries {
		if covers(normalized(place), repository) {
			places = append(places, place)
		}
	}
	slices.SortFunc(places, func(a, b string) int {
		if d := len(normalized(b)) - len(normalized(a)); d != 0 {
			return d
		}
		return strings.Compare(a, b)
	})
	var logins []runtime.Login
	for _, place := range places {
		e := entries[place]
		if e.Username == "" && e.Auth != "" {
			if decoded, err := base64.StdEncoding.DecodeString(e.Auth); err == nil {
				e.Username, e.Password, _ = strings.Cut(string(decoded), ":")
			}
		}
		logins = append(logins, runtime.Login{Server: normalized(place), Username: e.Username, Password: e.Password, IdentityToken: e.IdentityToken})
	}
	return logins
}

// repositoryOf returns registry and path of an image, without its tag and digest.
func repositoryOf(image string) string {
	name, _, _ := strings.Cut(image, "@")
	if slash := strings.LastIndex(name, "/"); strings.Contains(name[slash+1:], ":") {
		name = name[:strings.LastIndex(name, ":")]
	}
	first, rest, found := strings.Cut(name, "/")
	if !found {
		return dockerHub + "/library/" + name
	}
	if !strings.ContainsAny(first, ".:") && first != "localhost" {
		return dockerHub + "/" + name
	}
	if first == "index.docker.io" {
		return dockerHub + "/" + rest
	}
	return name
}

// normalized returns registry and path of an entry, which may be a URL.
func normalized(place string) string {
	place = strings.TrimPrefix(strings.TrimPrefix(place, "https://"), "http://")
	host, path, _ := strings.Cut(place, "/")
	if path = strings.Trim(path, "/"); path == "v1" || path == "v2" {
		path = ""
	}
	if host == "index.docker.io" || host == "registry-1.docker.io" {
		host = dockerHub
	}
	return strings.TrimSuffix(host+"/"+path, "/")
}

// covers reports whether a repository is a place or below it. *.example.com covers each host with one
// more label.
func covers(place, repository string) bool {
	host, path, _ := strings.Cut(place, "/")
	ofHost, ofPath, _ := strings.Cut(repository, "/")
	if below, wild := strings.CutPrefix(host, "*."); wild {
		_, domain, found := strings.Cut(ofHost, ".")
		if !found || domain != below {
			return false
		}
	} else if host != ofHost {
		return false
	}
	return path == "" || ofPath == path || strings.HasPrefix(ofPath, path+"/")
}
