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

package traces

import (
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	servertesting "github.com/gatehouse-dev/gatehouse/cmd/gatehouse/app/testing"
	"github.com/gatehouse-dev/gatehouse/pkg/apis/diagnostics/v1alpha1"
	fleetv1alpha1 "github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/pkg/generated/clientset/versioned"
	diagnosticsclient "github.com/gatehouse-dev/gatehouse/pkg/generated/clientset/versioned/typed/diagnostics/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/pkg/server/options"
	"github.com/gatehouse-dev/gatehouse/test/integration/harness"
)

const (
	sessionsPath = "/apis/diagnostics.gatehouse.dev/v1alpha1/watchsessions"
	masters      = "system:masters"
)

func sessionsOf(t *testing.T, config *rest.Config) diagnosticsclient.WatchSessionInterface {
	t.Helper()
	client, err := versioned.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	return client.DiagnosticsV1alpha1().WatchSessions()
}

// withSmallBuffer returns a configuration of clients whose connections buffer little.
func withSmallBuffer(config *rest.Config) *rest.Config {
	slow := rest.CopyConfig(config)
	// A client of HTTP/2 takes 4 MiB that its user does not read.
	slow.NextProtos = []string{"http/1.1"}
	slow.Dial = func(ctx context, network, address string) (net.Conn, error) {
		conn, err := (&net.Dialer{}).DialContext(ctx, network, address)
		if err == nil {
			err = conn.(*net.TCPConn).SetReadBuffer(4096)
		}
		return conn, err
	}
	return slow
}

// openUnread sends a request and returns its response.
func openUnread(t *testing.T, config *rest.Config, url string) *http.Response {
	t.Helper()
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		t.Fatal(err)
	}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	return response
}

// TestAWatcherThatDoesNotReadIsNamed opens a watch by hand and does not read its response while objects are created.
func TestAWatcherThatDoesNotReadIsNamed(t *testing.T) {
	server := servertesting.Start(t)
	sessions := sessionsOf(t, server.Config)
	selector := metav1.ListOptions{FieldSelector: "blocked=true"}
	events, err := sessions.Watch(t.Context(), selector)
	if err != nil {
		t.Fatal(err)
	}
	defer events.Stop()
	response := openUnread(t, withSmallBuffer(harness.IssueClient(t, server, "bob", masters)), server.URL+mapsPath+"?watch=1")
	defer response.Body.Close()

	maps := kubernetes.NewForConfigOrDie(server.Config).CoreV1().ConfigMaps("default")
	ballast, created, named := strings.Repeat("x", 1_000_000), 0, ""
	harness.ComesTrue(t, func(ctx context) string {
		list, err := sessions.List(ctx, selector)
		if err != nil {
			t.Fatal(err)
		}
		if len(list.Items) == 1 {
			session := list.Items[0]
			t.Logf("the list names %s %v after the write that does not end has begun", session.User.Username, time.Since(session.BlockedSince.Time).Round(time.Millisecond))
			if session.User.Username != "bob" || session.Request.Resource != "configmaps" || session.ServedFrom != v1alpha1.WatchSourceCache || session.State != v1alpha1.WatchOpen {
				t.Errorf("the session is %+v", session)
			}
			named = session.Name
			return ""
		}
		if created < 60 {
			created++
			object := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("ballast-%d", created)}, Data: map[string]string{"x": ballast}}
			if _, err := maps.Create(ctx, object, metav1.CreateOptions{}); err != nil {
				t.Fatal(err)
			}
		}
		return fmt.Sprintf("%d watches are blocked after %d objects", len(list.Items), created)
	})
	event := <-events.ResultChan()
	session, ok := event.Object.(*v1alpha1.WatchSession)
	if !ok || event.Type != watch.Added || session.Name != named || session.User.Username != "bob" || session.BlockedSince == nil {
		t.Fatalf("the watch of blocked watches has %s %+v", event.Type, event.Object)
	}
	_ = response.Body.Close()
	if event = <-events.ResultChan(); event.Type != watch.Deleted {
		t.Errorf("after the end of the blocked watch the watch of them has %s", event.Type)
	}
	session, err = sessions.Get(t.Context(), named, metav1.GetOptions{})
	if err != nil || session.End == nil || session.End.Reason != v1alpha1.WatchEndClientBlocked {
		t.Errorf("the session has ended as %+v, %v", session, err)
	}
}

func TestUsersReadTheirOwnWatchSessionsOnly(t *testing.T) {
	server := servertesting.Start(t)
	admin := sessionsOf(t, server.Config)
	host := fleetv1alpha1.HostUserPrefix + "edge-1"
	for name, groups := range map[string][]string{"alice": nil, "bob": nil, host: {fleetv1alpha1.HostsGroup}} {
		config := harness.IssueClient(t, server, name, groups...)
		// Every user may watch its own traces.
		opened := harness.NewRawClient(t, config)
		opened.Events(t, tracesPath+"?watch=1")
		own, err := sessionsOf(t, config).List(t.Context(), metav1.ListOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if len(own.Items) != 1 || own.Items[0].User.Username != name || own.Items[0].ServedFrom != v1alpha1.WatchSourceMemory {
			t.Errorf("%s reads %+v", name, own.Items)
		}
		all, err := admin.List(t.Context(), metav1.ListOptions{})
		if err != nil {
			t.Fatal(err)
		}
		for _, session := range all.Items {
			_, err := sessionsOf(t, config).Get(t.Context(), session.Name, metav1.GetOptions{})
			if (err == nil) != (session.User.Username == name) {
				t.Errorf("%s gets the session of %s: %v", name, session.User.Username, err)
			}
		}
	}
	of, err := admin.List(t.Context(), metav1.ListOptions{FieldSelector: "user=bob,resource=requesttraces,state=Open"})
	if err != nil || len(of.Items) != 1 {
		t.Errorf("the administrator reads %+v of bob, %v", of, err)
	}
}

func TestAWatchSessionIsFollowedFromItsStartToItsEnd(t *testing.T) {
	server := servertesting.Start(t)
	sessions := sessionsOf(t, server.Config)
	yes := true
	events, err := sessions.Watch(t.Context(), metav1.ListOptions{
		FieldSelector: "user=bob", SendInitialEvents: &yes, ResourceVersionMatch: metav1.ResourceVersionMatchNotOlderThan, AllowWatchBookmarks: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer events.Stop()
	next := func(want watch.EventType) *v1alpha1.WatchSession {
		t.Helper()
		event := <-events.ResultChan()
		for want != watch.Bookmark && event.Type == watch.Bookmark {
			event = <-events.ResultChan()
		}
		session, ok := event.Object.(*v1alpha1.WatchSession)
		if !ok || event.Type != want {
			t.Fatalf("got %s %+v, want %s", event.Type, event.Object, want)
		}
		return session
	}
	if next(watch.Bookmark).Annotations[metav1.InitialEventsAnnotationKey] != "true" {
		t.Error("the bookmark is not that of the end of the initial events")
	}
	bob, err := versioned.NewForConfig(harness.IssueClient(t, server, "bob", masters))
	if err != nil {
		t.Fatal(err)
	}
	instances, err := bob.FleetV1alpha1().Instances("").Watch(t.Context(), metav1.ListOptions{FieldSelector: "spec.hostName=edge-1", LabelSelector: "a=b", ResourceVersion: "1"})
	if err != nil {
		t.Fatal(err)
	}
	began := next(watch.Added)
	want := v1alpha1.WatchedRequest{
		APIGroup: fleetv1alpha1.GroupName, APIVersion: "v1alpha1", Resource: "instances", FieldSelector: "spec.hostName=edge-1", LabelSelector: "a=b", ResourceVersion: "1",
	}
	if began.Request != want || began.ServedFrom != v1alpha1.WatchSourceIndex || began.AuditID == "" || (began.State == v1alpha1.WatchOpen) != (began.End == nil) {
		t.Errorf("the session is %+v", began)
	}
	instances.Stop()
	ended := began // already, if the error that the version is too old came before the first event
	for ended.End == nil {
		ended = next(watch.Modified)
	}
	if ended.Name != began.Name || ended.End.Reason == "" || ended.State != v1alpha1.WatchEnded {
		t.Errorf("the session has ended as %+v", ended.End)
	}
	seconds := int64(1)
	maps, err := kubernetes.NewForConfigOrDie(harness.IssueClient(t, server, "bob", masters)).CoreV1().ConfigMaps("default").Watch(t.Context(), metav1.ListOptions{TimeoutSeconds: &seconds})
	if err != nil {
		t.Fatal(err)
	}
	defer maps.Stop()
	for ended = next(watch.Added); ended.End == nil; {
		ended = next(watch.Modified)
	}
	if ended.End.Reason != v1alpha1.WatchEndTimeout || ended.Events == 0 || ended.ServedFrom != v1alpha1.WatchSourceCache {
		t.Errorf("the session with a timeout has ended as %+v", ended)
	}
}

func TestWatchesAreServedFromTheCacheFromStorageOrFromMemory(t *testing.T) {
	server := servertesting.Start(t, func(o *options.Options) { o.Etcd.WatchCacheSizes = []string{"configmaps#0"} })
	client := harness.NewRawClient(t, server.Config)
	for path, want := range map[string]v1alpha1.WatchSource{
		mapsPath + "?watch=1": v1alpha1.WatchSourceStorage, "/api/v1/secrets?watch=1": v1alpha1.WatchSourceCache, sessionsPath + "?watch=1": v1alpha1.WatchSourceMemory,
	} {
		client.Events(t, path)
		list, err := sessionsOf(t, server.Config).List(t.Context(), metav1.ListOptions{FieldSelector: "resource=" + strings.Split(path[strings.LastIndex(path, "/")+1:], "?")[0] + ",user=gatehouse-admin"})
		if err != nil {
			t.Fatal(err)
		}
		if len(list.Items) != 1 || list.Items[0].ServedFrom != want {
			t.Errorf("%s is served from %+v, want %s", path, list.Items, want)
		}
	}
}
