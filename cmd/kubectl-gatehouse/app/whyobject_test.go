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
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/diagnostics/v1alpha1"
)

func write(name, agent string, received time.Time, latency time.Duration) *v1alpha1.RequestTrace {
	return &v1alpha1.RequestTrace{
		ObjectMeta: metav1.ObjectMeta{Name: name}, ReceivedTime: metav1.NewMicroTime(received), Latency: metav1.Duration{Duration: latency},
		Request: v1alpha1.TracedRequest{Verb: "patch", UserAgent: agent}, User: v1alpha1.TracedUser{Username: "bob"}, Verdict: v1alpha1.VerdictAllowed,
	}
}

func TestAChangeBelongsToTheRequestThatWasInTheServerAtItsTime(t *testing.T) {
	second := time.Unix(1000, 0)
	at := func(offset time.Duration) time.Time { return second.Add(offset) }
	for _, row := range []struct {
		name   string
		writes []*v1alpha1.RequestTrace
		want   string
	}{
		{"none", nil, ""},
		{"one in its second", []*v1alpha1.RequestTrace{write("a", "x/1", at(400*time.Millisecond), time.Millisecond)}, "a"},
		{"one that began before and ended in it", []*v1alpha1.RequestTrace{write("a", "x/1", at(-10*time.Second), 11*time.Second)}, "a"},
		{"one that ended before", []*v1alpha1.RequestTrace{write("a", "x/1", at(-time.Second), time.Millisecond)}, ""},
		{"one that began after", []*v1alpha1.RequestTrace{write("a", "x/1", at(1100*time.Millisecond), time.Millisecond)}, ""},
		{"the latest of two", []*v1alpha1.RequestTrace{write("a", "x/1", at(0), time.Millisecond), write("b", "x/1", at(time.Millisecond), time.Millisecond)}, "b"},
		{"that of the program that the manager is named after", []*v1alpha1.RequestTrace{write("a", "kubectl/v1.37.2", at(0), time.Millisecond), write("b", "x/1", at(time.Millisecond), time.Millisecond)}, "a"},
	} {
		t.Run(row.name, func(t *testing.T) {
			found := ""
			if request := requestOf(&objectChange{Manager: "kubectl-create", Time: metav1.NewTime(second)}, row.writes); request != nil {
				found = request.Name
			}
			if found != row.want {
				t.Errorf("got %q", found)
			}
		})
	}
}

func TestTheReportOfAnObject(t *testing.T) {
	now := time.Unix(5000, 0)
	last := write(ofA, "kubectl/v1.37.2", now.Add(-time.Minute), time.Millisecond)
	last.Stops = []v1alpha1.TraceStop{
		{Stop: v1alpha1.StopAuthorization, By: "rbac", Verdict: v1alpha1.StopPassed},
		{Stop: v1alpha1.StopMutatingAdmission, By: "LimitRanger", Verdict: v1alpha1.StopPassed},
		{Stop: v1alpha1.StopMutatingAdmission, By: "hooks/a.example.com", Verdict: v1alpha1.StopIgnored},
	}
	refused := trace(ofB, "a:1", 4990)
	refused.User.Username, refused.Request = "bob\x1b[31m", v1alpha1.TracedRequest{Verb: "update", Resource: "apps", Name: "web"}
	refused.DecidedBy = &v1alpha1.Decision{Stop: v1alpha1.StopAuthorization, By: "rbac"}
	earlier := refused
	earlier.Name, earlier.ReceivedTime = ofA, metav1.NewMicroTime(now.Add(-time.Hour))
	r := &objectReport{
		Kind: "App", Namespace: "shop", Name: "web", OwnOnly: true, Servers: []string{"a:1"},
		Conditions: []metav1.Condition{{Type: "Ready", Status: "False", Message: "0 of 1; no quota"}, {Type: "ReplicaFailure", Status: "True", Message: "no quota"}, {Type: "Stalled", Status: "False"}},
		Changes: []objectChange{
			{Manager: "gatehouse", Operation: "Update", Subresource: "status", Time: metav1.NewTime(now.Add(-time.Second))},
			{Manager: "kubectl-create", Operation: "Update", Time: metav1.NewTime(now.Add(-time.Minute)), Request: last},
		},
		Refusals: []v1alpha1.RequestTrace{refused, earlier},
		Warnings: merged([]objectWarning{{Object: "release/web-1", Reason: "FailedCreate", Message: "new", Count: 1}, {Object: "release/web-1", Reason: "FailedCreate", Message: "old", Count: 4}}),
	}
	var out bytes.Buffer
	if err := r.write(&out, now); err != nil {
		t.Fatal(err)
	}
	lines := map[string]bool{}
	for _, line := range strings.Split(out.String(), "\n") {
		lines[strings.Join(strings.Fields(line), " ")] = true
	}
	for _, want := range []string{
		"App web in namespace shop", ownOnly, "ReplicaFailure True - - see Ready", "Stalled False - - -", "FailedCreate release/web-1 - 5 new",
		"1s gatehouse Update status - not yours, or not known any more", "60s kubectl-create Update - bob aaaaaaaa",
		"10s 2 bob^[[31m update apps web 403 Authorization/rbac kubectl gatehouse why bbbbbbbb",
		`Webhooks, policies and what changed the object in its latest write, request aaaaaaaa of user "bob" (patch):`, "MutatingAdmission hooks/a.example.com Ignored 0s",
	} {
		if !lines[want] {
			t.Errorf("%q is missing in:\n%s", want, out.String())
		}
	}
	if strings.Contains(out.String(), "LimitRanger") {
		t.Errorf("a plugin that did nothing is in:\n%s", out.String())
	}
}
