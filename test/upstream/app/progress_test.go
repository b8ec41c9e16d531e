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
	"math"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/kubernetes/pkg/controller/deployment/util"
	"k8s.io/utils/ptr"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
	controller "github.com/gatehouse-dev/gatehouse/pkg/controller/app"
)

func TestSaturated(t *testing.T) {
	for _, tc := range []struct {
		name    string
		release *v1alpha1.Release
		want    bool
	}{
		{"nothing", nil, false},
		{"all there", newRelease(9, 4, scaledTo(4, 5)), true},
		{"one not available", newRelease(9, 4, scaledTo(4, 5), has(4, 3)), false},
		{"the app was scaled since", newRelease(9, 4, scaledTo(3, 4)), false},
		{"not all yet", newRelease(9, 3, scaledTo(4, 5)), false},
		{"nothing remembered", newRelease(9, 4), false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			agree(t, "saturated", controller.IsSaturated(newApp(4), tc.release), util.IsSaturated(deploymentFor(newApp(4)), replicaSet(tc.release)), tc.want)
		})
	}
}

func TestComplete(t *testing.T) {
	for _, tc := range []struct {
		name    string
		wanted  int32
		options []appOption
		want    bool
	}{
		{"all", 5, []appOption{counts(5, 5, 5, 5)}, true},
		{"none wanted and none there", 0, []appOption{counts(0, 0, 0, 0)}, true},
		{"not all updated", 5, []appOption{counts(5, 4, 5, 5)}, false},
		{"not all available", 5, []appOption{counts(5, 5, 5, 4)}, false},
		{"an old one left", 5, []appOption{counts(6, 5, 5, 5)}, false},
		{"more wanted", 6, []appOption{counts(5, 5, 5, 5)}, false},
		{"not seen the last change", 5, []appOption{counts(5, 5, 5, 5), func(app *v1alpha1.App) { app.Generation = 2 }}, false},
		{"fewer than wanted", 2, []appOption{counts(1, 1, 1, 1)}, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			app := newApp(tc.wanted, tc.options...)
			d := deploymentFor(app)
			agree(t, "complete", controller.Complete(app, &app.Status), util.DeploymentComplete(d, &d.Status), tc.want)
		})
	}
}

func TestProgress(t *testing.T) {
	for _, tc := range []struct {
		name        string
		before, now appOption
		want        bool
	}{
		{"one updated, none ready", counts(10, 4, 4, 4), counts(10, 6, 4, 4), true},
		{"nothing", counts(10, 4, 4, 4), counts(10, 4, 4, 4), false},
		{"an old one gone", counts(10, 4, 8, 8), counts(8, 4, 8, 8), true},
		{"an old one gone, and a new one", counts(10, 4, 8, 8), counts(10, 6, 8, 8), true},
		{"an old one more", counts(8, 4, 8, 8), counts(10, 4, 8, 8), false},
		{"a new one gone", counts(10, 6, 8, 8), counts(9, 5, 8, 8), false},
		{"one ready", counts(10, 4, 8, 8), counts(10, 4, 9, 8), true},
		{"one available", counts(10, 4, 9, 8), counts(10, 4, 9, 9), true},
		{"fewer available", counts(10, 4, 9, 9), counts(10, 4, 9, 8), false},
		{"fewer ready", counts(10, 4, 9, 8), counts(10, 4, 8, 8), false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			app, now := newApp(10, tc.before), newApp(10, tc.now)
			their := deploymentStatus(&now.Status)
			agree(t, "progress", controller.Progressing(app, &now.Status), util.DeploymentProgressing(deploymentFor(app), &their), tc.want)
		})
	}
}

func TestDeadline(t *testing.T) {
	now := time.Now()
	const yes, no, unknown = metav1.ConditionTrue, metav1.ConditionFalse, metav1.ConditionUnknown
	for _, tc := range []struct {
		name string
		app  *v1alpha1.App
		want bool
	}{
		{"no deadline", newApp(3, deadline(nil), progressing(yes, "ReleaseUpdated", now.Add(-time.Hour))), false},
		{"no deadline, as the maximum", newApp(3, deadline(ptr.To[int32](math.MaxInt32)), progressing(yes, "ReleaseUpdated", now.Add(-time.Hour))), false},
		{"nothing is known", newApp(3), false},
		{"it is time yet", newApp(3, progressing(yes, "ReleaseUpdated", now.Add(-50*time.Second))), false},
		{"it is too late", newApp(3, progressing(yes, "ReleaseUpdated", now.Add(-70*time.Second))), true},
		{"too late since it was created", newApp(3, progressing(yes, "NewReleaseCreated", now.Add(-70*time.Second))), true},
		{"too late since it was resumed", newApp(3, progressing(unknown, "AppResumed", now.Add(-70*time.Second))), true},
		{"it has been complete before", newApp(3, progressing(yes, "NewReleaseAvailable", now.Add(-time.Hour))), false},
		{"it has been too late before", newApp(3, progressing(no, "ProgressDeadlineExceeded", now)), true},
		{"it cannot be created for too long", newApp(3, progressing(no, "ReleaseCreateError", now.Add(-70*time.Second))), true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			d := deploymentFor(tc.app)
			agree(t, "timed out", controller.TimedOut(tc.app, &tc.app.Status, now), util.DeploymentTimedOut(t.Context(), d, &d.Status), tc.want)
			agree(t, "waits", controller.HasProgressDeadline(tc.app), util.HasProgressDeadline(d), tc.app.Spec.ProgressDeadlineSeconds != nil && *tc.app.Spec.ProgressDeadlineSeconds == 60)
		})
	}
}
