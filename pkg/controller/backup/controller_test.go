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

package backup

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/rest"

	"github.com/gatehouse-dev/gatehouse/test/kit"
)

func TestEventsTellFailuresAndTheFirstSuccessAfterOne(t *testing.T) {
	received := make(chan corev1.Event, 10)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var event corev1.Event
		if err := json.NewDecoder(r.Body).Decode(&event); err != nil {
			t.Error(err)
		}
		received <- event
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(event)
	}))
	defer server.Close()
	jobFailed := errors.New("the job has failed")
	var got []string
	c, err := New(&rest.Config{Host: server.URL, ContentConfig: rest.ContentConfig{ContentType: "application/json"}}, func(_ context.Context, report func(Result)) error {
		for _, r := range []Result{
			{Member: "a1", Message: "first"},
			{Err: errors.New("no etcd")},
			{Member: "a1", Err: errors.New("two objects"), Damaged: true},
			{Member: "a1", Message: "again"},
			{Member: "a1", Message: "and again"},
		} {
			report(r)
		}
		// The recorder writes until the job ends.
		kit.Eventually(t, "three events", func(context.Context) bool {
			select {
			case event := <-received:
				got = append(got, event.Type+" "+event.Reason+" "+event.InvolvedObject.Kind+" "+event.InvolvedObject.Name+": "+event.Message)
			default:
			}
			return len(got) == 3
		})
		return jobFailed
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Run(t.Context()); !errors.Is(err, jobFailed) {
		t.Errorf("the run ended with %v", err)
	}
	want := []string{
		"Warning BackupFailed Namespace kube-system: no etcd",
		"Warning BackupDamaged StorageMember a1: two objects",
		"Normal BackupMade StorageMember a1: again",
	}
	if !slices.Equal(got, want) || len(received) > 0 {
		t.Errorf("got %q and %d more", got, len(received))
	}
}
