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

package main

import (
	"encoding/json"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/yaml"

	fleet "github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
	fleetscheme "github.com/gatehouse-dev/gatehouse/pkg/generated/clientset/versioned/scheme"
)

func TestAnAdvantageIsARatioAboveOne(t *testing.T) {
	for _, test := range []struct {
		name         string
		ours, theirs float64
		more         bool
		want         string
	}{
		{"more operations", 300, 100, true, "3.0 x"},
		{"fewer operations", 50, 100, true, "0.5 x"},
		{"less time", 100, 250, false, "2.5 x"},
		{"more time", 250, 100, false, "0.4 x"},
		{"nothing measured", 100, 0, true, "-"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := advantage(test.ours, test.theirs, test.more); got != test.want {
				t.Errorf("got %s, not %s", got, test.want)
			}
		})
	}
}

// The peers run the same, and on the host that is asked for.
func TestPeersCreateTheSame(t *testing.T) {
	for _, p := range (&peersBench{}).peers() {
		t.Run(p.name, func(t *testing.T) {
			body, err := p.object("one", "host-1")
			if err != nil {
				t.Fatal(err)
			}
			var name, image, host string
			switch p.name {
			case "Pod":
				var pod corev1.Pod
				err = runtime.DecodeInto(scheme.Codecs.UniversalDeserializer(), body, &pod)
				name, image, host = pod.Name, pod.Spec.Containers[0].Image, pod.Spec.NodeName
			case "CRD":
				var instance fleet.Instance
				err = json.Unmarshal(body, &instance)
				name, image, host = instance.Name, instance.Spec.Containers[0].Image, instance.Spec.HostName
			default:
				var instance fleet.Instance
				err = runtime.DecodeInto(fleetscheme.Codecs.UniversalDeserializer(), body, &instance)
				name, image, host = instance.Name, instance.Spec.Containers[0].Image, "host-1" // by a Binding
			}
			if err != nil || name != "one" || host != "host-1" || image != newInstance("").Spec.Containers[0].Image {
				t.Errorf("%s of image %s on %s (%v)", name, image, host, err)
			}
			if !json.Valid(p.status(1)) || string(p.status(1)) == string(p.status(2)) {
				t.Errorf("two status patches are the same, or invalid: %s", p.status(1))
			}
		})
	}
}

// A field of an instance that the schema lacks would be pruned, and the custom resource smaller than the instance.
func TestTheCustomResourceHasTheFieldsOfAnInstance(t *testing.T) {
	var crd struct {
		Spec struct {
			Versions []struct {
				Schema struct {
					OpenAPIV3Schema crdSchema `json:"openAPIV3Schema"`
				}
			}
		}
	}
	if err := yaml.Unmarshal([]byte(instanceCRD), &crd); err != nil {
		t.Fatal(err)
	}
	body, err := json.Marshal(newInstance("one"))
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range [][]byte{body, statusPatch(1)} {
		var object map[string]any
		if err := json.Unmarshal(text, &object); err != nil {
			t.Fatal(err)
		}
		for _, field := range []string{"spec", "status"} {
			crd.Spec.Versions[0].Schema.OpenAPIV3Schema.Properties[field].check(t, field, object[field])
		}
	}
}

// crdSchema is the part of a schema that decides what is pruned.
type crdSchema struct {
	Properties           map[string]crdSchema
	AdditionalProperties *crdSchema
	Items                *crdSchema
}

func (s crdSchema) check(t *testing.T, path string, value any) {
	t.Helper()
	switch value := value.(type) {
	case map[string]any:
		for name, field := range value {
			below, ok := s.Properties[name]
			if !ok && s.AdditionalProperties != nil {
				below, ok = *s.AdditionalProperties, true
			}
			if !ok {
				t.Errorf("the schema has no %s.%s", path, name)
			}
			below.check(t, path+"."+name, field)
		}
	case []any:
		for _, item := range value {
			if s.Items == nil {
				t.Errorf("the schema has no items of %s", path)
				return
			}
			s.Items.check(t, path, item)
		}
	}
}
