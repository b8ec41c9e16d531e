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
	"maps"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/utils/ptr"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1/helper"
)

// kind returns the kind in owner references to apps.
func kind() schema.GroupVersionKind { return v1alpha1.SchemeGroupVersion.WithKind("App") }

// NewRelease returns the release of the app's template, with the next revision and as many replicas
// as it may start with. The hash is in its labels, its selector and its instances' labels.
func NewRelease(app *v1alpha1.App, old []*v1alpha1.Release) (*v1alpha1.Release, error) {
	hash, err := helper.TemplateHash(&app.Spec.Template, app.Status.CollisionCount)
	if err != nil {
		return nil, err
	}
	template := *app.Spec.Template.DeepCopy()
	template.Labels = hashed(template.Labels, hash)
	selector := app.Spec.Selector.DeepCopy()
	selector.MatchLabels = hashed(selector.MatchLabels, hash)
	release := &v1alpha1.Release{
		ObjectMeta: metav1.ObjectMeta{
			Name:            helper.ReleaseName(app.Name, hash),
			Namespace:       app.Namespace,
			Labels:          maps.Clone(template.Labels),
			OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(app, kind())},
		},
		Spec: v1alpha1.ReleaseSpec{
			Replicas:        ptr.To[int32](0),
			MinReadySeconds: app.Spec.MinReadySeconds,
			Selector:        selector,
			Template:        template,
		},
	}
	replicas, err := NewReplicas(app, addNewest(old, release), release)
	if err != nil {
		return nil, err
	}
	release.Spec.Replicas = &replicas
	SetNewReleaseAnnotations(app, release, MaxRevision(old)+1, false, HistoryLength)
	return release, nil
}

func hashed(labels map[string]string, hash string) map[string]string {
	added := maps.Clone(labels)
	if added == nil {
		added = map[string]string{}
	}
	added[v1alpha1.TemplateHashLabel] = hash
	return added
}

// Collides reports whether an existing release with the name of the app's next one has another
// owner, or another template with the same hash.
func Collides(app *v1alpha1.App, existing *v1alpha1.Release) bool {
	return !metav1.IsControlledBy(existing, app) || !EqualIgnoreHash(&existing.Spec.Template, &app.Spec.Template)
}
