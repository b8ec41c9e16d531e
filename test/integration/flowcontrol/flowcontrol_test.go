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

package flowcontrol

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	flowcontrolv1 "k8s.io/api/flowcontrol/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/utils/ptr"

	servertesting "github.com/gatehouse-dev/gatehouse/cmd/gatehouse/app/testing"
	"github.com/gatehouse-dev/gatehouse/pkg/server/options"
	"github.com/gatehouse-dev/gatehouse/test/integration/harness"
	"github.com/gatehouse-dev/gatehouse/test/kit"
	"github.com/gatehouse-dev/gatehouse/test/webhooks"
)

// settings are FlowSchemas and priority levels of a running server.
type settings struct {
	*testing.T
	admin kubernetes.Interface
}

func newSettings(t *testing.T, server *servertesting.Server) settings {
	t.Helper()
	return settings{t, kubernetes.NewForConfigOrDie(server.Config)}
}

// level creates a level that rejects what exceeds its share, which it does not extend by borrowing.
func (s settings) level(name string, shares int32) *flowcontrolv1.PriorityLevelConfiguration {
	s.Helper()
	level, err := s.admin.FlowcontrolV1().PriorityLevelConfigurations().Create(s.Context(), &flowcontrolv1.PriorityLevelConfiguration{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: flowcontrolv1.PriorityLevelConfigurationSpec{Type: flowcontrolv1.PriorityLevelEnablementLimited, Limited: &flowcontrolv1.LimitedPriorityLevelConfiguration{
			NominalConcurrencyShares: &shares, BorrowingLimitPercent: ptr.To[int32](0), LimitResponse: flowcontrolv1.LimitResponse{Type: flowcontrolv1.LimitResponseTypeReject},
		}},
	}, metav1.CreateOptions{})
	if err != nil {
		s.Fatal(err)
	}
	return level
}

// schema creates a FlowSchema that assigns all requests of a user.
func (s settings) schema(name, level, user string) *flowcontrolv1.FlowSchema {
	s.Helper()
	all := []string{"*"}
	schema, err := s.admin.FlowcontrolV1().FlowSchemas().Create(s.Context(), &flowcontrolv1.FlowSchema{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: flowcontrolv1.FlowSchemaSpec{
			PriorityLevelConfiguration: flowcontrolv1.PriorityLevelConfigurationReference{Name: level}, MatchingPrecedence: 1000,
			Rules: []flowcontrolv1.PolicyRulesWithSubjects{{
				Subjects:         []flowcontrolv1.Subject{{Kind: flowcontrolv1.SubjectKindUser, User: &flowcontrolv1.UserSubject{Name: user}}},
				ResourceRules:    []flowcontrolv1.ResourcePolicyRule{{Verbs: all, APIGroups: all, Resources: all, Namespaces: all, ClusterScope: true}},
				NonResourceRules: []flowcontrolv1.NonResourcePolicyRule{{Verbs: all, NonResourceURLs: all}},
			}},
		},
	}, metav1.CreateOptions{})
	if err != nil {
		s.Fatal(err)
	}
	return schema
}

// dangling returns the status of the condition by which flow control reports a missing level, and the manager
// of its fields.
func (s settings) dangling(ctx context.Context, name string) (status flowcontrolv1.ConditionStatus, manager string) {
	schema, err := s.admin.FlowcontrolV1().FlowSchemas().Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return flowcontrolv1.ConditionStatus(err.Error()), ""
	}
	for _, condition := range schema.Status.Conditions {
		if condition.Type == flowcontrolv1.FlowSchemaConditionDangling {
			status = condition.Status
		}
	}
	for _, fields := range schema.ManagedFields {
		if fields.Subresource == "status" && fields.Operation == metav1.ManagedFieldsOperationApply {
			manager = fields.Manager
		}
	}
	return status, manager
}

// assigned returns the UIDs of the FlowSchema and the level of a response.
func assigned(answer harness.RawAnswer) [2]types.UID {
	return [2]types.UID{
		types.UID(answer.Header.Get(flowcontrolv1.ResponseHeaderMatchedFlowSchemaUID)),
		types.UID(answer.Header.Get(flowcontrolv1.ResponseHeaderMatchedPriorityLevelConfigurationUID)),
	}
}

func TestFlowSchemasAndLevelsTakeEffectAtOnce(t *testing.T) {
	server := servertesting.Start(t)
	s := newSettings(t, server)
	noxu, other := harness.NewRawClient(t, harness.IssueClient(t, server, "noxu")), harness.NewRawClient(t, harness.IssueClient(t, server, "other"))
	schema := s.schema("team", "team", "noxu")
	kit.EventuallyState(t, "flow control reports the missing level", func(ctx context.Context) (bool, string) {
		status, manager := s.dangling(ctx, "team")
		return status == flowcontrolv1.ConditionTrue && manager == "api-priority-and-fairness-config-consumer-v1", fmt.Sprint(status, manager)
	})
	level := s.level("team", 1)
	kit.EventuallyState(t, "flow control reports that the level exists", func(ctx context.Context) (bool, string) {
		status, _ := s.dangling(ctx, "team")
		return status == flowcontrolv1.ConditionFalse, string(status)
	})
	want := [2]types.UID{schema.UID, level.UID}
	for _, path := range []string{"/version", "/api/v1/namespaces"} {
		if got := assigned(noxu.Do(t, http.MethodGet, path, "", "", "")); got != want {
			t.Errorf("%s of the user is assigned to %v, not to %v", path, got, want)
		}
		got := assigned(other.Do(t, http.MethodGet, path, "", "", ""))
		if got == want || got[0] == "" || got[1] == "" {
			t.Errorf("%s of another user is assigned to %v", path, got)
		}
	}
	if err := s.admin.FlowcontrolV1().PriorityLevelConfigurations().Delete(t.Context(), "team", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	kit.EventuallyState(t, "the requests go elsewhere without the level", func(ctx context.Context) (bool, string) {
		answer, err := noxu.Try(ctx, http.MethodGet, "/version", "", "", "")
		status, _ := s.dangling(ctx, "team")
		return err == nil && answer.Code == http.StatusOK && assigned(answer)[0] != schema.UID && status == flowcontrolv1.ConditionTrue, fmt.Sprint(err, answer.Code, status)
	})
}

// A level with one seat is occupied by a write that hangs in a webhook. Every other request of its users is
// rejected, until the level has more seats.
func TestALevelRejectsWhatExceedsItsSeats(t *testing.T) {
	server := servertesting.Start(t, func(o *options.Options) {
		o.ServerRun.MaxRequestsInFlight, o.ServerRun.MaxMutatingRequestsInFlight = 100, 50
	})
	s := newSettings(t, server)
	if _, err := s.admin.RbacV1().RoleBindings("default").Create(t.Context(), &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "team"}, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "edit"},
		Subjects: []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: "noxu"}},
	}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	s.level("team", 1)
	schema := s.schema("team", "team", "noxu")
	var called atomic.Int32
	release := make(chan struct{})
	s.hang(&called, release)
	config := harness.IssueClient(t, server, "noxu")
	noxu, client := harness.NewRawClient(t, config), kubernetes.NewForConfigOrDie(config)
	const path = "/api/v1/namespaces/default/configmaps"
	kit.Eventually(t, "the level is used and the role read", func(ctx context.Context) bool {
		answer, err := noxu.Try(ctx, http.MethodGet, path, "", "", "")
		return err == nil && answer.Code == http.StatusOK && assigned(answer)[0] == schema.UID
	})
	var writes sync.WaitGroup
	defer writes.Wait()
	defer close(release)
	kit.Eventually(t, "a write hangs", func(context.Context) bool {
		writes.Go(func() {
			_, _ = client.CoreV1().ConfigMaps("default").Create(context.WithoutCancel(t.Context()), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{GenerateName: "a-", Labels: hanging}}, metav1.CreateOptions{})
		})
		return called.Load() > 0
	})
	answer := noxu.Do(t, http.MethodGet, path, "", "", "")
	if answer.Code != http.StatusTooManyRequests || answer.Header.Get("Retry-After") == "" || assigned(answer)[0] != schema.UID {
		t.Errorf("a request beyond the seats is answered with %d by %v: %s", answer.Code, assigned(answer), answer.Body)
	}
	if _, err := s.admin.FlowcontrolV1().PriorityLevelConfigurations().Patch(t.Context(), "team", types.MergePatchType, []byte(`{"spec":{"limited":{"nominalConcurrencyShares":100}}}`), metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	kit.EventuallyState(t, "a request gets one of the new seats", func(ctx context.Context) (bool, string) {
		answer, err := noxu.Try(ctx, http.MethodGet, path, "", "", "")
		return err == nil && answer.Code == http.StatusOK, fmt.Sprint(err, answer.Code)
	})
}

// hanging are the labels of config maps whose creates hang; controllers create others.
var hanging = map[string]string{"hang": "yes"}

// hang makes creates of these config maps hang in a webhook until release is closed.
func (s settings) hang(called *atomic.Int32, release <-chan struct{}) {
	s.Helper()
	hook := webhooks.RawHook(s.T, func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		called.Add(1)
		select {
		case <-release:
		case <-r.Context().Done():
		}
	})
	if _, err := s.admin.AdmissionregistrationV1().ValidatingWebhookConfigurations().Create(s.Context(), &admissionregistrationv1.ValidatingWebhookConfiguration{
		ObjectMeta: metav1.ObjectMeta{Name: "hang"},
		Webhooks: []admissionregistrationv1.ValidatingWebhook{{
			Name: "hang.example.com", ClientConfig: hook, ObjectSelector: &metav1.LabelSelector{MatchLabels: hanging}, TimeoutSeconds: ptr.To[int32](30),
			SideEffects: ptr.To(admissionregistrationv1.SideEffectClassNone), AdmissionReviewVersions: []string{"v1"},
			Rules: []admissionregistrationv1.RuleWithOperations{{
				Operations: []admissionregistrationv1.OperationType{admissionregistrationv1.Create},
				Rule:       admissionregistrationv1.Rule{APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{"configmaps"}},
			}},
		}},
	}, metav1.CreateOptions{}); err != nil {
		s.Fatal(err)
	}
}

// uids returns the UIDs of the FlowSchema and of the level of the name; empty if one is missing.
func (s settings) uids(ctx context.Context, name string) [2]types.UID {
	schema, err := s.admin.FlowcontrolV1().FlowSchemas().Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return [2]types.UID{}
	}
	level, err := s.admin.FlowcontrolV1().PriorityLevelConfigurations().Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return [2]types.UID{}
	}
	return [2]types.UID{schema.UID, level.UID}
}

func TestDeletedBootstrapObjectsComeBack(t *testing.T) {
	server := servertesting.Start(t)
	s := newSettings(t, server)
	names := []string{"global-default", "catch-all", "exempt"}
	var before [2]types.UID // of the object whose return is awaited
	back := 0
	// One wait for all: a server that only compares once a minute would not bring back as many.
	kit.EventuallyState(t, "each FlowSchema and its level are back twice", func(ctx context.Context) (bool, string) {
		name := names[back%len(names)]
		uids := s.uids(ctx, name)
		if slices.Contains(uids[:], "") || before[0] == uids[0] || before[1] == uids[1] {
			return false, fmt.Sprintf("%d came back, %s has the UIDs %q", back, name, uids)
		}
		if before[0] != "" {
			before = [2]types.UID{}
			back++
			return back == 2*len(names), ""
		}
		before = uids
		if err := s.admin.FlowcontrolV1().FlowSchemas().Delete(ctx, name, metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		if err := s.admin.FlowcontrolV1().PriorityLevelConfigurations().Delete(ctx, name, metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		return false, name + " is deleted"
	})
}

func TestARestartKeepsEditsThatAreAnnotatedAndUndoesOthers(t *testing.T) {
	server := servertesting.Start(t)
	s := newSettings(t, server)
	s.level("own", 1)
	shares := func(n int, annotation string) []byte {
		return fmt.Appendf(nil, `{"metadata":{"annotations":{%q:%q}},"spec":{"limited":{"nominalConcurrencyShares":%d}}}`, flowcontrolv1.AutoUpdateAnnotationKey, annotation, n)
	}
	levels := s.admin.FlowcontrolV1().PriorityLevelConfigurations()
	for name, patch := range map[string][]byte{
		"workload-low": shares(77, "false"), "node-high": shares(77, "true"),
		"own": fmt.Appendf(nil, `{"metadata":{"annotations":{"example.com/kept":"yes"}}}`),
	} {
		if _, err := levels.Patch(t.Context(), name, types.MergePatchType, patch, metav1.PatchOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	// An earlier version has suggested it.
	former := s.level("former", 1)
	former.Annotations = map[string]string{flowcontrolv1.AutoUpdateAnnotationKey: "true"}
	if _, err := levels.Update(t.Context(), former, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := server.Stop(); err != nil {
		t.Fatal(err)
	}
	server = servertesting.Start(t, func(o *options.Options) { o.DataDir = server.DataDir })
	levels = newSettings(t, server).admin.FlowcontrolV1().PriorityLevelConfigurations()
	kit.Eventually(t, "the object of the earlier version is removed", func(ctx context.Context) bool {
		_, err := levels.Get(ctx, "former", metav1.GetOptions{})
		return apierrors.IsNotFound(err)
	})
	for name, want := range map[string]int32{"workload-low": 77, "node-high": 40, "own": 1} {
		level, err := levels.Get(t.Context(), name, metav1.GetOptions{})
		if err != nil || ptr.Deref(level.Spec.Limited.NominalConcurrencyShares, -1) != want {
			t.Errorf("%s has not %d shares: %+v, %v", name, want, level, err)
		}
	}
}
