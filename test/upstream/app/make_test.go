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
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
)

var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

type appOption func(*v1alpha1.App)

// newApp returns an app with rolling updates, maxSurge 0 and maxUnavailable 1.
func newApp(replicas int32, options ...appOption) *v1alpha1.App {
	labels := map[string]string{"app": "web"}
	app := &v1alpha1.App{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "web", UID: "web", Generation: 1, Annotations: map[string]string{}},
		Spec: v1alpha1.AppSpec{
			Replicas: &replicas, Selector: &metav1.LabelSelector{MatchLabels: labels}, Template: template("v9"),
			RevisionHistoryLimit: ptr.To[int32](10), ProgressDeadlineSeconds: ptr.To[int32](60),
		},
	}
	rolling("0", "1")(app)
	for _, option := range options {
		option(app)
	}
	return app
}

func template(image string) v1alpha1.InstanceTemplateSpec {
	return v1alpha1.InstanceTemplateSpec{
		ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": "web"}},
		Spec:       v1alpha1.InstanceSpec{Containers: []v1alpha1.Container{{Name: "web", Image: image}}},
	}
}

// rolling takes numbers and percentages; an empty string leaves a field unset.
func rolling(surge, unavailable string) appOption {
	return func(app *v1alpha1.App) {
		app.Spec.Strategy = v1alpha1.AppStrategy{
			Type:          v1alpha1.RollingUpdateAppStrategy,
			RollingUpdate: &v1alpha1.RollingUpdateApp{MaxSurge: amount(surge), MaxUnavailable: amount(unavailable)},
		}
	}
}

func amount(text string) *intstr.IntOrString {
	if text == "" {
		return nil
	}
	return ptr.To(intstr.Parse(text))
}

func recreate(app *v1alpha1.App) {
	app.Spec.Strategy = v1alpha1.AppStrategy{Type: v1alpha1.RecreateAppStrategy}
}

func paused(app *v1alpha1.App) { app.Spec.Paused = true }

func historyLimit(limit int32) appOption {
	return func(app *v1alpha1.App) { app.Spec.RevisionHistoryLimit = &limit }
}

func deadline(seconds *int32) appOption {
	return func(app *v1alpha1.App) { app.Spec.ProgressDeadlineSeconds = seconds }
}

// counts sets the numbers of replicas, updated, ready and available instances.
func counts(replicas, updated, ready, available int32) appOption {
	return func(app *v1alpha1.App) {
		app.Status = v1alpha1.AppStatus{
			ObservedGeneration: app.Generation, Replicas: replicas, UpdatedReplicas: updated, ReadyReplicas: ready, AvailableReplicas: available,
			UnavailableReplicas: app.Status.UnavailableReplicas, LastProgressTime: app.Status.LastProgressTime, Conditions: app.Status.Conditions,
		}
	}
}

func progressing(status metav1.ConditionStatus, reason string, since time.Time) appOption {
	return func(app *v1alpha1.App) {
		app.Status.LastProgressTime = ptr.To(metav1.NewTime(since))
		app.Status.Conditions = []metav1.Condition{{
			Type: v1alpha1.AppConditionProgressing, Status: status, Reason: reason, LastTransitionTime: metav1.NewTime(since),
		}}
	}
}

type releaseOption func(*v1alpha1.Release)

// newRelease returns a release of the app, created in the minute of its number, with as many available
// instances as it wants. Release v9 has the app's template.
func newRelease(number int, replicas int32, options ...releaseOption) *v1alpha1.Release {
	name := fmt.Sprintf("web-v%d", number)
	app := newApp(1)
	spec := template(fmt.Sprintf("v%d", number))
	spec.Labels[v1alpha1.TemplateHashLabel] = name
	release := &v1alpha1.Release{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "default", Name: name, UID: types.UID(name), Labels: spec.Labels, Annotations: map[string]string{}, Generation: 1,
			CreationTimestamp: metav1.NewTime(epoch.Add(time.Duration(number) * time.Minute)),
			OwnerReferences:   []metav1.OwnerReference{*metav1.NewControllerRef(app, v1alpha1.SchemeGroupVersion.WithKind("App"))},
		},
		Spec: v1alpha1.ReleaseSpec{Replicas: &replicas, Selector: &metav1.LabelSelector{MatchLabels: spec.Labels}, Template: spec},
		Status: v1alpha1.ReleaseStatus{
			ObservedGeneration: 1, Replicas: replicas, ReadyReplicas: replicas, AvailableReplicas: replicas,
		},
	}
	for _, option := range options {
		option(release)
	}
	return release
}

func has(replicas, available int32) releaseOption {
	return func(release *v1alpha1.Release) {
		release.Status.Replicas, release.Status.ReadyReplicas, release.Status.AvailableReplicas = replicas, available, available
	}
}

func revision(number string) releaseOption { return annotated(v1alpha1.RevisionAnnotation, number) }

func annotated(annotation, value string) releaseOption {
	return func(release *v1alpha1.Release) { release.Annotations[annotation] = value }
}

// scaledTo sets the size of the app, without and with surge, at the last scaling of the release.
func scaledTo(desired, most int32) releaseOption {
	return func(release *v1alpha1.Release) {
		release.Annotations[v1alpha1.DesiredReplicasAnnotation] = fmt.Sprint(desired)
		release.Annotations[v1alpha1.MaxReplicasAnnotation] = fmt.Sprint(most)
	}
}

func doomed(release *v1alpha1.Release) {
	release.DeletionTimestamp = ptr.To(metav1.NewTime(epoch))
	release.Finalizers = []string{"foregroundDeletion"}
}
