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

package manifests

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	serializer "k8s.io/apimachinery/pkg/runtime/serializer/json"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/kubernetes/scheme"
)

// overlays are the directories that are applied to clusters.
var overlays = []string{"artifacts/deploy", "artifacts/deploy-embedded-etcd"}

// secretKeys are the keys of the Secrets that docs/install.md creates.
var secretKeys = map[string][]string{
	"gatehouse-serving":     {"tls.crt", "tls.key"},
	"gatehouse-etcd-client": {"ca.crt", "tls.crt", "tls.key"},
}

// apiService has the fields of kube-aggregator's type that its strict decoding needs; the module
// itself would change our versions.
type apiService struct {
	metav1.TypeMeta
	metav1.ObjectMeta `json:"metadata"`
	Spec              struct {
		Service struct {
			Namespace, Name string
			Port            int32
		}
		Group, Version                        string
		InsecureSkipTLSVerify                 bool
		CABundle                              string
		GroupPriorityMinimum, VersionPriority int32
	}
}

// rendered has the objects that kubectl would apply: for the server, and separately for the controllers.
type rendered struct {
	objects     []runtime.Object
	controllers []runtime.Object
	api         []apiService
}

// render decodes every document strictly: an unknown field is an error.
func render(t *testing.T, directory string) rendered {
	t.Helper()
	root := filepath.Join("..", "..")
	kubectl := os.Getenv("GATEHOUSE_KUBECTL")
	if kubectl == "" {
		kubectl = filepath.Join(root, "bin", "kubectl")
	}
	cmd := exec.CommandContext(t.Context(), kubectl, "kustomize", filepath.Join(root, directory))
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	output, err := cmd.Output()
	if err != nil {
		t.Fatalf("kubectl kustomize %s: %v %s (is kubectl missing? run `make build`)", directory, err, stderr.String())
	}
	strict := serializer.NewSerializerWithOptions(serializer.DefaultMetaFactory, scheme.Scheme, scheme.Scheme, serializer.SerializerOptions{Yaml: true, Strict: true})
	var all rendered
	for reader := utilyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(output))); ; {
		document, err := reader.Read()
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(document, []byte("kind: APIService\n")) {
			asJSON, err := utilyaml.ToJSON(document)
			if err != nil {
				t.Fatal(err)
			}
			decoder := json.NewDecoder(bytes.NewReader(asJSON))
			decoder.DisallowUnknownFields()
			var api apiService
			if err := decoder.Decode(&api); err != nil {
				t.Fatalf("%v in\n%s", err, document)
			}
			all.api = append(all.api, api)
			continue
		}
		object, _, err := strict.Decode(document, nil, nil)
		if err != nil {
			t.Fatalf("%v in\n%s", err, document)
		}
		if ofControllers(object) {
			all.controllers = append(all.controllers, object)
		} else {
			all.objects = append(all.objects, object)
		}
	}
}

func every[T runtime.Object](r rendered) []T {
	var found []T
	for _, object := range r.objects {
		if o, ok := object.(T); ok {
			found = append(found, o)
		}
	}
	return found
}

func one[T runtime.Object](t *testing.T, r rendered) T {
	t.Helper()
	found := every[T](r)
	if len(found) != 1 {
		t.Fatalf("there are %d of %T, not one", len(found), *new(T))
	}
	return found[0]
}

func container(t *testing.T, r rendered) (corev1.PodSpec, corev1.Container) {
	t.Helper()
	pod := one[*appsv1.Deployment](t, r).Spec.Template.Spec
	if len(pod.Containers) != 1 || len(pod.InitContainers) != 0 {
		t.Fatal("the pod has not exactly one container")
	}
	return pod, pod.Containers[0]
}

func forEveryOverlay(t *testing.T, check func(t *testing.T, r rendered)) {
	for _, directory := range overlays {
		t.Run(directory, func(t *testing.T) { check(t, render(t, directory)) })
	}
}
