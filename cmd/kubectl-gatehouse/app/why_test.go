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

func TestWhyNeedsOneRequest(t *testing.T) {
	for _, row := range []struct {
		name    string
		command whyCommand
		args    []string
		ok      bool
	}{
		{"none", whyCommand{}, nil, false},
		{"an ID", whyCommand{}, []string{"4f2c"}, true},
		{"the last one", whyCommand{last: true}, nil, true},
		{"an ID and the last one", whyCommand{last: true}, []string{"4f2c"}, false},
		{"following the last one", whyCommand{last: true, follow: true}, nil, false},
		{"an object", whyCommand{}, []string{"app/web"}, true},
		{"an object in two words", whyCommand{output: "name"}, []string{"app", "web"}, true},
		{"an object and the last one", whyCommand{last: true}, []string{"app", "web"}, false},
		{"an unknown format", whyCommand{output: "xml"}, []string{"4f2c"}, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			if err := row.command.check(row.args); (err == nil) != row.ok {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestTheReportHasTheDetailsOfStops(t *testing.T) {
	at := metav1.NewTime(time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC))
	trace := &v1alpha1.RequestTrace{
		User: v1alpha1.TracedUser{Username: "carol"}, Verdict: v1alpha1.VerdictRefused, DecidedBy: &v1alpha1.Decision{Stop: v1alpha1.StopStorage},
		Stops: []v1alpha1.TraceStop{
			{Stop: v1alpha1.StopFlowControl, By: "batch", Seats: &v1alpha1.TracedSeats{InUse: 9, Waiting: 4, Holders: []v1alpha1.SeatHolder{{Username: "bob", Seats: 5}, {Username: "carol", Seats: 1}, {Seats: 3}}}},
			{Stop: v1alpha1.StopValidatingAdmission, By: "c/w", Verdict: v1alpha1.StopWouldRefuse, Shadow: true},
			{Stop: v1alpha1.StopValidatingAdmission, By: "c/x\x1b", Verdict: v1alpha1.StopNotCalled, Reason: "no rule matches: scope"},
			{Stop: v1alpha1.StopValidatingAdmission, By: "ResourceQuota", Quotas: []v1alpha1.TracedQuota{{Quota: v1alpha1.TracedObject{Name: "few"}, Refused: true, Resources: []v1alpha1.QuotaBalance{{Name: "secrets", Requested: "1", Left: "0", Hard: "7"}}}}},
			{Stop: v1alpha1.StopStorage, Verdict: v1alpha1.StopRefused, OtherWrites: []v1alpha1.TracedWrite{{Manager: "edit", Operation: "Apply", Subresource: "status", Time: &at, Username: "bob"}}, EtcdLatency: &metav1.Duration{Duration: time.Second}},
		},
	}
	var out bytes.Buffer
	if err := report(&out, trace, time.Now()); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`9 seats in use ("bob" 5, this user 1, other users 3), 4 requests waiting`, "in shadow: decides nothing", "NOT CALLED", "no rule matches: scope", "> few", "secrets",
		`"edit" (server-side apply) wrote status at 2026-12-01T00:00:00Z as user "bob"; etcd took 1s`,
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is missing in:\n%s", want, out.String())
		}
	}
	if strings.Contains(out.String(), "\x1b") {
		t.Errorf("the report is:\n%s", out.String())
	}
}

func TestTheReportMarksTheGateThatDecidedAndEscapesWhatClientsChose(t *testing.T) {
	now := time.Now()
	trace := &v1alpha1.RequestTrace{
		ObjectMeta: metav1.ObjectMeta{Name: "4f2c"}, ReceivedTime: metav1.NewMicroTime(now.Add(-time.Minute)),
		User:    v1alpha1.TracedUser{Username: "bob\x1b[31m", Groups: []string{"dev"}},
		Request: v1alpha1.TracedRequest{Verb: "delete", Resource: "apps", APIGroup: "fleet.gatehouse.dev", Namespace: "shop", Name: "web"},
		Verdict: v1alpha1.VerdictRefused, Code: 403, Reason: "Forbidden", DecidedBy: &v1alpha1.Decision{Stop: v1alpha1.StopAuthorization, By: "rbac"},
		Stops: []v1alpha1.TraceStop{
			{Stop: v1alpha1.StopAuthentication, By: "client-certificate", Verdict: v1alpha1.StopPassed},
			{Stop: v1alpha1.StopAuthorization, By: "rbac", Verdict: v1alpha1.StopRefused, Reason: "no authorizer allows it"},
		},
		NearMisses: []v1alpha1.NearMiss{
			{Binding: v1alpha1.TracedObject{Kind: "RoleBinding", Namespace: "shop", Name: "b"}, Role: v1alpha1.TracedObject{Kind: "ClusterRole", Name: "view"}, Rule: "get of apps", Misfits: []string{"verb"}},
			{Binding: v1alpha1.TracedObject{Kind: "RoleBinding", Namespace: "shop", Name: "c"}, Role: v1alpha1.TracedObject{Kind: "ClusterRole", Name: "gone"}, RoleMissing: true},
		},
		Cure: "kubectl create rolebinding x",
	}
	var out bytes.Buffer
	if err := report(&out, trace, now); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`delete apps.fleet.gatehouse.dev "web" in namespace "shop": 403 Forbidden`, "60s ago", "> Authorization ", "  Authentication ", "groups dev", "no authorizer allows it",
		"RoleBinding shop/b, ClusterRole view: get of apps\n      does not fit: verb", "RoleBinding shop/c: its ClusterRole gone does not exist", "This would allow it:\n  kubectl create rolebinding x",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is missing in:\n%s", want, out.String())
		}
	}
	if strings.Contains(out.String(), "\x1b") || strings.Count(out.String(), "> ") != 1 {
		t.Errorf("the report is:\n%s", out.String())
	}
}
