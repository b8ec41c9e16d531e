//go:build e2e

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

package e2e

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/diagnostics/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/pkg/generated/clientset/versioned"
	"github.com/gatehouse-dev/gatehouse/pkg/ui"
	"github.com/gatehouse-dev/gatehouse/test/kit"
)

// through returns a client of a user through the kube-apiserver.
func through(t *testing.T, user string, groups ...string) versioned.Interface {
	t.Helper()
	path, err := env.cluster.UserKubeconfig(user, groups...)
	if err != nil {
		t.Fatal(err)
	}
	config, err := clientcmd.BuildConfigFromFlags("", path)
	if err != nil {
		t.Fatal(err)
	}
	return versioned.NewForConfigOrDie(config)
}

// moveOn makes the kube-apiserver connect to another replica: the replica ends the connection of a request for a
// trace that it does not have.
func moveOn(ctx context.Context, client versioned.Interface) {
	_, _ = client.DiagnosticsV1alpha1().RequestTraces().Get(ctx, "none.of.any.server", metav1.GetOptions{})
}

// reviewOf returns the review of a create of an instance; the caller's own for no user.
func reviewOf(namespace, user string) *v1alpha1.RequestReview {
	object := map[string]any{
		"apiVersion": "fleet.gatehouse.dev/v1alpha1", "kind": "Instance", "metadata": map[string]any{"name": "reviewed", "namespace": namespace},
		"spec": map[string]any{"containers": []any{map[string]any{"name": "main", "image": "example.com/app:1"}}},
	}
	raw, _ := json.Marshal(object)
	review := &v1alpha1.RequestReview{Spec: v1alpha1.RequestReviewSpec{
		Verb: "create", Object: &runtime.RawExtension{Raw: raw},
		Resource: v1alpha1.ReviewedResource{Group: "fleet.gatehouse.dev", Version: "v1alpha1", Resource: "instances", Namespace: namespace},
	}}
	if user != "" {
		review.Spec.User = &v1alpha1.ReviewedUser{Username: user}
	}
	return review
}

// stopsOf returns each gate with its part, verdict and cause.
func stopsOf(stops []v1alpha1.TraceStop) (all []string) {
	for _, stop := range stops {
		all = append(all, fmt.Sprintf("%s/%s %s %s", stop.Stop, stop.By, stop.Verdict, stop.Reason))
	}
	return all
}

func has(stops []v1alpha1.TraceStop, prefix, text string) bool {
	return slices.ContainsFunc(stopsOf(stops), func(stop string) bool { return strings.HasPrefix(stop, prefix) && strings.Contains(stop, text) })
}

func TestAReviewThroughTheKubeAPIServerDecidesByTheRolesOfTheCluster(t *testing.T) {
	ns := namespace(t, "reviews")
	kubectl(t, "create", "rolebinding", "rita", "-n", ns, "--clusterrole=edit", "--user=rita")
	admin, rita := through(t, "reviewing-admin", "system:masters").DiagnosticsV1alpha1().RequestReviews(), through(t, "rita").DiagnosticsV1alpha1().RequestReviews()
	create := func(spec *v1alpha1.RequestReview) v1alpha1.RequestReviewStatus {
		t.Helper()
		done, err := admin.Create(t.Context(), spec, metav1.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return done.Status
	}
	kit.EventuallyState(t, "the server sees that a role of the cluster allows it", func(context.Context) (bool, string) {
		status := create(reviewOf(ns, "rita"))
		return status.Verdict == v1alpha1.VerdictAllowed && has(status.Stops, "Authorization/cluster Passed", "rita"), fmt.Sprint(stopsOf(status.Stops))
	})
	t.Run("the gates of the kube-apiserver are named as not asked", func(t *testing.T) {
		if status := create(reviewOf(ns, "rita")); !has(status.Stops[:1], "FlowControl/kube-apiserver Skipped", "does not ask") {
			t.Errorf("got %q", stopsOf(status.Stops))
		}
	})
	t.Run("a user without a role is refused, and the roles are said to be in the cluster", func(t *testing.T) {
		status := create(reviewOf(ns, "stranger"))
		if status.Code != 403 || status.DecidedBy == nil || status.DecidedBy.By != "cluster" || !has(status.Stops, "Authorization/cluster Refused", "kubectl auth can-i --list") {
			t.Errorf("%d by %v: %q", status.Code, status.DecidedBy, stopsOf(status.Stops))
		}
	})
	t.Run("a quota of the cluster refuses", func(t *testing.T) {
		kubectl(t, "create", "quota", "none", "-n", ns, "--hard=count/instances.fleet.gatehouse.dev=0")
		kit.EventuallyState(t, "the review names the quota", func(context.Context) (bool, string) {
			status := create(reviewOf(ns, "rita"))
			return status.DecidedBy != nil && status.DecidedBy.By == "ResourceQuota" && has(status.Stops, "ValidatingAdmission/ResourceQuota Refused", "exceeded quota: none"), fmt.Sprint(stopsOf(status.Stops))
		})
	})
	t.Run("the request of a kind of the cluster cannot be reviewed", func(t *testing.T) {
		spec := reviewOf(ns, "")
		spec.Spec = v1alpha1.RequestReviewSpec{Verb: "get", Resource: v1alpha1.ReviewedResource{Version: "v1", Resource: "configmaps", Namespace: ns, Name: "one"}}
		if _, err := admin.Create(t.Context(), spec, metav1.CreateOptions{}); !apierrors.IsBadRequest(err) || !strings.Contains(err.Error(), "for those of the cluster use kubectl auth can-i") {
			t.Errorf("got %v", err)
		}
	})
	t.Run("users review their own requests only", func(t *testing.T) {
		if done, err := rita.Create(t.Context(), reviewOf(ns, ""), metav1.CreateOptions{}); err != nil || done.Status.User.Username != "rita" {
			t.Errorf("got %v, %v", done, err)
		}
		if _, err := rita.Create(t.Context(), reviewOf(ns, "stranger"), metav1.CreateOptions{}); !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), "gatehouse:diagnostics") {
			t.Errorf("got %v", err)
		}
	})
	if out := kubectl(t, "get", "instances", "-n", ns, "-o", "name"); out != "" {
		t.Errorf("the reviews have made %s", out)
	}
}

func TestAWatchThroughTheKubeAPIServerIsASessionOfItsUser(t *testing.T) {
	ns := namespace(t, "sessions")
	kubectl(t, "create", "rolebinding", "wanda", "-n", ns, "--clusterrole=view", "--user=wanda")
	wanda, other, admin := through(t, "wanda"), through(t, "other-watcher"), through(t, "session-admin", "system:masters")
	kit.EventuallyState(t, "wanda watches", func(ctx context.Context) (bool, string) {
		events, err := wanda.FleetV1alpha1().Instances(ns).Watch(t.Context(), metav1.ListOptions{})
		if err != nil {
			return false, err.Error()
		}
		t.Cleanup(events.Stop)
		return true, ""
	})
	for name, client := range map[string]versioned.Interface{"wanda": wanda, "the administrator": admin} {
		kit.EventuallyState(t, name+" sees the session", func(ctx context.Context) (bool, string) {
			list, err := client.DiagnosticsV1alpha1().WatchSessions().List(ctx, metav1.ListOptions{FieldSelector: v1alpha1.WatchNamespaceField + "=" + ns})
			if err != nil {
				return false, err.Error()
			}
			if len(list.Items) == 0 {
				moveOn(ctx, client)
				return false, "no session"
			}
			s := list.Items[0]
			return s.User.Username == "wanda" && s.Request.Resource == "instances" && s.State == v1alpha1.WatchOpen, fmt.Sprintf("%+v", s)
		})
	}
	for range 6 {
		list, err := other.DiagnosticsV1alpha1().WatchSessions().List(t.Context(), metav1.ListOptions{})
		if err != nil || len(list.Items) != 0 {
			t.Fatalf("another user sees %v, %v", list, err)
		}
		moveOn(t.Context(), other)
	}
}

func TestTheMembersOfEtcdAreReadThroughTheKubeAPIServer(t *testing.T) {
	list, err := through(t, "members-admin", "system:masters").DiagnosticsV1alpha1().StorageMembers().List(t.Context(), metav1.ListOptions{})
	if err != nil || len(list.Items) != 1 || list.Items[0].MemberName != "gatehouse-etcd" || list.Items[0].Health != v1alpha1.StorageHealthy {
		t.Errorf("got %+v, %v", list, err)
	}
	reader := through(t, "members-reader").DiagnosticsV1alpha1().StorageMembers()
	if _, err := reader.List(t.Context(), metav1.ListOptions{}); !apierrors.IsForbidden(err) {
		t.Errorf("a user without a role gets %v", err)
	}
	kubectl(t, "create", "clusterrolebinding", "members-reader", "--clusterrole=gatehouse:diagnostics", "--user=members-reader")
	t.Cleanup(func() { kubectl(t, "delete", "clusterrolebinding/members-reader") })
	kit.EventuallyState(t, "the role of diagnostics reads them", func(ctx context.Context) (bool, string) {
		list, err := reader.List(ctx, metav1.ListOptions{})
		return err == nil && len(list.Items) == 1, errText(err)
	})
}

func TestALinkToThePageIsRefusedThroughTheKubeAPIServer(t *testing.T) {
	client := through(t, "linked").DiagnosticsV1alpha1().UISessions()
	create := func() error {
		_, sum := ui.NewSecret()
		_, err := client.Create(t.Context(), &v1alpha1.UISession{Spec: v1alpha1.UISessionSpec{SecretHash: hex.EncodeToString(sum[:])}}, metav1.CreateOptions{})
		return err
	}
	if err := create(); err == nil || !strings.Contains(err.Error(), "run kubectl gatehouse ui without --on-server") {
		t.Errorf("a server without a page: %v", err)
	}
	replica, err := env.gatehouse.StartReplica(t.Context(), "gatehouse-with-page-behind", "--ui-listen=127.0.0.1:0", "--embedded-etcd")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		env.gatehouse.Rebalance()
		replica.Stop()
	})
	env.gatehouse.Balancer.SetBackends(replica.Address)
	kit.EventuallyState(t, "the server with a page refuses", func(context.Context) (bool, string) {
		err := create()
		return apierrors.IsForbidden(err) && strings.Contains(err.Error(), `run "kubectl gatehouse ui" without --on-server`), errText(err)
	})
}
