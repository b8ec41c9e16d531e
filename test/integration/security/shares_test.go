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

package security

import (
	"context"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/utils/ptr"

	servertesting "github.com/gatehouse-dev/gatehouse/cmd/gatehouse/app/testing"
	"github.com/gatehouse-dev/gatehouse/pkg/server/options"
	"github.com/gatehouse-dev/gatehouse/test/integration/harness"
	"github.com/gatehouse-dev/gatehouse/test/kit"
	"github.com/gatehouse-dev/gatehouse/test/webhooks"
)

// The writes of one user hang in a webhook, and are more than the seats of the priority level of users.
// Another user of the level is served while all of them hang.
func TestWritesThatHangDoNotKeepOtherUsersFromWriting(t *testing.T) {
	const hanging = 300
	server := servertesting.Start(t, func(o *options.Options) {
		o.ServerRun.MaxRequestsInFlight, o.ServerRun.MaxMutatingRequestsInFlight = 100, 50
	})
	admin := kubernetes.NewForConfigOrDie(server.Config)
	const team = "team"
	if _, err := admin.RbacV1().RoleBindings("default").Create(t.Context(), &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: team}, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "edit"},
		Subjects: []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.GroupKind, Name: team}},
	}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	var called, ended atomic.Int32
	release := make(chan struct{})
	hook := webhooks.RawHook(t, func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		called.Add(1)
		select {
		case <-release:
		case <-r.Context().Done():
			ended.Add(1) // by the timeout of the webhook
		}
	})
	labels := map[string]string{"hang": "yes"}
	if _, err := admin.AdmissionregistrationV1().ValidatingWebhookConfigurations().Create(t.Context(), &admissionregistrationv1.ValidatingWebhookConfiguration{
		ObjectMeta: metav1.ObjectMeta{Name: "hang"},
		Webhooks: []admissionregistrationv1.ValidatingWebhook{{
			Name: "hang.example.com", ClientConfig: hook, ObjectSelector: &metav1.LabelSelector{MatchLabels: labels}, TimeoutSeconds: ptr.To[int32](30),
			SideEffects: ptr.To(admissionregistrationv1.SideEffectClassNone), AdmissionReviewVersions: []string{"v1"},
			Rules: []admissionregistrationv1.RuleWithOperations{{
				Operations: []admissionregistrationv1.OperationType{admissionregistrationv1.Create},
				Rule:       admissionregistrationv1.Rule{APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{"configmaps"}},
			}},
		}},
	}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	create := func(ctx context.Context, client kubernetes.Interface, labels map[string]string) error {
		_, err := client.CoreV1().ConfigMaps("default").Create(ctx, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{GenerateName: "a-", Labels: labels}}, metav1.CreateOptions{})
		return err
	}
	client := func(user string) kubernetes.Interface {
		config := harness.IssueClient(t, server, user, team)
		config.QPS = -1
		return kubernetes.NewForConfigOrDie(config)
	}
	greedy, modest := client("greedy"), client("modest")
	kit.Eventually(t, "the team may write", func(ctx context.Context) bool { return create(ctx, modest, nil) == nil })
	ctx, cancel := context.WithCancel(t.Context())
	var writes sync.WaitGroup
	defer writes.Wait()
	defer cancel()
	defer close(release)
	kit.Eventually(t, "the webhook is called", func(context.Context) bool {
		writes.Go(func() { _ = create(ctx, greedy, labels) })
		return called.Load() > 0
	})
	for range hanging {
		writes.Go(func() { _ = create(ctx, greedy, labels) })
	}
	// Three quarters of the level's 12 seats, which is less than 16 for each processor.
	kit.Eventually(t, "as many writes hang as run at once", func(context.Context) bool { return called.Load() >= 9 })
	for range 10 {
		if err := create(t.Context(), modest, nil); err != nil {
			t.Errorf("the other user is answered with: %v", err)
		}
	}
	if ended.Load() > 0 {
		t.Errorf("%d writes had ended before the other user was answered", ended.Load())
	}
}
