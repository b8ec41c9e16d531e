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

package kstatus

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/cli-utils/pkg/kstatus/polling"
	"sigs.k8s.io/cli-utils/pkg/kstatus/polling/aggregator"
	"sigs.k8s.io/cli-utils/pkg/kstatus/polling/collector"
	"sigs.k8s.io/cli-utils/pkg/kstatus/polling/event"
	"sigs.k8s.io/cli-utils/pkg/kstatus/status"
	"sigs.k8s.io/cli-utils/pkg/object"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
)

// poller returns the StatusPoller with which Flux waits for applied objects.
func (s stage) poller(t *testing.T) *polling.StatusPoller {
	t.Helper()
	mapper := meta.NewDefaultRESTMapper([]schema.GroupVersion{v1alpha1.SchemeGroupVersion})
	mapper.Add(v1alpha1.SchemeGroupVersion.WithKind("App"), meta.RESTScopeNamespace)
	reader, err := client.New(s.config, client.Options{Mapper: mapper})
	if err != nil {
		t.Fatal(err)
	}
	return polling.NewStatusPoller(reader, mapper, polling.Options{})
}

// outcome polls the apps until their aggregate is Current or Failed, which is where Flux ends its
// wait, or until the timeout. It returns the aggregate and the message of each app.
func outcome(ctx context.Context, poller *polling.StatusPoller, ids object.ObjMetadataSet, timeout time.Duration) (status.Status, string) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	statuses := collector.NewResourceStatusCollector(ids)
	aggregate := func() status.Status {
		var all []*event.ResourceStatus
		for _, one := range statuses.ResourceStatuses {
			all = append(all, one)
		}
		return aggregator.AggregateStatus(all, status.CurrentStatus)
	}
	events := poller.Poll(ctx, ids, polling.PollOptions{PollInterval: 200 * time.Millisecond})
	<-statuses.ListenWithObserver(events, collector.ObserverFunc(func(*collector.ResourceStatusCollector, event.Event) {
		if now := aggregate(); now == status.CurrentStatus || now == status.FailedStatus {
			cancel()
		}
	}))
	var messages []string
	for _, one := range statuses.ResourceStatuses {
		messages = append(messages, fmt.Sprintf("%s: %s (%s) %v", one.Identifier.Name, one.Status, one.Message, one.Error))
	}
	return aggregate(), strings.Join(messages, "; ")
}

// TestThePollerOfFluxEndsItsWaitRightly polls an app of each state together with a healthy one, as a
// Kustomization of Flux does.
func TestThePollerOfFluxEndsItsWaitRightly(t *testing.T) {
	s := begin(t, "--simulate-hosts=2", "--controllers=*")
	poller := s.poller(t)
	for _, tc := range []struct {
		name, manifest string
		before         func(namespace string)
		// timeout is patience if 0: only a wait that must time out has a short one.
		timeout time.Duration
		want    status.Status
		// message is a part of the poller's message about the app.
		message string
	}{
		{name: "healthy", manifest: app("web", "1", "  replicas: 2\n"), want: status.CurrentStatus},
		{name: "scaled to zero", manifest: app("web", "1", "  replicas: 0\n"), want: status.CurrentStatus},
		{name: "slow and in time", manifest: app("web", "1", "  minReadySeconds: 3\n"), want: status.CurrentStatus},
		{name: "slower than the wait", manifest: app("web", "1", "  minReadySeconds: 3600\n  progressDeadlineSeconds: 7200\n"), timeout: 5 * time.Second, want: status.InProgressStatus},
		{name: "broken image", manifest: app("web", "bad", "  progressDeadlineSeconds: 2\n"), want: status.FailedStatus, message: "ImagePullBackOff"},
		{name: "refused by a quota", manifest: app("web", "1", ""), before: s.noInstances, want: status.FailedStatus, message: "quota"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			namespace := s.namespace("poller-" + strings.ReplaceAll(tc.name, " ", "-"))
			if tc.before != nil {
				tc.before(namespace)
			}
			ids := object.ObjMetadataSet{}
			// The healthy app has no instances, so that the quota does not affect it.
			for _, manifest := range []string{tc.manifest, app("beside", "1", "  replicas: 0\n")} {
				created, err := s.client.Resource(apps).Namespace(namespace).Create(t.Context(), parse(t, manifest), metav1.CreateOptions{})
				if err != nil {
					t.Fatal(err)
				}
				ids = append(ids, object.UnstructuredToObjMetadata(created))
			}
			timeout := patience
			if tc.timeout != 0 {
				timeout = tc.timeout
			}
			if got, messages := outcome(t.Context(), poller, ids, timeout); got != tc.want || !strings.Contains(messages, tc.message) {
				t.Errorf("the poller ends with %s, want %s with %q: %s", got, tc.want, tc.message, messages)
			}
		})
	}
}
