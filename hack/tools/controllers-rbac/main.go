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

// Command controllers-rbac prints the manifests of artifacts/deploy/controllers-rbac.yaml, derived
// from the descriptors of the controllers. hack/update-manifests.sh calls it.
package main

import (
	"fmt"
	"os"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/gatehouse-dev/gatehouse/pkg/authentication"
	"github.com/gatehouse-dev/gatehouse/pkg/controller/endedinstances"
	"github.com/gatehouse-dev/gatehouse/pkg/controller/hostlifecycle"
	"github.com/gatehouse-dev/gatehouse/pkg/controller/manager"
	"github.com/gatehouse-dev/gatehouse/pkg/controller/quota"
)

const (
	namespace     = "gatehouse-system"
	account       = "gatehouse-controllers"
	accountRole   = "gatehouse:controllers"
	leaseRole     = "gatehouse:leader-election"
	quotaRoleName = accountRole + ":" + quota.Name
)

// manifest is an object and the comment above it.
type manifest struct {
	comment string
	object  any
}

func main() {
	for i, m := range manifests() {
		encoded, err := yaml.Marshal(m.object)
		if err != nil {
			fmt.Fprintln(os.Stderr, "controllers-rbac:", err)
			os.Exit(1)
		}
		if i > 0 {
			fmt.Println("---")
		}
		fmt.Printf("%s%s", m.comment, encoded)
	}
}

func manifests() []manifest {
	controllers := append(manager.SeparateDescriptors(hostlifecycle.DefaultOptions(), endedinstances.DefaultThreshold), manager.FleetInformers())
	var users []string
	for _, d := range controllers {
		users = append(users, authentication.ControllerUserPrefix+d.Name)
	}
	all := accountManifests(users)
	for i, d := range controllers {
		name, comment := users[i], ""
		if d.Name == quota.Name {
			comment = "# The cluster has a role " + name + " for the part of kube-controller-manager that\n# counts objects. This one is for sums over instances.\n"
			name = quotaRoleName
		}
		all = append(all,
			manifest{comment, clusterRole(name, d.Rules...)},
			manifest{"", binding(name, rbacv1.Subject{Kind: rbacv1.UserKind, APIGroup: rbacv1.GroupName, Name: users[i]})})
	}
	return all
}

// accountManifests returns the service account of the pods and its rights.
func accountManifests(users []string) []manifest {
	subject := rbacv1.Subject{Kind: rbacv1.ServiceAccountKind, Name: account, Namespace: namespace}
	lease := metav1.ObjectMeta{Name: leaseRole, Namespace: namespace}
	return []manifest{
		{"# Rights of the controllers. Each is a user of its own, whom the pods of controllers.yaml\n# impersonate. A standalone server has the same roles.\n", corev1.ServiceAccount{
			TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "ServiceAccount"}, ObjectMeta: metav1.ObjectMeta{Name: account, Namespace: namespace},
		}},
		{"# The account may only impersonate the users of the controllers ...\n", clusterRole(accountRole, rbacv1.PolicyRule{
			APIGroups: []string{""}, Resources: []string{"users"}, Verbs: []string{"impersonate"}, ResourceNames: users,
		})},
		{"", binding(accountRole, subject)},
		{"# ... and hold the lease that elects the active replica.\n", rbacv1.Role{
			TypeMeta: metav1.TypeMeta{APIVersion: rbacv1.SchemeGroupVersion.String(), Kind: "Role"}, ObjectMeta: lease, Rules: manager.LeaseRules(),
		}},
		{"", rbacv1.RoleBinding{
			TypeMeta: metav1.TypeMeta{APIVersion: rbacv1.SchemeGroupVersion.String(), Kind: "RoleBinding"}, ObjectMeta: lease,
			RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: leaseRole}, Subjects: []rbacv1.Subject{subject},
		}},
	}
}

func clusterRole(name string, rules ...rbacv1.PolicyRule) rbacv1.ClusterRole {
	return rbacv1.ClusterRole{
		TypeMeta:   metav1.TypeMeta{APIVersion: rbacv1.SchemeGroupVersion.String(), Kind: "ClusterRole"},
		ObjectMeta: metav1.ObjectMeta{Name: name}, Rules: rules,
	}
}

// binding binds the ClusterRole of the same name.
func binding(name string, subject rbacv1.Subject) rbacv1.ClusterRoleBinding {
	return rbacv1.ClusterRoleBinding{
		TypeMeta:   metav1.TypeMeta{APIVersion: rbacv1.SchemeGroupVersion.String(), Kind: "ClusterRoleBinding"},
		ObjectMeta: metav1.ObjectMeta{Name: name},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: name}, Subjects: []rbacv1.Subject{subject},
	}
}
