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
	"k8s.io/client-go/tools/clientcmd"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/diagnostics/v1alpha1"
)

func TestTheFlagsOfWatchesAreAFieldSelector(t *testing.T) {
	for _, row := range []struct {
		name    string
		command watchesCommand
		space   string
		want    string
		says    string
	}{
		{"open watches without flags", watchesCommand{}, "", "state=Open", ""},
		{"the blocked ones of a user in a namespace", watchesCommand{user: "bob", blocked: true}, "shop", "blocked=true,namespace=shop,state=Open,user=bob", ""},
		{"those that have ended", watchesCommand{ended: true, output: "wide"}, "", "state=Ended", ""},
		{"blocked ones that have ended do not exist", watchesCommand{ended: true, blocked: true}, "", "", "--blocked and --ended exclude each other"},
		{"an unknown format", watchesCommand{output: "name"}, "", "", "--output=name is unknown: use json, yaml or wide"},
	} {
		t.Run(row.name, func(t *testing.T) {
			row.command.plugin = &plugin{overrides: &clientcmd.ConfigOverrides{}}
			row.command.overrides.Context.Namespace = row.space
			err := row.command.check()
			if (err == nil) != (row.says == "") || err != nil && !strings.Contains(err.Error(), row.says) {
				t.Fatalf("got the error %v, want %q", err, row.says)
			}
			if err == nil && row.command.selector() != row.want {
				t.Errorf("got %q, want %q", row.command.selector(), row.want)
			}
		})
	}
}

func TestTheSlowestWatchComesFirst(t *testing.T) {
	now := time.Now()
	ago := func(seconds int) *metav1.MicroTime {
		t := metav1.NewMicroTime(now.Add(-time.Duration(seconds) * time.Second))
		return &t
	}
	sessions := []v1alpha1.WatchSession{
		{ObjectMeta: metav1.ObjectMeta{Name: "few"}, Events: 1},
		{ObjectMeta: metav1.ObjectMeta{Name: "many"}, Events: 100},
		{ObjectMeta: metav1.ObjectMeta{Name: "short"}, BlockedSince: ago(2), Events: 1000},
		{ObjectMeta: metav1.ObjectMeta{Name: "long"}, BlockedSince: ago(20)},
		{ObjectMeta: metav1.ObjectMeta{Name: "ended"}, End: &v1alpha1.WatchEnd{Time: *ago(50)}},
		{ObjectMeta: metav1.ObjectMeta{Name: "ended later"}, End: &v1alpha1.WatchEnd{Time: *ago(5)}},
	}
	slices.SortFunc(sessions, bySlowness)
	var names []string
	for _, session := range sessions {
		names = append(names, session.Name)
	}
	if want := []string{"long", "short", "ended later", "ended", "many", "few"}; !slices.Equal(names, want) {
		t.Errorf("got %v, want %v", names, want)
	}
}

func TestTheTableOfWatchesEscapesWhatClientsChose(t *testing.T) {
	now := time.Now()
	since := metav1.NewMicroTime(now.Add(-7 * time.Second))
	session := v1alpha1.WatchSession{
		User: v1alpha1.WatchUser{Username: "bob\x1b[31m", UserAgent: "kubectl\n"}, State: v1alpha1.WatchOpen, ServedFrom: v1alpha1.WatchSourceIndex,
		Request:      v1alpha1.WatchedRequest{APIGroup: "fleet.gatehouse.dev", Resource: "instances", Namespace: "shop", FieldSelector: "spec.hostName=edge-1"},
		BlockedSince: &since, StartTime: metav1.NewMicroTime(now.Add(-time.Hour)), LongestBlocked: &metav1.Duration{Duration: 3 * time.Second},
	}
	var out bytes.Buffer
	if err := sessionTable(&out, []v1alpha1.WatchSession{session}, true, true, now); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	want := "7s 0 0 60m Index Open bob^[[31m instances.fleet.gatehouse.dev shop spec.hostName=edge-1 3s kubectl\\n - -"
	if got := strings.Join(strings.Fields(lines[len(lines)-1]), " "); len(lines) != 2 || got != want {
		t.Errorf("got:\n%s\nwant the row: %s", out.String(), want)
	}
}
