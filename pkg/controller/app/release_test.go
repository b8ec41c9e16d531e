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
	"testing"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1/helper"
)

func TestANewRelease(t *testing.T) {
	app := makeApp(3)
	app.Annotations = map[string]string{"kubernetes.io/change-cause": "why"}
	app.Spec.MinReadySeconds = 5
	old := []*v1alpha1.Release{makeRelease(4, 3)}
	release, err := NewRelease(app, old)
	if err != nil {
		t.Fatal(err)
	}
	hash := release.Labels[v1alpha1.TemplateHashLabel]
	if hash == "" || release.Name != "web-"+hash || release.Spec.Template.Labels[v1alpha1.TemplateHashLabel] != hash || release.Spec.Selector.MatchLabels[v1alpha1.TemplateHashLabel] != hash {
		t.Errorf("the hash is not everywhere: %+v", release)
	}
	if _, found := app.Spec.Selector.MatchLabels[v1alpha1.TemplateHashLabel]; found || len(app.Spec.Template.Labels) != 1 {
		t.Error("the app was changed")
	}
	if release.Annotations["kubernetes.io/change-cause"] != "why" || release.Annotations[v1alpha1.RevisionAnnotation] != "5" {
		t.Errorf("annotations %v", release.Annotations)
	}
	if *release.Spec.Replicas != 1 || release.Spec.MinReadySeconds != 5 {
		t.Errorf("spec %+v", release.Spec)
	}
	if Collides(app, release) {
		t.Error("the release collides with itself")
	}
	others := release.DeepCopy()
	others.OwnerReferences[0].UID = "another"
	otherTemplate := release.DeepCopy()
	otherTemplate.Spec.Template.Spec.Containers[0].Image = "web:1"
	if !Collides(app, others) || !Collides(app, otherTemplate) {
		t.Error("a release of another owner or template is accepted as the app's")
	}
}

func TestAPortWithoutAProtocolMakesNoOtherRelease(t *testing.T) {
	absent, tcp, udp := makeTemplate(1), makeTemplate(1), makeTemplate(1)
	for template, protocol := range map[*v1alpha1.InstanceTemplateSpec]v1alpha1.Protocol{&absent: "", &tcp: v1alpha1.ProtocolTCP, &udp: v1alpha1.ProtocolUDP} {
		template.Spec.Containers[0].Ports = []v1alpha1.ContainerPort{{ContainerPort: 53, Protocol: protocol}}
	}
	for _, row := range []struct {
		name  string
		other *v1alpha1.InstanceTemplateSpec
		same  bool
	}{
		{"with TCP", &tcp, true},
		{"with UDP", &udp, false},
	} {
		hash, err := helper.TemplateHash(&absent, nil)
		other, otherErr := helper.TemplateHash(row.other, nil)
		if err != nil || otherErr != nil {
			t.Fatal(err, otherErr)
		}
		if (hash == other) != row.same || EqualIgnoreHash(&absent, row.other) != row.same {
			t.Errorf("a template %s: the hashes are %s and %s, equal %t", row.name, hash, other, EqualIgnoreHash(&absent, row.other))
		}
	}
	if absent.Spec.Containers[0].Ports[0].Protocol != "" {
		t.Error("the template was changed")
	}
}
