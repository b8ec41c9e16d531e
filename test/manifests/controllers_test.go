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

package manifests

import (
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/gatehouse-dev/gatehouse/pkg/authentication"
	"github.com/gatehouse-dev/gatehouse/pkg/controller/informers"
	"github.com/gatehouse-dev/gatehouse/pkg/controller/leader"
	"github.com/gatehouse-dev/gatehouse/pkg/controller/manager"
	"github.com/gatehouse-dev/gatehouse/pkg/controller/quota"
)

const controllersAccount = "gatehouse-controllers"

// ofControllers reports whether an object is for the controllers and not for the server.
func ofControllers(object runtime.Object) bool {
	name := object.(metav1.Object).GetName()
	return slices.ContainsFunc([]string{controllersAccount, "gatehouse:controllers", "gatehouse:leader-election", authentication.ControllerUserPrefix}, func(prefix string) bool {
		return strings.HasPrefix(name, prefix)
	})
}

// theControllers returns the objects that are rendered for the controllers alone.
func theControllers(r rendered) rendered { return rendered{objects: r.controllers} }

func TestControllersHaveTheSameRolesInAClusterAsInAStandaloneServer(t *testing.T) {
	forEveryOverlay(t, func(t *testing.T, r rendered) {
		roles, bindings := map[string]*rbacv1.ClusterRole{}, map[string]*rbacv1.ClusterRoleBinding{}
		for _, role := range every[*rbacv1.ClusterRole](theControllers(r)) {
			roles[role.Name] = role
		}
		for _, binding := range every[*rbacv1.ClusterRoleBinding](theControllers(r)) {
			bindings[binding.Name] = binding
		}
		standalone := map[string][]rbacv1.PolicyRule{}
		for _, d := range manager.Descriptors() {
			standalone[authentication.ControllerUserPrefix+d.Name] = d.Rules
		}
		var users []string
		for _, name := range append(manager.FleetControllers(), informers.Name) {
			user := authentication.ControllerUserPrefix + name
			users = append(users, user)
			if roles[user] == nil || bindings[user] == nil {
				t.Errorf("%s has no role, or is not bound to it", user)
				continue
			}
			if !apiequality.Semantic.DeepEqual(roles[user].Rules, standalone[user]) {
				t.Errorf("%s has the rules %+v, and standalone %+v", user, roles[user].Rules, standalone[user])
			}
			if want := []rbacv1.Subject{{Kind: rbacv1.UserKind, APIGroup: rbacv1.GroupName, Name: user}}; !slices.Equal(bindings[user].Subjects, want) || bindings[user].RoleRef.Name != user {
				t.Errorf("%s is bound to %v", bindings[user].RoleRef.Name, bindings[user].Subjects)
			}
		}
		users = slices.Insert(users, len(users)-1, checkQuotaController(t, roles, bindings))
		if len(roles) != len(users)+1 || len(bindings) != len(users)+1 {
			t.Errorf("%d roles and %d bindings for %d controllers and the account that passes for them", len(roles), len(bindings), len(users))
		}
		checkControllersAccount(t, r, roles["gatehouse:controllers"], bindings["gatehouse:controllers"], users)
	})
}

// checkQuotaController: a cluster's quota controller has the half that counts objects, and a
// role of that name. The deployed half sums requests, with a role of another name.
func checkQuotaController(t *testing.T, roles map[string]*rbacv1.ClusterRole, bindings map[string]*rbacv1.ClusterRoleBinding) (user string) {
	t.Helper()
	user = authentication.ControllerUserPrefix + quota.Name
	const name = "gatehouse:controllers:" + quota.Name
	if want := []rbacv1.PolicyRule{
		{Verbs: []string{"list", "watch"}, APIGroups: []string{""}, Resources: []string{"resourcequotas"}},
		{Verbs: []string{"update"}, APIGroups: []string{""}, Resources: []string{"resourcequotas/status"}},
		{Verbs: []string{"list", "watch"}, APIGroups: []string{"fleet.gatehouse.dev"}, Resources: []string{"instances"}},
	}; roles[name] == nil || !apiequality.Semantic.DeepEqual(roles[name].Rules, want) {
		t.Errorf("%s may %+v, want %+v", user, roles[name], want)
	}
	if want := []rbacv1.Subject{{Kind: rbacv1.UserKind, APIGroup: rbacv1.GroupName, Name: user}}; bindings[name] == nil || !slices.Equal(bindings[name].Subjects, want) || bindings[name].RoleRef.Name != name {
		t.Errorf("%s is bound by %+v", user, bindings[name])
	}
	if roles[user] != nil {
		t.Errorf("%s would take the place of the role that the cluster has for kube-controller-manager", user)
	}
	return user
}

// checkControllersAccount: the account of the pods may only impersonate the controllers and hold the
// lease.
func checkControllersAccount(t *testing.T, r rendered, role *rbacv1.ClusterRole, binding *rbacv1.ClusterRoleBinding, users []string) {
	t.Helper()
	subjects := []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Name: controllersAccount, Namespace: namespace}}
	if want := []rbacv1.PolicyRule{{Verbs: []string{"impersonate"}, APIGroups: []string{""}, Resources: []string{"users"}, ResourceNames: users}}; role == nil || !apiequality.Semantic.DeepEqual(role.Rules, want) {
		t.Errorf("the account may %+v, want %+v", role, want)
	}
	if binding == nil || !slices.Equal(binding.Subjects, subjects) || binding.RoleRef.Name != "gatehouse:controllers" {
		t.Errorf("the account is bound by %+v", binding)
	}
	lease, leaseBinding := one[*rbacv1.Role](t, theControllers(r)), one[*rbacv1.RoleBinding](t, theControllers(r))
	if want := []rbacv1.PolicyRule{
		{Verbs: []string{"create"}, APIGroups: []string{"coordination.k8s.io"}, Resources: []string{"leases"}},
		{Verbs: []string{"get", "update"}, APIGroups: []string{"coordination.k8s.io"}, Resources: []string{"leases"}, ResourceNames: []string{leader.Lease}},
	}; !apiequality.Semantic.DeepEqual(lease.Rules, want) || lease.Namespace != namespace {
		t.Errorf("about the lease, the account may %+v", lease.Rules)
	}
	if !slices.Equal(leaseBinding.Subjects, subjects) || leaseBinding.RoleRef.Name != lease.Name || leaseBinding.Namespace != namespace {
		t.Errorf("the lease's role is bound by %+v", leaseBinding)
	}
	if sa := one[*corev1.ServiceAccount](t, theControllers(r)); sa.Name != controllersAccount || sa.Namespace != namespace {
		t.Errorf("the ServiceAccount is %s/%s", sa.Namespace, sa.Name)
	}
}

func TestThePodOfTheControllersMayDoNoMoreThanItNeeds(t *testing.T) {
	forEveryOverlay(t, func(t *testing.T, r rendered) {
		deployment := one[*appsv1.Deployment](t, theControllers(r))
		pod := deployment.Spec.Template.Spec
		c := pod.Containers[0]
		yes := func(b *bool) bool { return b != nil && *b }
		for what, ok := range map[string]bool{
			"is one of two":                    *deployment.Spec.Replicas == 2,
			"has one container":                len(pod.Containers) == 1 && len(pod.InitContainers) == 0 && len(pod.Volumes) == 0,
			"runs the controllers":             len(c.Args) > 0 && c.Args[0] == "controllers",
			"runs as a user other than root":   yes(pod.SecurityContext.RunAsNonRoot) && *pod.SecurityContext.RunAsUser == 65532,
			"has the runtime's seccomp filter": pod.SecurityContext.SeccompProfile.Type == corev1.SeccompProfileTypeRuntimeDefault,
			"cannot write its root filesystem": yes(c.SecurityContext.ReadOnlyRootFilesystem),
			"cannot gain privileges":           !*c.SecurityContext.AllowPrivilegeEscalation,
			"has no capabilities":              slices.Equal(c.SecurityContext.Capabilities.Drop, []corev1.Capability{"ALL"}),
			"says what it needs":               !c.Resources.Requests.Cpu().IsZero() && !c.Resources.Requests.Memory().IsZero(),
			"runs as its own ServiceAccount":   pod.ServiceAccountName == controllersAccount,
			"takes its image from no registry": c.Image == "gatehouse:dev",
			"is asked for its health":          slices.Contains(c.Args, "--health-address=:8081") && c.Ports[0].ContainerPort == 8081 && c.LivenessProbe.HTTPGet.Port.StrVal == c.Ports[0].Name,
		} {
			if !ok {
				t.Errorf("not true of the pod: it %s", what)
			}
		}
	})
}
