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

package watches

import (
	"context"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"

	fleetv1alpha1 "github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/pkg/generated/clientset/versioned"
	"github.com/gatehouse-dev/gatehouse/test/binary"
	"github.com/gatehouse-dev/gatehouse/test/integration/harness"
)

// TestATooOldResourceVersionGets410 requests an expired resourceVersion. A server keeps the events
// since its start, so a restart makes a resourceVersion too old for a watch. Lists of old revisions come
// from etcd, until it has been compacted.
func TestATooOldResourceVersionGets410(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), binary.Patience)
	defer cancel()
	dir := binary.DataDir(t)
	server := binary.Start(t, dir)
	instances := versioned.NewForConfigOrDie(server.Config).FleetV1alpha1().Instances("default")
	first := harness.CreateOnServer(ctx, t, server, "a")
	harness.CreateOnServer(ctx, t, server, "b")
	page, err := instances.List(ctx, metav1.ListOptions{Limit: 1})
	if err != nil || page.Continue == "" || len(page.Items) != 1 {
		t.Fatalf("a page of one has %d items and continues with %q: %v", len(page.Items), page.Continue, err)
	}
	harness.CreateOnServer(ctx, t, server, "c")
	server.Stop(t)
	server = binary.Start(t, dir)
	instances = versioned.NewForConfigOrDie(server.Config).FleetV1alpha1().Instances("default")

	t.Run("a watch", func(t *testing.T) {
		watcher, err := instances.Watch(ctx, metav1.ListOptions{ResourceVersion: first.ResourceVersion})
		if err != nil {
			t.Fatal(err)
		}
		defer watcher.Stop()
		event, ok := <-watcher.ResultChan()
		if !ok || event.Type != watch.Error {
			t.Fatalf("the first event is %v %v, want an error", event.Type, event.Object)
		}
		wantGone(t, apierrors.FromObject(event.Object), "too old resource version")
		if event, ok := <-watcher.ResultChan(); ok {
			t.Errorf("the watch continues after the error, with %v", event)
		}
	})
	t.Run("a watch with nothing in between", func(t *testing.T) {
		answer := harness.NewRawClient(t, server.Config).Do(t, http.MethodGet,
			harness.InstancesPath+"?watch=true&timeoutSeconds=60&resourceVersion="+first.ResourceVersion, "", harness.JSONBody, "")
		var event struct {
			Type   string
			Object metav1.Status
		}
		if err := json.Unmarshal(answer.Body, &event); err != nil {
			t.Fatalf("%v: %s", err, answer.Body)
		}
		if answer.Code != http.StatusOK || event.Type != "ERROR" || event.Object.Code != http.StatusGone {
			t.Errorf("answered with code %d: %s", answer.Code, answer.Body)
		}
	})
	t.Run("a list of the past", func(t *testing.T) { listsThePast(ctx, t, server, first.ResourceVersion, page.Continue) })
	server.Stop(t)
	harness.CheckLog(t, server)
}

// listsThePast lists an old revision while etcd has it, and after it has been compacted.
func listsThePast(ctx context.Context, t *testing.T, server *binary.Server, version, next string) {
	instances := versioned.NewForConfigOrDie(server.Config).FleetV1alpha1().Instances("default")
	exact := metav1.ListOptions{ResourceVersion: version, ResourceVersionMatch: metav1.ResourceVersionMatchExact}
	if list, err := instances.List(ctx, exact); err != nil || itemNames(list) != "a" {
		t.Errorf("at %s there is %q, want a: %v", version, itemNames(list), err)
	}
	if list, err := instances.List(ctx, metav1.ListOptions{Limit: 5, Continue: next}); err != nil || itemNames(list) != "b" {
		t.Errorf("the second page is %q, want b, for c came later: %v", itemNames(list), err)
	}

	now, err := instances.List(ctx, metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	compactTo, err := strconv.ParseInt(now.ResourceVersion, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	etcd := harness.EtcdClient(t, server.DataDir)
	defer func() { _ = etcd.Close() }()
	if _, err := etcd.Compact(ctx, compactTo, clientv3.WithCompactPhysical()); err != nil {
		t.Fatal(err)
	}
	_, err = instances.List(ctx, exact)
	wantGone(t, err, "The resourceVersion for the provided list is too old")
	_, err = instances.List(ctx, metav1.ListOptions{Limit: 5, Continue: next})
	wantGone(t, err, "The provided continue parameter is too old")

	// A client that accepts an inconsistent list may continue where the page ended, at the current revision.
	status := apierrors.APIStatus(nil)
	if s, ok := err.(apierrors.APIStatus); ok { // clients return it as it is
		status = s
	} else {
		t.Fatalf("%v has no Status", err)
	}
	list, err := instances.List(ctx, metav1.ListOptions{Limit: 5, Continue: status.Status().Continue})
	if err != nil || itemNames(list) != "b c" {
		t.Errorf("the page that is offered instead is %q, want b and c: %v", itemNames(list), err)
	}
}

func wantGone(t *testing.T, err error, message string) {
	t.Helper()
	status, ok := err.(apierrors.APIStatus) // clients return it as it is
	if !ok {
		t.Errorf("got %v, want a Status with code 410", err)
		return
	}
	if s := status.Status(); s.Code != http.StatusGone || s.Reason != metav1.StatusReasonExpired || !strings.Contains(s.Message, message) {
		t.Errorf("got %d %s %q, want 410 Expired %q", s.Code, s.Reason, s.Message, message)
	}
}

func itemNames(list *fleetv1alpha1.InstanceList) string {
	var names []string
	for _, item := range list.Items {
		names = append(names, item.Name)
	}
	return strings.Join(names, " ")
}
