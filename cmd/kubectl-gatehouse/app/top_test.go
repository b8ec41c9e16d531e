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

// measured are requests of two users: a hundred fast ones, and one that a webhook made slow and then refused.
func measured(now time.Time) (items []v1alpha1.RequestTrace) {
	for i := range 100 {
		fast := trace(ofA, "a:1", i)
		fast.ReceivedTime, fast.Verdict, fast.Code = metav1.NewMicroTime(now.Add(-time.Minute)), v1alpha1.VerdictAllowed, 200
		fast.User.Username, fast.Request = "alice", v1alpha1.TracedRequest{Verb: "get", Resource: "apps", APIGroup: "fleet.gatehouse.dev"}
		fast.Latency.Duration = time.Duration(i+1) * time.Millisecond
		fast.Stops = []v1alpha1.TraceStop{{Stop: v1alpha1.StopStorage, Latency: fast.Latency}}
		items = append(items, fast)
	}
	slow := trace(ofB, "a:1", 200)
	slow.ReceivedTime = metav1.NewMicroTime(now.Add(-time.Second))
	slow.User.Username, slow.Request = "bob", v1alpha1.TracedRequest{Verb: "create", Resource: "configmaps", Namespace: "shop", Name: "s"}
	slow.Latency.Duration = time.Minute
	slow.Stops = []v1alpha1.TraceStop{
		{Stop: v1alpha1.StopMutatingAdmission, By: "MutatingAdmissionWebhook", Verdict: v1alpha1.StopRefused, Latency: metav1.Duration{Duration: 59 * time.Second}},
		{Stop: v1alpha1.StopMutatingAdmission, By: "hooks/a.example.com", Verdict: v1alpha1.StopRefused, Latency: metav1.Duration{Duration: 58 * time.Second}},
	}
	return append(items, slow)
}

func TestTopRequestsRanksByTheTotalTime(t *testing.T) {
	now := time.Unix(5000, 0)
	for _, row := range []struct {
		by    string
		limit int
		want  []string
	}{
		{"user", 9, []string{"bob 1 1 1m0s 1m0s 1m0s 1m0s", "alice 100 0 50ms 99ms 100ms 5.05s"}},
		{"resource", 9, []string{"configmaps 1 1 1m0s 1m0s 1m0s 1m0s", "apps.fleet.gatehouse.dev 100 0 50ms 99ms 100ms 5.05s"}},
		{"gate", 2, []string{"MutatingAdmission/MutatingAdmissionWebhook 1 1 59s 59s 59s 59s", "MutatingAdmission/hooks/a.example.com 1 1 58s 58s 58s 58s", "1 more: --limit shows them"}},
		{"latency", 1, []string{"1m0s MutatingAdmission/hooks/a.example.com 58s bob create configmaps shop/s 403 1s kubectl gatehouse why bbbbbbbb", "100 more: --limit shows them"}},
	} {
		t.Run(row.by, func(t *testing.T) {
			result := &topResult{By: row.by, OwnOnly: true, Servers: []string{"a:1"}}
			result.add(measured(now), row.limit)
			var out bytes.Buffer
			if err := result.write(&out, now); err != nil {
				t.Fatal(err)
			}
			lines := strings.Split(strings.TrimSpace(out.String()), "\n")
			if lines[0] != ownOnly || lines[1] != "Requests in the memory of the server a:1: 100 allowed in 60s, 1 refused in 1s" {
				t.Errorf("begins with %q", lines[:2])
			}
			for i, want := range row.want {
				if got := strings.Join(strings.Fields(lines[4+i]), " "); got != want {
					t.Errorf("line %d is %q, want %q", i, got, want)
				}
			}
		})
	}
}

func TestTopRequestsRefusesFlagsThatShowNothing(t *testing.T) {
	for flag, says := range map[string]string{
		"--by=host": "--by=host is unknown: use user, gate, resource, latency", "--limit=0": "--limit=0 shows nothing", "--since=-1s": "--since=-1s is negative",
		"-o=yaml": "--output=yaml is unknown: use json",
	} {
		if code, said := execute(t, "top", "requests", flag); code != exitFailed || !strings.Contains(said, says) {
			t.Errorf("%s ended with %d and printed %q", flag, code, said)
		}
	}
}
