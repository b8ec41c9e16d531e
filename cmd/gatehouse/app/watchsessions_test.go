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
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/utils/clock"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/diagnostics"
	"github.com/gatehouse-dev/gatehouse/pkg/apiserver"
	"github.com/gatehouse-dev/gatehouse/pkg/controller/manager"
	"github.com/gatehouse-dev/gatehouse/pkg/server/options"
	"github.com/gatehouse-dev/gatehouse/pkg/watches"
	"github.com/gatehouse-dev/gatehouse/test/kit"
)

// startRecorded runs a standalone server with a registry of watches until the test ends.
func startRecorded(t *testing.T) (*watches.Registry, *rest.Config) {
	t.Helper()
	dir, err := os.MkdirTemp("", "gatehouse-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	o := options.NewOptions()
	o.Mode, o.DataDir, o.Controllers, o.Serving.BindPort = options.ModeStandalone, filepath.Join(dir, "data"), manager.ClusterControllers(), 0
	completed, err := o.Complete()
	if err != nil {
		t.Fatal(err)
	}
	registry, ready, stopped := watches.NewRegistry(clock.RealClock{}), make(chan Ready, 1), make(chan error, 1)
	ctx, stop := context.WithCancel(context.Background())
	go func() {
		stopped <- run(ctx, completed, &startup{observe: Observer{Ready: func(r Ready) { ready <- r }}, change: func(config *apiserver.Config) {
			config.WatchSessions = registry
		}})
	}()
	t.Cleanup(func() {
		stop()
		if err := <-stopped; err != nil {
			t.Error(err)
		}
	})
	select {
	case r := <-ready:
		config, err := clientcmd.BuildConfigFromFlags("", r.Kubeconfig)
		if err != nil {
			t.Fatal(err)
		}
		return registry, config
	case err := <-stopped:
		stopped <- err
		t.Fatal(err)
	}
	return nil, nil
}

// TestTheRecordOfAWatchHasItsUserItsSelectorsAndItsEvents pins how the library writes events: what pkg/watches counts.
func TestTheRecordOfAWatchHasItsUserItsSelectorsAndItsEvents(t *testing.T) {
	registry, config := startRecorded(t)
	created := 0
	for _, contentType := range []string{"application/json", "application/vnd.kubernetes.protobuf"} {
		t.Run(contentType, func(t *testing.T) {
			encoded := rest.CopyConfig(config)
			encoded.ContentType, encoded.AcceptContentTypes, encoded.UserAgent = contentType, contentType, "agent of "+contentType
			objects := kubernetes.NewForConfigOrDie(encoded).CoreV1().ConfigMaps("default")
			watcher, err := objects.Watch(t.Context(), metav1.ListOptions{LabelSelector: "color=red", ResourceVersion: "0"})
			if err != nil {
				t.Fatal(err)
			}
			defer watcher.Stop()
			wanted := created // the watch begins with the objects that exist
			for range 3 {
				object := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("a-%d", created), Labels: map[string]string{"color": "red"}}}
				if _, err := objects.Create(t.Context(), object, metav1.CreateOptions{}); err != nil {
					t.Fatal(err)
				}
				created++
				wanted++
			}
			for range wanted {
				<-watcher.ResultChan()
			}
			kit.EventuallyState(t, "the record has all events", func(context.Context) (bool, string) {
				good, state := false, "no record"
				registry.List(func(session *diagnostics.WatchSession) {
					if session.User.UserAgent == encoded.UserAgent {
						r := session.Request
						good = session.User.Username == "gatehouse-admin" && r.Resource == "configmaps" && r.Namespace == "default" && r.LabelSelector == "color=red" &&
							r.ResourceVersion == "0" && session.ServedFrom == diagnostics.WatchSourceCache && session.Events == int64(wanted) && session.Bytes > 100
						state = fmt.Sprintf("%+v, want %d events", session, wanted)
					}
				})
				return good, state
			})
		})
	}
}
