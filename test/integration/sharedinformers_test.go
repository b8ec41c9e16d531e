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

package integration

import (
	"context"
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"k8s.io/utils/ptr"

	servertesting "github.com/gatehouse-dev/gatehouse/cmd/gatehouse/app/testing"
	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/pkg/authentication"
	"github.com/gatehouse-dev/gatehouse/pkg/controller/hostlifecycle"
	"github.com/gatehouse-dev/gatehouse/pkg/controller/leader"
	"github.com/gatehouse-dev/gatehouse/pkg/controller/manager"
)

// readers counts who lists or watches which kind.
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

// An event of an instance is for several controllers, and would be sent and decoded, and the
// instance kept, as often as there are informers of instances.
func TestTheControllersOfTheFleetWatchEachKindOnce(t *testing.T) {
	server := servertesting.Start(t)
	client := newFleetClient(t, server.Config)
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

	client.createReadyHost(t, "edge-1", "4")
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
	comesTrue(t, func(ctx context.Context) string {
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
