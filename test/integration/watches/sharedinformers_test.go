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
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/utils/ptr"

	servertesting "github.com/gatehouse-dev/gatehouse/cmd/gatehouse/app/testing"
	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/pkg/authentication"
	"github.com/gatehouse-dev/gatehouse/pkg/controller/hostlifecycle"
	"github.com/gatehouse-dev/gatehouse/pkg/controller/leader"
	"github.com/gatehouse-dev/gatehouse/pkg/controller/manager"
	"github.com/gatehouse-dev/gatehouse/pkg/server/options"
	"github.com/gatehouse-dev/gatehouse/test/integration/harness"
)

// readers counts list and watch requests by kind and user.
type readers struct {
	mu    sync.Mutex
	times map[string]int
}

type counting struct {
	*readers
	next http.RoundTripper
}

func (r counting) RoundTrip(request *http.Request) (*http.Response, error) {
	path, fleet := strings.CutPrefix(request.URL.Path, "/apis/fleet.gatehouse.dev/v1alpha1/")
	if fleet && request.Method == http.MethodGet && !strings.Contains(path, "/") {
		r.mu.Lock()
		r.times[strings.TrimSpace(path+" by "+request.Header.Get("Impersonate-User"))]++
		r.mu.Unlock()
	}
	return r.next.RoundTrip(request)
}

// Several controllers need instances. Without shared informers, each event would be sent and decoded,
// and each instance stored, once for every informer.
func TestTheControllersOfTheFleetWatchEachKindOnce(t *testing.T) {
	server := servertesting.Start(t)
	client := harness.NewFleetClient(t, server.Config)
	seen := &readers{times: map[string]int{}}
	config := rest.CopyConfig(server.Config)
	config.Wrap(func(next http.RoundTripper) http.RoundTripper { return counting{seen, next} })
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() {
		if err := manager.RunFleet(ctx, config, authentication.ControllerUserPrefix, leader.Config{
			Namespace: metav1.NamespaceSystem, LeaseName: leader.Lease, Identity: "the only one",
			LeaseDuration: time.Minute, RenewDeadline: 30 * time.Second, RetryPeriod: time.Second,
		}, hostlifecycle.DefaultOptions()); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() {
		cancel()
		running.Wait()
	})

	client.CreateReadyHost(t, "edge-1", "4")
	labels := map[string]string{"app": "web"}
	if _, err := client.FleetV1alpha1().Apps("default").Create(t.Context(), &v1alpha1.App{
		ObjectMeta: metav1.ObjectMeta{Name: "web"},
		Spec: v1alpha1.AppSpec{
			Replicas: ptr.To[int32](3), Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: v1alpha1.InstanceTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec:       v1alpha1.InstanceSpec{Containers: []v1alpha1.Container{{Name: "web", Image: "web:1"}}},
			},
		},
	}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	harness.ComesTrue(t, func(ctx context.Context) string {
		instances, err := client.FleetV1alpha1().Instances("default").List(ctx, metav1.ListOptions{})
		if err != nil {
			return err.Error()
		}
		bound := 0
		for _, i := range instances.Items {
			if i.Spec.HostName == "edge-1" {
				bound++
			}
		}
		if bound != 3 {
			return fmt.Sprintf("%d instances of 3 are bound", bound)
		}
		return ""
	})

	want := map[string]int{}
	for _, kind := range []string{"apps", "releases", "instances", "hosts", "hostleases"} {
		want[kind+" by system:controller:shared-informers"] = 1
	}
	seen.mu.Lock()
	defer seen.mu.Unlock()
	if !reflect.DeepEqual(seen.times, want) {
		t.Errorf("read were %v, want %v", seen.times, want)
	}
}

// watchCounter counts watch requests by path and field selector: a watch of one name or type is
// not of the whole resource.
type watchCounter struct {
	*readers
	next http.RoundTripper
}

func (w watchCounter) RoundTrip(request *http.Request) (*http.Response, error) {
	if request.URL.Query().Get("watch") != "" {
		w.mu.Lock()
		w.times[request.URL.Path+" "+request.URL.Query().Get("fieldSelector")]++
		w.mu.Unlock()
	}
	return w.next.RoundTrip(request)
}

// Without shared informers each of the five controllers would cache all namespaces, and the server would
// send each event several times.
func TestTheControllersOfAStandaloneServerWatchEachResourceOnce(t *testing.T) {
	server := servertesting.Start(t, func(o *options.Options) { o.Controllers = nil })
	client := kubernetes.NewForConfigOrDie(server.Config)
	seen := &readers{times: map[string]int{}}
	config := rest.CopyConfig(server.Config)
	config.Wrap(func(next http.RoundTripper) http.RoundTripper { return watchCounter{seen, next} })
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() {
		if err := manager.RunStandalone(ctx, config, authentication.ControllerUserPrefix); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() {
		cancel()
		running.Wait()
	})

	// Every controller has to work, with only its own rights and those of the informers.
	if _, err := client.CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "team"}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := client.CoreV1().ResourceQuotas("team").Create(t.Context(), &corev1.ResourceQuota{
		ObjectMeta: metav1.ObjectMeta{Name: "few"},
		Spec:       corev1.ResourceQuotaSpec{Hard: corev1.ResourceList{"count/serviceaccounts": resource.MustParse("5")}},
	}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	harness.ComesTrue(t, func(ctx context.Context) string {
		quota, err := client.CoreV1().ResourceQuotas("team").Get(ctx, "few", metav1.GetOptions{})
		if err != nil {
			return err.Error()
		}
		// The default service account is counted, and so has been created.
		if used := quota.Status.Used["count/serviceaccounts"]; used.Value() != 1 {
			return fmt.Sprintf("%s service accounts are counted", used.String())
		}
		return ""
	})
	if err := client.CoreV1().Namespaces().Delete(t.Context(), "team", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	harness.ComesTrue(t, func(ctx context.Context) string {
		if _, err := client.CoreV1().Namespaces().Get(ctx, "team", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
			return fmt.Sprintf("the namespace is still there: %v", err)
		}
		return ""
	})

	seen.mu.Lock()
	defer seen.mu.Unlock()
	for path, times := range seen.times {
		if times != 1 {
			t.Errorf("%s is watched %d times", path, times)
		}
	}
	for _, path := range []string{"/api/v1/namespaces", "/api/v1/serviceaccounts", "/api/v1/resourcequotas", "/apis/rbac.authorization.k8s.io/v1/clusterroles", "/apis/fleet.gatehouse.dev/v1alpha1/instances"} {
		if seen.times[path+" "] == 0 {
			t.Errorf("%s is not watched", path)
		}
	}
}
