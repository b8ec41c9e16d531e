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

package controllers

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/utils/ptr"

	servertesting "github.com/gatehouse-dev/gatehouse/cmd/gatehouse/app/testing"
	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/pkg/controller/release"
	"github.com/gatehouse-dev/gatehouse/test/integration/harness"
)

// releases is a server with a release controller that has no other rights than its rules.
type releases struct {
	harness.Controlled
	config *rest.Config
}

// releaseRules returns all rights that a release controller needs.
func releaseRules() []rbacv1.PolicyRule {
	return []rbacv1.PolicyRule{
		{APIGroups: []string{v1alpha1.GroupName}, Resources: []string{"releases"}, Verbs: []string{"get", "list", "watch"}},
		{APIGroups: []string{v1alpha1.GroupName}, Resources: []string{"releases/finalizers", "releases/status"}, Verbs: []string{"update"}},
		{APIGroups: []string{v1alpha1.GroupName}, Resources: []string{"instances"}, Verbs: []string{"list", "watch", "patch", "delete"}},
		{APIGroups: []string{""}, Resources: []string{"events"}, Verbs: []string{"create", "patch"}},
	}
}

// startReleases omits the right to create instances, which mayCreate grants.
func startReleases(t *testing.T) releases {
	t.Helper()
	server := servertesting.Start(t)
	core, err := kubernetes.NewForConfig(server.Config)
	if err != nil {
		t.Fatal(err)
	}
	r := releases{harness.Controlled{FleetClient: harness.NewFleetClient(t, server.Config), Core: core}, harness.IssueClient(t, server, "keeper")}
	r.grant(t, "keeper", releaseRules()...)
	return r
}

func (r releases) mayCreate(t *testing.T) {
	t.Helper()
	r.grant(t, "keeper-creates", rbacv1.PolicyRule{APIGroups: []string{v1alpha1.GroupName}, Resources: []string{"instances"}, Verbs: []string{"create"}})
}

func (r releases) grant(t *testing.T, name string, rules ...rbacv1.PolicyRule) {
	t.Helper()
	if _, err := r.Core.RbacV1().ClusterRoles().Create(t.Context(), &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: name}, Rules: rules}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Core.RbacV1().ClusterRoleBindings().Create(t.Context(), &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: name},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: "keeper"}},
	}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

// run runs a controller until the test ends or the returned function is called, which waits
// for its end.
func (r releases) run(t *testing.T) (stop func()) {
	t.Helper()
	return runs(t, r.config, release.New)
}

func (r releases) create(t *testing.T, name string, replicas int32) *v1alpha1.Release {
	t.Helper()
	chosen := map[string]string{"release": name}
	created, err := r.FleetV1alpha1().Releases("default").Create(t.Context(), &v1alpha1.Release{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: v1alpha1.ReleaseSpec{
			Replicas: &replicas, Selector: &metav1.LabelSelector{MatchLabels: chosen},
			Template: v1alpha1.InstanceTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: chosen},
				Spec:       v1alpha1.InstanceSpec{Containers: []v1alpha1.Container{{Name: "web", Image: "web:1"}}},
			},
		},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return created
}

func (r releases) scale(t *testing.T, name string, replicas int32) {
	t.Helper()
	scale, err := r.FleetV1alpha1().Releases("default").GetScale(t.Context(), name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	scale.Spec.Replicas = replicas
	if _, err := r.FleetV1alpha1().Releases("default").UpdateScale(t.Context(), name, scale, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
}

func (r releases) instances(t *testing.T, name string) []v1alpha1.Instance {
	t.Helper()
	list, err := r.FleetV1alpha1().Instances("default").List(t.Context(), metav1.ListOptions{LabelSelector: "release=" + name})
	if err != nil {
		t.Fatal(err)
	}
	return list.Items
}

// settles waits for the status of the release, and returns its active instances.
func (r releases) settles(t *testing.T, name string, replicas, ready int32) []v1alpha1.Instance {
	t.Helper()
	harness.ComesTrue(t, func(ctx context.Context) string {
		got, err := r.FleetV1alpha1().Releases("default").Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return err.Error()
		}
		if s := got.Status; s.Replicas != replicas || s.ReadyReplicas != ready || s.AvailableReplicas != ready || s.ObservedGeneration != got.Generation {
			return fmt.Sprintf("want %d instances, %d of them ready: %+v", replicas, ready, s)
		}
		return ""
	})
	var active []v1alpha1.Instance
	for _, i := range r.instances(t, name) {
		if i.DeletionTimestamp == nil && i.Status.Phase != v1alpha1.InstanceFailed {
			active = append(active, i)
		}
	}
	if len(active) != int(replicas) {
		t.Fatalf("there are %d instances, and the status has %d", len(active), replicas)
	}
	return active
}

// reports writes a status as an agent does.
func (r releases) reports(t *testing.T, name string, phase v1alpha1.InstancePhase, ready metav1.ConditionStatus) {
	t.Helper()
	i := r.GetInstance(t, name)
	i.Status.Phase = phase
	i.Status.Conditions = []metav1.Condition{{Type: v1alpha1.InstanceConditionReady, Status: ready, Reason: "Reported", LastTransitionTime: metav1.Now()}}
	if _, err := r.FleetV1alpha1().Instances("default").UpdateStatus(t.Context(), i, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
}

func TestAReleaseIsKeptAtItsNumber(t *testing.T) {
	r := startReleases(t)
	r.mayCreate(t)
	stop := r.run(t)
	r.CreateHost(t, "edge-1")

	created := r.create(t, "web", 3)
	active := r.settles(t, "web", 3, 0)
	for _, i := range active {
		owner := metav1.GetControllerOf(&i)
		if !strings.HasPrefix(i.Name, "web-") || owner == nil || owner.UID != created.UID || !ptr.Deref(owner.BlockOwnerDeletion, false) {
			t.Errorf("instance %s belongs to %v", i.Name, owner)
		}
	}

	// A deleted bound instance stays until its agent ends it, and is replaced at once.
	bound := active[0].Name
	r.MustBind(t, bound, "edge-1")
	r.reports(t, bound, v1alpha1.InstanceRunning, metav1.ConditionTrue)
	r.settles(t, "web", 3, 1)
	r.Delete(t, bound, harness.GraceOfSpec)
	active = r.settles(t, "web", 3, 0)
	r.WantTerminating(t, bound, 30)
	if total := len(r.instances(t, "web")); total != 4 {
		t.Errorf("there are %d instances, with the one that is going", total)
	}

	// A failed instance is replaced, too. It is kept so that a user can examine it.
	failed := active[0].Name
	r.MustBind(t, failed, "edge-1")
	r.reports(t, failed, v1alpha1.InstanceFailed, metav1.ConditionFalse)
	harness.ComesTrue(t, func(context.Context) string {
		if total := len(r.instances(t, "web")); total != 5 {
			return fmt.Sprintf("there are %d instances, with one that is going and one that failed", total)
		}
		return ""
	})
	active = r.settles(t, "web", 3, 0)

	// The active instance is kept.
	kept := active[1].Name
	r.MustBind(t, kept, "edge-1")
	r.reports(t, kept, v1alpha1.InstanceRunning, metav1.ConditionTrue)
	r.settles(t, "web", 3, 1)
	r.scale(t, "web", 1)
	if left := r.settles(t, "web", 1, 1); left[0].Name != kept {
		t.Errorf("%s is left of the three, not the one that is ready", left[0].Name)
	}

	// An instance outside the selector is released and replaced; a matching orphan is adopted.
	if _, err := r.FleetV1alpha1().Instances("default").Patch(t.Context(), kept, types.MergePatchType, []byte(`{"metadata":{"labels":{"release":"none"}}}`), metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	replaced := r.settles(t, "web", 1, 0)[0].Name
	if owner := metav1.GetControllerOf(r.GetInstance(t, kept)); owner != nil {
		t.Errorf("%s still belongs to %v", kept, owner)
	}
	if _, err := r.FleetV1alpha1().Instances("default").Patch(t.Context(), kept, types.MergePatchType, []byte(`{"metadata":{"labels":{"release":"web"}}}`), metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	harness.Gone(t, replaced, func(ctx context.Context) error {
		_, err := r.FleetV1alpha1().Instances("default").Get(ctx, replaced, metav1.GetOptions{})
		return err
	})
	if left := r.settles(t, "web", 1, 1); left[0].Name != kept || metav1.GetControllerOf(&left[0]) == nil {
		t.Errorf("%s was not adopted, but %s is there", kept, left[0].Name)
	}

	stop()
	seen := sets.New[string]()
	list, err := r.Core.CoreV1().Events("default").List(t.Context(), metav1.ListOptions{FieldSelector: "involvedObject.name=web,involvedObject.kind=Release"})
	if err != nil {
		t.Fatal(err)
	}
	for _, event := range list.Items {
		seen.Insert(event.Reason)
		if event.Source.Component != release.Name {
			t.Errorf("%s comes from %s", event.Reason, event.Source.Component)
		}
	}
	if !seen.HasAll("SuccessfulCreate", "SuccessfulDelete") {
		t.Errorf("there are events %v", sets.List(seen))
	}
}

func TestAControllerThatIsStartedAgainMakesNoMore(t *testing.T) {
	r := startReleases(t)
	r.mayCreate(t)
	everMade := sets.New[types.UID]()
	watcher, err := r.FleetV1alpha1().Instances("default").Watch(t.Context(), metav1.ListOptions{LabelSelector: labels.Set{"release": "web"}.String()})
	if err != nil {
		t.Fatal(err)
	}
	var counting sync.WaitGroup
	counting.Go(func() {
		for event := range watcher.ResultChan() {
			if i, ok := event.Object.(*v1alpha1.Instance); ok {
				everMade.Insert(i.UID)
			}
		}
	})
	stop := r.run(t)
	r.create(t, "web", 40)
	r.settles(t, "web", 40, 0)
	for want := int32(41); want <= 43; want++ {
		stop()
		stop = r.run(t)
		r.scale(t, "web", want)
		r.settles(t, "web", want, 0)
	}
	stop()
	watcher.Stop()
	counting.Wait()
	if len(everMade) > 43 {
		t.Errorf("%d instances were made for 43", len(everMade))
	}

	// A controller that dies during its work leaves no more instances than were wanted.
	stop = r.run(t)
	r.create(t, "big", 200)
	harness.ComesTrue(t, func(context.Context) string {
		if len(r.instances(t, "big")) < 10 {
			return "hardly any are made"
		}
		return ""
	})
	stop()
	r.run(t)
	r.settles(t, "big", 200, 0)
}

func TestAReleaseThatCannotCreateInstancesHasAConditionWithTheReason(t *testing.T) {
	r := startReleases(t)
	r.run(t)
	r.create(t, "web", 2)
	condition := func(told bool, says string) {
		harness.ComesTrue(t, func(ctx context.Context) string {
			got, err := r.FleetV1alpha1().Releases("default").Get(ctx, "web", metav1.GetOptions{})
			if err != nil {
				return err.Error()
			}
			failure := meta.FindStatusCondition(got.Status.Conditions, v1alpha1.ReleaseConditionReplicaFailure)
			if (failure != nil) != told || told && (failure.Reason != "FailedCreate" || !strings.Contains(failure.Message, says)) {
				return fmt.Sprintf("conditions are %v", got.Status.Conditions)
			}
			return ""
		})
	}
	condition(true, `cannot create resource "instances"`)
	harness.ComesTrue(t, func(ctx context.Context) string {
		list, err := r.Core.CoreV1().Events("default").List(ctx, metav1.ListOptions{FieldSelector: "involvedObject.name=web,reason=FailedCreate,type=" + corev1.EventTypeWarning})
		if err != nil || len(list.Items) == 0 {
			return fmt.Sprintf("no event tells of it (%v)", err)
		}
		return ""
	})
	r.mayCreate(t)
	r.settles(t, "web", 2, 0)
	condition(false, "")
}
