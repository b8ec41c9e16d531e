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

package process

import (
	"context"
	"fmt"
	"net/http"
	"path/filepath"
	"testing"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/utils/ptr"

	"github.com/gatehouse-dev/gatehouse/pkg/certificates"
	"github.com/gatehouse-dev/gatehouse/test/binary"
	"github.com/gatehouse-dev/gatehouse/test/kit"
	"github.com/gatehouse-dev/gatehouse/test/security"
)

// restarts is the number of restarts, alternately by SIGKILL and by SIGTERM.
const restarts = 100

// TestNoRestartDecidesFromAnOlderState deletes rights, policies, accounts and namespaces, restarts the
// server, and sends requests continuously from the first open port on. Deleted objects must have no
// effect, and existing ones must have their effect, in every response; the only other response is 503.
func TestNoRestartDecidesFromAnOlderState(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 8*binary.Patience)
	defer cancel()
	address, err := kit.FreeAddress() // the same after each restart
	if err != nil {
		t.Fatal(err)
	}
	dir := binary.DataDir(t)
	server := binary.Start(t, dir, "--listen", address)
	world := newRestartWorld(ctx, t, server)
	questions := world.questions(t)
	for round := range restarts {
		world.change(ctx, t, round)
		if round%2 == 0 {
			server.Kill()
			server.Wait(t)
		} else {
			server.Stop(t)
		}
		security.AskDuringStart(ctx, t, questions, func() { server = binary.Start(t, dir, "--listen", address) })
		if t.Failed() {
			t.Fatalf("in round %d", round)
		}
	}
	for _, q := range questions {
		t.Logf("%s: answers by code: %s", q.Name, q.Codes())
	}
}

// restartWorld holds the objects that exist throughout, and those that change around the restarts.
type restartWorld struct {
	config *rest.Config
	admin  kubernetes.Interface
	pki    string
	tokens map[string]string
}

func newRestartWorld(ctx context.Context, t *testing.T, server *binary.Server) *restartWorld {
	t.Helper()
	w := &restartWorld{
		config: server.Config, admin: kubernetes.NewForConfigOrDie(server.Config),
		pki: filepath.Join(server.DataDir, "pki"), tokens: map[string]string{},
	}
	for _, name := range []string{"shop", "full"} {
		w.must(t)(w.admin.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{}))
	}
	w.bind(ctx, t, "keeper", "keeper", "edit")
	w.must(t)(w.admin.CoreV1().ResourceQuotas("full").Create(ctx, noConfigMaps("standing"), metav1.CreateOptions{}))
	// A quota limits as soon as its status holds the limit, which the controller writes.
	kit.Eventually(t, "the quota has its limit in the status", func(ctx context.Context) bool {
		quota, err := w.admin.CoreV1().ResourceQuotas("full").Get(ctx, "standing", metav1.GetOptions{})
		return err == nil && len(quota.Status.Hard) > 0
	})
	w.policy(ctx, t, "standing", "refused")
	w.account(ctx, t, "standing")
	w.must(t)(w.admin.RbacV1().ClusterRoleBindings().Create(ctx, &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "standing-account"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "view"},
		Subjects:   []rbacv1.Subject{{Kind: "ServiceAccount", Namespace: "shop", Name: "standing"}, {Kind: "ServiceAccount", Namespace: "shop", Name: "passing"}},
	}, metav1.CreateOptions{}))
	w.account(ctx, t, "passing")
	return w
}

func (w *restartWorld) must(t *testing.T) func(any, error) {
	return func(_ any, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
}

func (w *restartWorld) bind(ctx context.Context, t *testing.T, name, user, role string) {
	t.Helper()
	w.must(t)(w.admin.RbacV1().ClusterRoleBindings().Create(ctx, &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role},
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.UserKind, APIGroup: rbacv1.GroupName, Name: user}},
	}, metav1.CreateOptions{}))
}

// account creates a service account; the last token of a name is used.
func (w *restartWorld) account(ctx context.Context, t *testing.T, name string) {
	t.Helper()
	accounts := w.admin.CoreV1().ServiceAccounts("shop")
	w.must(t)(accounts.Create(ctx, &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{}))
	given, err := accounts.CreateToken(ctx, name, &authenticationv1.TokenRequest{}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	w.tokens[name] = given.Status.Token
}

func noConfigMaps(name string) *corev1.ResourceQuota {
	return &corev1.ResourceQuota{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec:       corev1.ResourceQuotaSpec{Hard: corev1.ResourceList{corev1.ResourceConfigMaps: resource.MustParse("0")}},
	}
}

// policy creates a policy that refuses config maps of a name.
func (w *restartWorld) policy(ctx context.Context, t *testing.T, name, refused string) {
	t.Helper()
	w.must(t)(w.admin.AdmissionregistrationV1().ValidatingAdmissionPolicies().Create(ctx, &admissionregistrationv1.ValidatingAdmissionPolicy{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: admissionregistrationv1.ValidatingAdmissionPolicySpec{
			MatchConstraints: &admissionregistrationv1.MatchResources{ResourceRules: []admissionregistrationv1.NamedRuleWithOperations{{RuleWithOperations: configMapRule()}}},
			Validations:      []admissionregistrationv1.Validation{{Expression: fmt.Sprintf("object.metadata.name != %q", refused), Reason: ptr.To(metav1.StatusReasonForbidden)}},
		},
	}, metav1.CreateOptions{}))
	w.must(t)(w.admin.AdmissionregistrationV1().ValidatingAdmissionPolicyBindings().Create(ctx, &admissionregistrationv1.ValidatingAdmissionPolicyBinding{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: admissionregistrationv1.ValidatingAdmissionPolicyBindingSpec{
			PolicyName: name, ValidationActions: []admissionregistrationv1.ValidationAction{admissionregistrationv1.Deny},
		},
	}, metav1.CreateOptions{}))
}

func configMapRule() admissionregistrationv1.RuleWithOperations {
	return admissionregistrationv1.RuleWithOperations{
		Operations: []admissionregistrationv1.OperationType{admissionregistrationv1.Create},
		Rule:       admissionregistrationv1.Rule{APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{"configmaps"}},
	}
}

// change grants and refuses something, writes to bootstrap objects of the same kinds, and reverts
// all of it. Without the fix, the writes in between make a start use the state before the deletions.
func (w *restartWorld) change(ctx context.Context, t *testing.T, round int) {
	t.Helper()
	w.bind(ctx, t, "mallory", "mallory", "cluster-admin")
	w.policy(ctx, t, "passing", "welcome")
	w.must(t)(w.admin.AdmissionregistrationV1().ValidatingWebhookConfigurations().Create(ctx, &admissionregistrationv1.ValidatingWebhookConfiguration{
		ObjectMeta: metav1.ObjectMeta{Name: "passing"},
		Webhooks: []admissionregistrationv1.ValidatingWebhook{{
			Name: "nothing.example.com", AdmissionReviewVersions: []string{"v1"}, SideEffects: ptr.To(admissionregistrationv1.SideEffectClassNone),
			FailurePolicy: ptr.To(admissionregistrationv1.Fail), Rules: []admissionregistrationv1.RuleWithOperations{configMapRule()},
			ClientConfig: admissionregistrationv1.WebhookClientConfig{URL: ptr.To("https://127.0.0.1:1/nothing-listens")},
		}},
	}, metav1.CreateOptions{}))
	w.must(t)(w.admin.CoreV1().ResourceQuotas("shop").Create(ctx, noConfigMaps("passing"), metav1.CreateOptions{}))

	note := []byte(fmt.Sprintf(`{"metadata":{"annotations":{"example.com/round":"%d"}}}`, round))
	w.must(t)(w.admin.RbacV1().ClusterRoleBindings().Patch(ctx, "cluster-admin", types.MergePatchType, note, metav1.PatchOptions{}))
	w.must(t)(w.admin.CoreV1().Namespaces().Patch(ctx, "default", types.MergePatchType, note, metav1.PatchOptions{}))
	w.must(t)(w.admin.CoreV1().ServiceAccounts("default").Patch(ctx, "default", types.MergePatchType, note, metav1.PatchOptions{}))

	policies := w.admin.AdmissionregistrationV1()
	for _, err := range []error{
		w.admin.RbacV1().ClusterRoleBindings().Delete(ctx, "mallory", metav1.DeleteOptions{}),
		policies.ValidatingAdmissionPolicyBindings().Delete(ctx, "passing", metav1.DeleteOptions{}),
		policies.ValidatingAdmissionPolicies().Delete(ctx, "passing", metav1.DeleteOptions{}),
		policies.ValidatingWebhookConfigurations().Delete(ctx, "passing", metav1.DeleteOptions{}),
		w.admin.CoreV1().ResourceQuotas("shop").Delete(ctx, "passing", metav1.DeleteOptions{}),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if round == 0 {
		if err := w.admin.CoreV1().ServiceAccounts("shop").Delete(ctx, "passing", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
	}
}

// questions returns requests that are repeated all the time; each has one correct response.
func (w *restartWorld) questions(t *testing.T) []*security.Question {
	t.Helper()
	user := func(name string) *rest.Config {
		ca, err := certificates.LoadCA(w.pki)
		if err != nil {
			t.Fatal(err)
		}
		cert, key, err := certificates.IssueClient(ca, name, nil, time.Hour, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		config := rest.AnonymousClientConfig(w.config)
		config.CertData, config.KeyData = cert, key
		return config
	}
	token := func(name string) *rest.Config {
		config := rest.AnonymousClientConfig(w.config)
		config.BearerToken = w.tokens[name]
		return config
	}
	const secret, maps = "/api/v1/namespaces/kube-system/secrets", "/api/v1/namespaces/%s/configmaps?dryRun=All"
	configMap := func(name string) string {
		return fmt.Sprintf(`{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":%q}}`, name)
	}
	return []*security.Question{
		{Name: "a user whose binding was deleted reads secrets", Config: user("mallory"), Path: secret, Want: http.StatusForbidden},
		{Name: "a user with a role lists config maps", Config: user("keeper"), Path: "/api/v1/configmaps", Want: http.StatusOK},
		{Name: "a user creates what no policy, webhook or quota refuses any more", Config: user("keeper"), Path: fmt.Sprintf(maps, "shop"), Body: configMap("welcome"), Want: http.StatusCreated},
		{Name: "a user creates what a policy refuses", Config: user("keeper"), Path: fmt.Sprintf(maps, "shop"), Body: configMap("refused"), Want: http.StatusForbidden},
		{Name: "a user creates what a quota refuses", Config: user("keeper"), Path: fmt.Sprintf(maps, "full"), Body: configMap("welcome"), Want: http.StatusForbidden},
		{Name: "a user creates in a namespace that does not exist", Config: user("keeper"), Path: fmt.Sprintf(maps, "gone"), Body: configMap("welcome"), Want: http.StatusNotFound},
		{Name: "the token of a service account lists config maps", Config: token("standing"), Path: "/api/v1/configmaps", Want: http.StatusOK},
		{Name: "the token of a deleted service account lists config maps", Config: token("passing"), Path: "/api/v1/configmaps", Want: http.StatusUnauthorized},
	}
}
