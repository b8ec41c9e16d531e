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

package rbac

import (
	"strings"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	apirequest "k8s.io/apiserver/pkg/endpoints/request"

	"github.com/gatehouse-dev/gatehouse/pkg/diagnostics"
)

// bind binds a cluster role to alice's group.
func (a *Authorizer) bind(namespace, name, role string) {
	kind := kindClusterRoleBinding
	if namespace != "" {
		kind = kindRoleBinding
	}
	a.index.setRoleBinding(objectKey{namespace, name}, subjects(groupSubject("dev")), clusterRef(role), &diagnostics.Object{Kind: kind, Namespace: namespace, Name: name})
}

func TestNearMissesNameWhatDoesNotFit(t *testing.T) {
	for _, row := range []struct {
		name    string
		bind    [3]string
		request authorizer.AttributesRecord
		missing bool
		want    string // empty for no near miss
	}{
		{"the verb", [3]string{"a", "b", "reader"}, authorizer.AttributesRecord{Verb: "delete", Resource: "secrets", Namespace: "a", ResourceRequest: true}, false, "verb"},
		{"the name", [3]string{"a", "b", "one"}, get("secrets", "a", "two"), false, "name"},
		{"the namespace", [3]string{"b", "b", "reader"}, get("secrets", "a", "x"), false, "namespace"},
		{"the group", [3]string{"a", "b", "reader"}, authorizer.AttributesRecord{Verb: "get", APIGroup: "example.com", Resource: "secrets", Namespace: "a", ResourceRequest: true}, false, "group"},
		{"the resource", [3]string{"a", "b", "reader"}, get("configmaps", "a", "x"), false, "resource"},
		{"the name and the namespace", [3]string{"b", "b", "one"}, get("secrets", "a", "two"), false, "name namespace"},
		{"the role does not exist", [3]string{"a", "b", "gone"}, get("secrets", "a", "x"), true, ""},
		{"nothing in common", [3]string{"a", "b", "metrics"}, get("secrets", "a", "x"), false, "none"},
		{"a path", [3]string{"", "b", "metrics"}, authorizer.AttributesRecord{Verb: "put", Path: "/debug/x"}, false, "verb"},
	} {
		t.Run(row.name, func(t *testing.T) {
			a := newTestAuthorizer()
			a.bind(row.bind[0], row.bind[1], row.bind[2])
			misses := a.NearMisses(alice, row.request)
			if row.want == "none" {
				if len(misses) != 0 {
					t.Errorf("got %+v", misses)
				}
				return
			}
			if len(misses) != 1 || misses[0].RoleMissing != row.missing || strings.Join(misses[0].Misfits, " ") != row.want || misses[0].Binding.Name != "b" {
				t.Errorf("got %+v, want %q", misses, row.want)
			}
		})
	}
}

func TestTheClosestMissesComeFirst(t *testing.T) {
	a := newTestAuthorizer()
	for _, namespace := range []string{"b", "c", "d", "e", "f", "g"} {
		a.bind(namespace, "far", "one")
	}
	a.bind("a", "near", "reader")
	misses := a.NearMisses(alice, authorizer.AttributesRecord{Verb: "delete", Resource: "secrets", Namespace: "a", Name: "x", ResourceRequest: true})
	if len(misses) != mostNearMisses || misses[0].Binding.Name != "near" {
		t.Errorf("got %+v", misses)
	}
}

func TestTheCureIsTheSmallestRoleAndOnlyForThoseWhoMayBind(t *testing.T) {
	a := newTestAuthorizer()
	a.index.setClusterRole("everything", &roleVersion{rules: []rbacv1.PolicyRule{rule(all, rbacv1.APIGroupAll, rbacv1.ResourceAll)}})
	e, err := NewEscalation(a, a)
	if err != nil {
		t.Fatal(err)
	}
	root := &user.DefaultInfo{Name: "root", Groups: []string{user.SystemPrivilegedGroup}}
	a.index.setRoleBinding(objectKey{"", "root"}, subjects(groupSubject(user.SystemPrivilegedGroup)), clusterRef("everything"), &diagnostics.Object{})
	carol := &user.DefaultInfo{Name: "carol"}
	a.index.setRoleBinding(objectKey{"a", "carol-secrets"}, subjects(userSubject("dave")), clusterRef("reader"), &diagnostics.Object{})
	a.index.setRoleBinding(objectKey{"", "carol-path"}, subjects(userSubject("dave")), clusterRef("carol-path-2"), &diagnostics.Object{})
	for _, row := range []struct {
		name       string
		reader, of user.Info
		request    authorizer.AttributesRecord
		want       string
	}{
		{"the smallest role", root, alice, get("secrets", "a", "x"), "kubectl create rolebinding alice-secrets --clusterrole=reader --user=alice --namespace=a"},
		{"a service account", root, &user.DefaultInfo{Name: "system:serviceaccount:a:robot"}, get("secrets", "a", "x"), "kubectl create rolebinding robot-secrets --clusterrole=reader --serviceaccount=a:robot --namespace=a"},
		{"a name with a space", root, &user.DefaultInfo{Name: "al's ice"}, get("secrets", "a", "x"), `kubectl create rolebinding al-s-ice-secrets --clusterrole=reader --user='al'\''s ice' --namespace=a`},
		{"a name that a binding has", root, carol, get("secrets", "a", "x"), "kubectl create rolebinding carol-secrets-2 --clusterrole=reader --user=carol --namespace=a"},
		{"a name that a missing role has", root, carol, authorizer.AttributesRecord{Verb: "trace", Path: "/x"}, "kubectl create clusterrole carol-path-3 --verb=trace --non-resource-url=/x && kubectl create clusterrolebinding carol-path-3 --clusterrole=carol-path-3 --user=carol"},
		{"at the cluster scope", root, alice, get("secrets", "", ""), "kubectl create clusterrolebinding alice-secrets --clusterrole=reader --user=alice"},
		{"a user of the system", root, &user.DefaultInfo{Name: "system:controller:x"}, get("secrets", "a", "x"), ""},
		{"a reader without rights", alice, alice, get("secrets", "a", "x"), ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			if got := e.Cure(apirequest.WithUser(t.Context(), row.reader), row.of, row.request); got != row.want {
				t.Errorf("got  %s\nwant %s", got, row.want)
			}
		})
	}
}
