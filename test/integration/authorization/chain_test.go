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

package authorization

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	authorizationv1 "k8s.io/api/authorization/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	servertesting "github.com/gatehouse-dev/gatehouse/cmd/gatehouse/app/testing"
	"github.com/gatehouse-dev/gatehouse/pkg/server/options"
	"github.com/gatehouse-dev/gatehouse/test/integration/harness"
	"github.com/gatehouse-dev/gatehouse/test/kit"
)

// reviewer is an authorization webhook: it denies reads of secrets, and has no opinion on the rest.
type reviewer struct {
	server *httptest.Server
	mutex  sync.Mutex
	users  map[string]bool
}

func newReviewer(t *testing.T) *reviewer {
	t.Helper()
	r := &reviewer{users: map[string]bool{}}
	r.server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		var review authorizationv1.SubjectAccessReview
		if err := json.NewDecoder(request.Body).Decode(&review); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		r.mutex.Lock()
		r.users[review.Spec.User] = true
		r.mutex.Unlock()
		secrets := review.Spec.ResourceAttributes != nil && review.Spec.ResourceAttributes.Resource == "secrets"
		review.Status = authorizationv1.SubjectAccessReviewStatus{Denied: secrets, Reason: "secrets are for the night shift"}
		_ = json.NewEncoder(w).Encode(review)
	}))
	t.Cleanup(r.server.Close)
	return r
}

func (r *reviewer) reviewed(user string) bool {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	return r.users[user]
}

// configuration writes a file in which the reviewer decides before roles about users that do not
// belong to the system.
func (r *reviewer) configuration(t *testing.T, file string) {
	t.Helper()
	kubeconfig := filepath.Join(filepath.Dir(file), "reviewer.kubeconfig")
	replaceFile(t, kubeconfig, kit.ServiceKubeconfig(r.server))
	replaceFile(t, file, fmt.Sprintf(`apiVersion: apiserver.config.k8s.io/v1
kind: AuthorizationConfiguration
authorizers:
- type: Webhook
  name: reviewer
  webhook:
    timeout: 3s
    authorizedTTL: 10s
    unauthorizedTTL: 10s
    subjectAccessReviewVersion: v1
    matchConditionSubjectAccessReviewVersion: v1
    matchConditions:
    - expression: "!request.user.startsWith('system:')"
    failurePolicy: Deny
    connectionInfo:
      type: KubeConfigFile
      kubeConfigFile: %q
- type: RBAC
  name: rbac
`, kubeconfig))
}

func replaceFile(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file+".next", []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(file+".next", file); err != nil {
		t.Fatal(err)
	}
}

// A webhook of the file denies what a role allows, also when it does not respond, and never decides
// about hosts, administrators and the server's controllers.
func TestAWebhookOfTheAuthorizationConfigurationDecidesBeforeRoles(t *testing.T) {
	review, file := newReviewer(t), filepath.Join(t.TempDir(), "authorization.yaml")
	review.configuration(t, file)
	server := servertesting.Start(t, func(o *options.Options) { o.Authorization.ConfigFile = file })
	admin := harness.BuiltinClient(t, server)
	for _, name := range []string{"day", "night"} {
		if _, err := admin.RbacV1().ClusterRoleBindings().Create(t.Context(), &rbacv1.ClusterRoleBinding{
			ObjectMeta: metav1.ObjectMeta{Name: name},
			RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "admin"},
			Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: name}},
		}, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	day := kubernetes.NewForConfigOrDie(harness.IssueClient(t, server, "day"))
	lists := func(ctx context.Context, resource string) error {
		if resource == "secrets" {
			_, err := day.CoreV1().Secrets("default").List(ctx, metav1.ListOptions{})
			return err
		}
		_, err := day.CoreV1().ConfigMaps("default").List(ctx, metav1.ListOptions{})
		return err
	}
	kit.Eventually(t, "the role of the user is in force", func(ctx context.Context) bool { return lists(ctx, "configmaps") == nil })
	if err := lists(t.Context(), "secrets"); !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), "secrets are for the night shift") {
		t.Errorf("reading secrets: %v", err)
	}
	if _, err := admin.CoreV1().Secrets("default").List(t.Context(), metav1.ListOptions{}); err != nil {
		t.Errorf("the administrator: %v", err)
	}
	harness.CreateNamespace(t, server, "shop")
	kit.Eventually(t, "the controllers have their rights", func(ctx context.Context) bool {
		_, err := admin.CoreV1().ServiceAccounts("shop").Get(ctx, "default", metav1.GetOptions{})
		return err == nil
	})
	if !review.reviewed("day") || review.reviewed("gatehouse-admin") {
		t.Errorf("reviewed: %v", review.users)
	}

	// The night shift comes by a change of the file: roles alone decide again.
	replaceFile(t, file, "apiVersion: apiserver.config.k8s.io/v1\nkind: AuthorizationConfiguration\nauthorizers:\n- {type: RBAC, name: rbac}\n")
	kit.Eventually(t, "the change is in force", func(ctx context.Context) bool { return lists(ctx, "secrets") == nil })
	review.configuration(t, file)
	kit.Eventually(t, "the webhook is back", func(ctx context.Context) bool { return apierrors.IsForbidden(lists(ctx, "secrets")) })

	// The library answers 500, and not 403, if an authorizer fails, as in kube-apiserver.
	review.server.Close()
	night := kubernetes.NewForConfigOrDie(harness.IssueClient(t, server, "night"))
	if _, err := night.CoreV1().ConfigMaps("default").List(t.Context(), metav1.ListOptions{}); !apierrors.IsInternalError(err) {
		t.Errorf("while the webhook does not respond: %v", err)
	}
	if _, err := admin.CoreV1().ConfigMaps("default").List(t.Context(), metav1.ListOptions{}); err != nil {
		t.Errorf("the administrator, while the webhook does not respond: %v", err)
	}
}
