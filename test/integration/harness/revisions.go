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

package harness

import (
	"fmt"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
)

// SeedRevisions stores an app with the image web:3 and its releases with web:1 to web:3, as
// the app controller creates them.
func SeedRevisions(t *testing.T, client FleetClient) *v1alpha1.App {
	t.Helper()
	labels := map[string]string{"app": "web"}
	template := v1alpha1.InstanceTemplateSpec{
		ObjectMeta: metav1.ObjectMeta{Labels: labels},
		Spec:       v1alpha1.InstanceSpec{Containers: []v1alpha1.Container{{Name: "web", Image: "web:3"}}},
	}
	app, err := client.FleetV1alpha1().Apps("default").Create(t.Context(), &v1alpha1.App{
		ObjectMeta: metav1.ObjectMeta{Name: "web"},
		Spec:       v1alpha1.AppSpec{Selector: &metav1.LabelSelector{MatchLabels: labels}, Template: template},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for number := 1; number <= 3; number++ {
		old := *app.Spec.Template.DeepCopy()
		old.Spec.Containers[0].Image = fmt.Sprintf("web:%d", number)
		old.Labels[v1alpha1.TemplateHashLabel] = fmt.Sprintf("hash%d", number)
		if _, err := client.FleetV1alpha1().Releases("default").Create(t.Context(), &v1alpha1.Release{
			ObjectMeta: metav1.ObjectMeta{
				Name: fmt.Sprintf("web-%d", number), Labels: old.Labels, Annotations: map[string]string{v1alpha1.RevisionAnnotation: fmt.Sprint(number)},
				OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(app, v1alpha1.SchemeGroupVersion.WithKind("App"))},
			},
			Spec: v1alpha1.ReleaseSpec{Selector: &metav1.LabelSelector{MatchLabels: old.Labels}, Template: old},
		}, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	return app
}
