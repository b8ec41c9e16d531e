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
	"bytes"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
)

// newApp returns an app with three replicas, at revision 2, that its controller has observed.
func newApp(status v1alpha1.AppStatus, change ...func(*v1alpha1.App)) *v1alpha1.App {
	status.ObservedGeneration = 5
	app := &v1alpha1.App{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web", UID: "app", Generation: 5, Annotations: map[string]string{v1alpha1.RevisionAnnotation: "2"}},
		Spec:       v1alpha1.AppSpec{Replicas: ptr.To[int32](3)},
		Status:     status,
	}
	for _, f := range change {
		f(app)
	}
	return app
}

func TestHowFarARolloutHasCome(t *testing.T) {
	const goesOn, done, failed = "goes on", "done", "failed"
	finished := v1alpha1.AppStatus{Replicas: 3, UpdatedReplicas: 3, ReadyReplicas: 3, AvailableReplicas: 3}
	late := v1alpha1.AppStatus{Replicas: 4, UpdatedReplicas: 1, AvailableReplicas: 3, Conditions: []metav1.Condition{{
		Type: v1alpha1.AppConditionProgressing, Status: metav1.ConditionFalse, Reason: v1alpha1.AppReasonProgressDeadlineExceeded, Message: "no progress",
	}}}
	paused := func(app *v1alpha1.App) { app.Spec.Paused = true }
	unseen := func(app *v1alpha1.App) { app.Generation++ }
	because := func(kind, reason, message string) func(*v1alpha1.App) {
		return func(app *v1alpha1.App) {
			app.Status.Conditions = append(app.Status.Conditions, metav1.Condition{Type: kind, Status: "False", Reason: reason, Message: message, ObservedGeneration: 5})
			if kind == v1alpha1.AppConditionStalled {
				app.Status.Conditions[len(app.Status.Conditions)-1].Status = "True"
			}
		}
	}
	const ready, stalled = v1alpha1.AppConditionReady, v1alpha1.AppConditionStalled
	for _, tc := range []struct {
		name     string
		app      *v1alpha1.App
		revision int64
		want     string
		says     string
	}{
		{"an image cannot be fetched", newApp(v1alpha1.AppStatus{Replicas: 3, UpdatedReplicas: 3}, because(ready, "ImagePullBackOff", "0 of 3 instances are available; instance web-1: ImagePullBackOff: no such image")), 0, goesOn, `Waiting for app "web" rollout to finish: 0 of 3 updated replicas are available... (instance web-1: ImagePullBackOff: no such image)`},
		{"instances are refused", newApp(v1alpha1.AppStatus{}, because(ready, "FailedCreate", "0 of 3 instances are available; exceeded quota")), 0, goesOn, `Waiting for app "web" rollout to finish: 0 out of 3 new replicas have been updated... (FailedCreate: exceeded quota)`},
		{"numbers are not repeated", newApp(v1alpha1.AppStatus{}, because(ready, v1alpha1.ReasonInstancesUnavailable, "0 of 3 instances are available")), 0, goesOn, `Waiting for app "web" rollout to finish: 0 out of 3 new replicas have been updated...`},
		{"releases come back changed", newApp(v1alpha1.AppStatus{}, because(stalled, v1alpha1.ReasonChangedAtAdmission, "spec.template is stamped")), 0, failed, `app "web" cannot be rolled out: ChangedAtAdmission: spec.template is stamped`},
		{"the controller has not observed the change yet", newApp(finished, unseen), 0, goesOn, `Waiting for app "web" spec update to be observed...`},
		{"an old failure does not apply to a change that was not observed", newApp(late, unseen), 0, goesOn, `Waiting for app "web" spec update to be observed...`},
		{"nothing is there yet", newApp(v1alpha1.AppStatus{}), 0, goesOn, `Waiting for app "web" rollout to finish: 0 out of 3 new replicas have been updated...`},
		{"the new ones come", newApp(v1alpha1.AppStatus{Replicas: 4, UpdatedReplicas: 2, AvailableReplicas: 3}), 0, goesOn, `Waiting for app "web" rollout to finish: 2 out of 3 new replicas have been updated...`},
		{"the old ones go", newApp(v1alpha1.AppStatus{Replicas: 4, UpdatedReplicas: 3, AvailableReplicas: 4}), 0, goesOn, `Waiting for app "web" rollout to finish: 1 old replicas are pending termination...`},
		{"the new ones become available", newApp(v1alpha1.AppStatus{Replicas: 3, UpdatedReplicas: 3, AvailableReplicas: 2}), 0, goesOn, `Waiting for app "web" rollout to finish: 2 of 3 updated replicas are available...`},
		{"all is done", newApp(finished), 0, done, `app "web" successfully rolled out`},
		{"one replica is wanted by default", newApp(v1alpha1.AppStatus{Replicas: 1, UpdatedReplicas: 1, AvailableReplicas: 1}, func(app *v1alpha1.App) { app.Spec.Replicas = nil }), 0, done, `app "web" successfully rolled out`},
		{"nothing is wanted", newApp(v1alpha1.AppStatus{}, func(app *v1alpha1.App) { app.Spec.Replicas = ptr.To[int32](0) }), 0, done, `app "web" successfully rolled out`},
		{"the deadline has passed", newApp(late), 0, failed, `app "web" exceeded its progress deadline: no progress`},
		{"it is paused on the way", newApp(v1alpha1.AppStatus{Replicas: 3, UpdatedReplicas: 1}, paused), 0, goesOn, `Waiting for app "web" rollout to finish: 1 out of 3 new replicas have been updated... (paused: "kubectl gatehouse rollout resume web" continues it)`},
		{"the revision that is waited for", newApp(finished), 2, done, `app "web" successfully rolled out`},
		{"another revision", newApp(finished), 1, failed, `app "web" is at revision 2, not at revision 1`},
		{"a revision that is not numbered yet", newApp(finished, unseen), 3, goesOn, `Waiting for app "web" spec update to be observed...`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := progressOf(tc.app, tc.revision)
			got := goesOn
			switch {
			case p.Done && p.Failed:
				t.Error("both done and failed")
			case p.Done:
				got = done
			case p.Failed:
				got = failed
			}
			if got != tc.want || p.Message != tc.says {
				t.Errorf("%s: %s\nwant %s: %s", got, p.Message, tc.want, tc.says)
			}
		})
	}
}

func TestALineOnATerminalIsWrittenOverAndNeverWraps(t *testing.T) {
	var out bytes.Buffer
	l := &live{out: &out, width: func() int { return 50 }}
	for _, status := range []v1alpha1.AppStatus{{}, {Replicas: 3, UpdatedReplicas: 3, AvailableReplicas: 2}, {Replicas: 3, UpdatedReplicas: 3, AvailableReplicas: 3}} {
		l.show(progressOf(newApp(status), 0))
	}
	l.end()
	written := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\r\x1b[K")[1:]
	if len(written) != 3 || !strings.HasPrefix(written[0], "[....................] 0/3  Waiting") ||
		!strings.HasPrefix(written[1], "[#############.......] 2/3") || written[2] != "[####################] 3/3  app \"web\" successfull" {
		t.Errorf("%q", written)
	}
	for _, line := range written {
		if len(line) > 49 {
			t.Errorf("%q is too long", line)
		}
	}
}

func TestOldReplicasThatAreAvailableDoNotCountAsProgress(t *testing.T) {
	if bar := progressOf(newApp(v1alpha1.AppStatus{Replicas: 4, UpdatedReplicas: 1, AvailableReplicas: 3}), 0).bar(); !strings.HasSuffix(bar, " 1/3") {
		t.Error(bar)
	}
}

func TestElsewhereEachChangeIsALine(t *testing.T) {
	var out bytes.Buffer
	l := &lines{out: &out}
	for _, updated := range []int32{1, 1, 2, 3} {
		l.show(progressOf(newApp(v1alpha1.AppStatus{Replicas: 3, UpdatedReplicas: updated, AvailableReplicas: 3}), 0))
	}
	l.end()
	if got := strings.Count(out.String(), "\n"); got != 3 {
		t.Errorf("%d lines:\n%s", got, out.String())
	}
}
