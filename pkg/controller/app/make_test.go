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
	"fmt"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
)

var noon = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

// makeApp returns an app of web:9 with maxSurge 1 and maxUnavailable 1.
func makeApp(replicas int32, change ...func(*v1alpha1.App)) *v1alpha1.App {
	labels := map[string]string{"app": "web"}
	app := &v1alpha1.App{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "web", UID: "web", Generation: 1, ResourceVersion: "1"},
		Spec: v1alpha1.AppSpec{
			Replicas: &replicas, Selector: &metav1.LabelSelector{MatchLabels: labels}, Template: makeTemplate(9),
			Strategy: v1alpha1.AppStrategy{Type: v1alpha1.RollingUpdateAppStrategy, RollingUpdate: &v1alpha1.RollingUpdateApp{
				MaxSurge: ptr.To(intstr.FromInt32(1)), MaxUnavailable: ptr.To(intstr.FromInt32(1)),
			}},
			RevisionHistoryLimit: ptr.To[int32](10), ProgressDeadlineSeconds: ptr.To[int32](60),
		},
	}
	for _, f := range change {
		f(app)
	}
	return app
}

func makeTemplate(number int) v1alpha1.InstanceTemplateSpec {
	return v1alpha1.InstanceTemplateSpec{
		ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": "web"}},
		Spec:       v1alpha1.InstanceSpec{Containers: []v1alpha1.Container{{Name: "web", Image: fmt.Sprintf("web:%d", number)}}},
	}
}

// makeRelease returns a release of web:number with that revision and all its replicas available.
func makeRelease(number int, replicas int32, change ...func(*v1alpha1.Release)) *v1alpha1.Release {
	name := fmt.Sprintf("web-%d", number)
	template := makeTemplate(number)
	template.Labels[v1alpha1.TemplateHashLabel] = name
	release := &v1alpha1.Release{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "default", Name: name, UID: types.UID(name), Generation: 1, ResourceVersion: "1", Labels: template.Labels,
			CreationTimestamp: metav1.NewTime(noon.Add(time.Duration(number-20) * time.Hour)),
			Annotations:       map[string]string{v1alpha1.RevisionAnnotation: fmt.Sprint(number)},
			OwnerReferences:   []metav1.OwnerReference{*metav1.NewControllerRef(makeApp(1), kind())},
		},
		Spec:   v1alpha1.ReleaseSpec{Replicas: &replicas, Selector: &metav1.LabelSelector{MatchLabels: template.Labels}, Template: template},
		Status: v1alpha1.ReleaseStatus{ObservedGeneration: 1, Replicas: replicas, ReadyReplicas: replicas, AvailableReplicas: replicas},
	}
	for _, f := range change {
		f(release)
	}
	return release
}

func available(number int32) func(*v1alpha1.Release) {
	return func(r *v1alpha1.Release) { r.Status.ReadyReplicas, r.Status.AvailableReplicas = number, number }
}

func isPaused(app *v1alpha1.App) { app.Spec.Paused = true }

func isRecreated(app *v1alpha1.App) {
	app.Spec.Strategy = v1alpha1.AppStrategy{Type: v1alpha1.RecreateAppStrategy}
}

func says(status metav1.ConditionStatus, reason string, since time.Time) func(*v1alpha1.App) {
	return func(app *v1alpha1.App) {
		app.Status.LastProgressTime = ptr.To(metav1.NewTime(since))
		app.Status.Conditions = append(app.Status.Conditions, metav1.Condition{
			Type: v1alpha1.AppConditionProgressing, Status: status, Reason: reason, LastTransitionTime: metav1.NewTime(since),
		})
	}
}

// words formats scalings in one line.
func words(scalings []Scaling) string {
	var list []string
	for _, scaling := range scalings {
		list = append(list, fmt.Sprintf("%s:%d", scaling.Release.Name, scaling.Replicas))
	}
	return strings.Join(list, " ")
}
