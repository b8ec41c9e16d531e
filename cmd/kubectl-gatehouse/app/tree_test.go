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
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
)

var now = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func ownedBy(uid types.UID) []metav1.OwnerReference {
	return []metav1.OwnerReference{{UID: uid, Controller: ptr.To(true)}}
}

func newRelease(name, revision string, replicas int32, owner types.UID) v1alpha1.Release {
	release := v1alpha1.Release{
		ObjectMeta: metav1.ObjectMeta{Name: name, UID: types.UID(name), OwnerReferences: ownedBy(owner), CreationTimestamp: metav1.NewTime(now.Add(-time.Hour))},
		Spec: v1alpha1.ReleaseSpec{Replicas: &replicas, Template: v1alpha1.InstanceTemplateSpec{
			ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": "web", v1alpha1.TemplateHashLabel: name}},
			Spec:       v1alpha1.InstanceSpec{Containers: []v1alpha1.Container{{Name: "web", Image: "web:" + revision}}},
		}},
		Status: v1alpha1.ReleaseStatus{ReadyReplicas: replicas},
	}
	if revision != "" {
		release.Annotations = map[string]string{v1alpha1.RevisionAnnotation: revision}
	}
	return release
}

func newInstance(name, owner, host string, change ...func(*v1alpha1.Instance)) v1alpha1.Instance {
	instance := v1alpha1.Instance{
		ObjectMeta: metav1.ObjectMeta{Name: name, OwnerReferences: ownedBy(types.UID(owner)), CreationTimestamp: metav1.NewTime(now.Add(-time.Minute))},
		Spec:       v1alpha1.InstanceSpec{HostName: host, Containers: []v1alpha1.Container{{Name: "web"}}},
		Status:     v1alpha1.InstanceStatus{Phase: v1alpha1.InstancePending},
	}
	for _, f := range change {
		f(&instance)
	}
	return instance
}

func runs(i *v1alpha1.Instance) {
	i.Status.Phase = v1alpha1.InstanceRunning
	i.Status.ContainerStatuses = []v1alpha1.ContainerStatus{{Name: "web", Ready: true}}
	i.Status.Conditions = []metav1.Condition{{Type: v1alpha1.InstanceConditionReady, Status: metav1.ConditionTrue}}
}

func newHost(name string, ready metav1.ConditionStatus, unschedulable bool) *v1alpha1.Host {
	return &v1alpha1.Host{
		ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: v1alpha1.HostSpec{Unschedulable: unschedulable},
		Status: v1alpha1.HostStatus{Conditions: []metav1.Condition{{Type: v1alpha1.HostConditionReady, Status: ready}}},
	}
}

func TestATreeNamesWhatKeepsAnAppFromBeingReady(t *testing.T) {
	app := newApp(v1alpha1.AppStatus{Conditions: []metav1.Condition{{Type: v1alpha1.AppConditionReady, Status: metav1.ConditionFalse, Reason: "FailedCreate", Message: "0 of 3 instances are available; exceeded quota", ObservedGeneration: 5}}})
	var out bytes.Buffer
	if err := buildTree(app, nil, nil, nil, "Gone").write(&out, false, now); err != nil || !strings.Contains(out.String(), "Progressing: FailedCreate") {
		t.Errorf("%v\n%s", err, out.String())
	}
}

func TestATreeShowsWhatBelongsTogether(t *testing.T) {
	app := newApp(v1alpha1.AppStatus{Replicas: 4, UpdatedReplicas: 2, ReadyReplicas: 3, AvailableReplicas: 3})
	app.CreationTimestamp = metav1.NewTime(now.Add(-24 * time.Hour))
	releases := []v1alpha1.Release{
		newRelease("web-old", "1", 1, "app"), newRelease("web-new", "2", 2, "app"), newRelease("web-made", "", 0, "app"), newRelease("web-past", "1", 0, "app"), newRelease("other", "9", 1, "somebody"),
	}
	instances := []v1alpha1.Instance{
		newInstance("web-new-b", "web-new", "", nil...),
		newInstance("web-new-a", "web-new", "sim-1", runs),
		newInstance("web-old-a", "web-old", "sim-2", runs, func(i *v1alpha1.Instance) { i.DeletionTimestamp = ptr.To(metav1.NewTime(now)) }),
		newInstance("web-old-b", "web-old", "sim-3", func(i *v1alpha1.Instance) {
			i.Status.ContainerStatuses = []v1alpha1.ContainerStatus{{State: v1alpha1.ContainerState{Waiting: &v1alpha1.ContainerStateWaiting{Reason: "ImagePullBackOff"}}}}
		}),
		newInstance("stranger", "other", "sim-1", runs),
	}
	hosts := map[string]*v1alpha1.Host{"sim-1": newHost("sim-1", metav1.ConditionTrue, true), "sim-2": newHost("sim-2", metav1.ConditionUnknown, false)}
	built := buildTree(app, releases, instances, hosts, "Gone")
	for _, tc := range []struct {
		name string
		all  bool
		want []string
	}{
		{"what runs", false, []string{
			"NAME                       READY   STATUS             REVISION   AGE   HOST     HOST STATUS",
			"app/web                    3/3     Progressing        2          24h",
			"├─ release/web-made        0/0     New                           60m",
			"├─ release/web-new         2/2     Current            2          60m",
			"│  ├─ instance/web-new-a   1/1     Running                       60s   sim-1    Ready,SchedulingDisabled",
			"│  └─ instance/web-new-b   0/1     Pending                       60s   <none>",
			"└─ release/web-old         1/1     Old                1          60m",
			"   ├─ instance/web-old-a   1/1     Terminating                   60s   sim-2    Unknown",
			"   └─ instance/web-old-b   0/1     ImagePullBackOff              60s   sim-3    Gone",
			"Old releases without instances: 1; --all shows them.",
		}},
		{"all", true, []string{
			"NAME                       READY   STATUS             REVISION   AGE   HOST     HOST STATUS",
			"app/web                    3/3     Progressing        2          24h",
			"├─ release/web-made        0/0     New                           60m",
			"├─ release/web-new         2/2     Current            2          60m",
			"│  ├─ instance/web-new-a   1/1     Running                       60s   sim-1    Ready,SchedulingDisabled",
			"│  └─ instance/web-new-b   0/1     Pending                       60s   <none>",
			"├─ release/web-old         1/1     Old                1          60m",
			"│  ├─ instance/web-old-a   1/1     Terminating                   60s   sim-2    Unknown",
			"│  └─ instance/web-old-b   0/1     ImagePullBackOff              60s   sim-3    Gone",
			"└─ release/web-past        0/0     Old                1          60m",
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var out bytes.Buffer
			if err := built.write(&out, tc.all, now); err != nil {
				t.Fatal(err)
			}
			var got []string
			for line := range strings.Lines(out.String()) {
				got = append(got, strings.TrimRight(line, " \n"))
			}
			if !slices.Equal(got, tc.want) {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(tc.want, "\n"))
			}
		})
	}
}

func TestTheHistoryOfAnApp(t *testing.T) {
	old := newRelease("web-1", "1", 0, "app")
	old.Annotations[changeCauseAnnotation] = "first\ntry"
	history := historyOf(newApp(v1alpha1.AppStatus{}), []v1alpha1.Release{newRelease("web-3", "10", 0, "app"), newRelease("web-2", "2", 3, "app"), old, newRelease("web-new", "", 0, "app")})
	var out bytes.Buffer
	if err := writeHistory(&out, history); err != nil {
		t.Fatal(err)
	}
	if want := `REVISION   RELEASE   IMAGES   CHANGE-CAUSE
1          web-1     web:1    first try
2*         web-2     web:2    <none>
10         web-3     web:10   <none>
`; out.String() != want {
		t.Errorf("got\n%s\nwant\n%s", out.String(), want)
	}
	if labels := history[0].Template.Labels; len(labels) != 1 || labels["app"] != "web" {
		t.Errorf("the template has the labels %v", labels)
	}
	if says := thoseThatExist(history); says != "its revisions are 1, 2, 10" {
		t.Error(says)
	}
}

func TestNamesAreTakenInTheWaysThatPeopleWriteThem(t *testing.T) {
	for _, tc := range []struct {
		arg, want, says string
	}{
		{"web", "web", ""},
		{"app/web", "web", ""},
		{"Apps/web", "web", ""},
		{"app.fleet.gatehouse.dev/web", "web", ""},
		{"deployment/web", "", `"deployment/web" names a deployment, but this is about apps: write app/NAME`},
		{"app/", "", `"app/" names no app: write app/NAME`},
		{"app/web/status", "", `"app/web/status" names no app: write app/NAME`},
		{"", "", `"" names no app: write app/NAME`},
	} {
		got, err := nameIn(tc.arg, appKinds)
		if got != tc.want || (err == nil) != (tc.says == "") || err != nil && err.Error() != tc.says {
			t.Errorf("%q: got %q, %v", tc.arg, got, err)
		}
	}
}
