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
	"context"
	"fmt"
	"strings"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/client-go/kubernetes"
	restclient "k8s.io/client-go/rest"
	internal "k8s.io/kubernetes/pkg/apis/rbac"
	internalv1 "k8s.io/kubernetes/pkg/apis/rbac/v1"
	clusterroles "k8s.io/kubernetes/pkg/registry/rbac/clusterrole/policybased"
	clusterrolebindings "k8s.io/kubernetes/pkg/registry/rbac/clusterrolebinding/policybased"
	roles "k8s.io/kubernetes/pkg/registry/rbac/role/policybased"
	rolebindings "k8s.io/kubernetes/pkg/registry/rbac/rolebinding/policybased"
	"k8s.io/kubernetes/pkg/registry/rbac/validation"
	upstream "k8s.io/kubernetes/plugin/pkg/auth/authorizer/rbac"

	servertesting "github.com/gatehouse-dev/gatehouse/cmd/gatehouse/app/testing"
	"github.com/gatehouse-dev/gatehouse/test/kit"
)

func TestEscalationIsJudgedAsUpstreamJudgesIt(t *testing.T) {
	cases := grants()
	var p policy
	p.clusterRoles = append(p.clusterRoles,
		&rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: "writer"}, Rules: []rbacv1.PolicyRule{rule("create,update", rbacv1.GroupName, "roles,clusterroles,rolebindings,clusterrolebindings")}},
		&rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: "reader"}, Rules: []rbacv1.PolicyRule{rule("get", "fleet.gatehouse.dev", "instances")}})
	p.roles = append(p.roles, &rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Namespace: here, Name: "reader"}, Rules: []rbacv1.PolicyRule{rule("get", "fleet.gatehouse.dev", "instances")}})
	for i := range cases {
		c, who, name := &cases[i], fmt.Sprintf("user-%d", i), fmt.Sprintf("object-%d", i)
		for _, rules := range [][]rbacv1.PolicyRule{c.everywhere, c.inHere} {
			for r := range rules {
				for n := range rules[r].ResourceNames {
					rules[r].ResourceNames[n] = strings.ReplaceAll(rules[r].ResourceNames[n], "$name", name)
				}
			}
		}
		c.object = c.object.DeepCopyObject()
		c.object.(metav1.Object).SetName(name)
		if c.old != nil {
			c.old = c.old.DeepCopyObject()
			c.old.(metav1.Object).SetName(name)
		}
		p.clusterRoles = append(p.clusterRoles, &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: "everywhere-" + who}, Rules: c.everywhere})
		p.clusterRoleBindings = append(p.clusterRoleBindings, named(clusterBinding("everywhere-"+who, who), "everywhere-"+who), named(clusterBinding("writer", who), "writer-"+who))
		p.roles = append(p.roles, named(roleOf(c.inHere...), "here-"+who))
		p.roleBindings = append(p.roleBindings, named(binding("Role", "here-"+who, who), "here-"+who))
	}

	theirs := newJudge(p)
	config := servertesting.Start(t).Config
	stored := write(t, config, p, cases)
	for i, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			who := &user.DefaultInfo{Name: fmt.Sprintf("user-%d", i), Groups: append([]string{user.AllAuthenticated}, c.groups...)}
			if got := theirs.write(t, who, c.old, c.object); got != c.want {
				t.Errorf("upstream returns %q, want %q", got, c.want)
			}
			as := restclient.CopyConfig(config)
			as.Impersonate = restclient.ImpersonationConfig{UserName: who.Name, Groups: who.Groups}
			client, err := kubernetes.NewForConfig(as)
			if err != nil {
				t.Fatal(err)
			}
			if was := stored[i]; was != nil {
				now := c.object.(metav1.Object)
				now.SetUID(was.GetUID())
				now.SetCreationTimestamp(was.GetCreationTimestamp())
				if _, clusterRole := c.object.(*rbacv1.ClusterRole); !clusterRole { // or the aggregation controller has written meanwhile
					now.SetResourceVersion(was.GetResourceVersion())
				}
			}
			_, err = send(t.Context(), client, c.object, c.old != nil)
			if got := apierrors.ReasonForError(err); got != c.want {
				t.Errorf("the server returns %q (%v), want %q", got, err, c.want)
			}
		})
	}
	t.Logf("%d cases", len(cases))
}

func named[T metav1.Object](o T, name string) T {
	o.SetName(name)
	return o
}

// write stores the policy as the administrator of the server, and stores the objects that the cases
// change, which it returns by the numbers of the cases.
func write(t *testing.T, config *restclient.Config, p policy, cases []grant) map[int]metav1.Object {
	t.Helper()
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	create := func(o runtime.Object) metav1.Object {
		created, err := send(t.Context(), client, o, false)
		if err != nil {
			t.Fatal(err)
		}
		return created
	}
	stored := map[int]metav1.Object{}
	for i, c := range cases {
		if c.old != nil {
			stored[i] = create(c.old)
		}
	}
	// Rules reach the authorizer by watch: once the last role and binding of each kind are in effect, all are.
	last := rule("get", "", "secrets", "last")
	for _, o := range append(p.clusterRoles, named(clusterRoleOf(last), "last")) {
		create(o)
	}
	for _, o := range append(p.roles, named(roleOf(last), "last")) {
		create(o)
	}
	for _, o := range append(p.clusterRoleBindings, named(clusterBinding("last", "last"), "last")) {
		create(o)
	}
	for _, o := range append(p.roleBindings, named(binding("Role", "last", "last-here"), "last")) {
		create(o)
	}
	for who, namespace := range map[string]string{"last": elsewhere, "last-here": here} {
		as := restclient.CopyConfig(config)
		as.Impersonate.UserName = who
		mine, err := kubernetes.NewForConfig(as)
		if err != nil {
			t.Fatal(err)
		}
		kit.Eventually(t, "the last binding is in force", func(ctx context.Context) bool {
			_, err := mine.CoreV1().Secrets(namespace).Get(ctx, "last", metav1.GetOptions{})
			return apierrors.IsNotFound(err)
		})
	}
	return stored
}

// writer is a client of one kind.
type writer[T any] interface {
	Create(context.Context, T, metav1.CreateOptions) (T, error)
	Update(context.Context, T, metav1.UpdateOptions) (T, error)
}

func sendBy[T metav1.Object](ctx context.Context, to writer[T], object T, update bool) (metav1.Object, error) {
	if update {
		return to.Update(ctx, object, metav1.UpdateOptions{})
	}
	return to.Create(ctx, object, metav1.CreateOptions{})
}

func send(ctx context.Context, client kubernetes.Interface, object runtime.Object, update bool) (metav1.Object, error) {
	switch o := object.(type) {
	case *rbacv1.Role:
		return sendBy(ctx, client.RbacV1().Roles(o.Namespace), o, update)
	case *rbacv1.ClusterRole:
		return sendBy(ctx, client.RbacV1().ClusterRoles(), o, update)
	case *rbacv1.RoleBinding:
		return sendBy(ctx, client.RbacV1().RoleBindings(o.Namespace), o, update)
	case *rbacv1.ClusterRoleBinding:
		return sendBy(ctx, client.RbacV1().ClusterRoleBindings(), o, update)
	default:
		return nil, fmt.Errorf("no writer for a %T", object)
	}
}

// judge has upstream's four storages over the same policy, on top of an empty storage.
type judge struct {
	storages map[string]rest.StandardStorage
	below    *below
}

func newJudge(p policy) *judge {
	resolver, static := validation.NewTestRuleResolver(p.roles, p.roleBindings, p.clusterRoles, p.clusterRoleBindings)
	may := upstream.New(static, static, static, static)
	b := &below{}
	return &judge{below: b, storages: map[string]rest.StandardStorage{
		"roles":               roles.NewStorage(b, may, resolver),
		"clusterroles":        clusterroles.NewStorage(b, may, resolver),
		"rolebindings":        rolebindings.NewStorage(b, may, resolver),
		"clusterrolebindings": clusterrolebindings.NewStorage(b, may, resolver),
	}}
}

// write returns the reason of the error, "" if the write is allowed.
func (j *judge) write(t *testing.T, who user.Info, old, object runtime.Object) metav1.StatusReason {
	t.Helper()
	err := j.send(t, who, old, object)
	if reason := apierrors.ReasonForError(err); err == nil || reason != metav1.StatusReasonUnknown {
		return reason
	}
	return metav1.StatusReasonNotFound // the resolver of upstream's tests returns an error without a reason
}

func (j *judge) send(t *testing.T, who user.Info, old, object runtime.Object) error {
	t.Helper()
	internalOf := func(o runtime.Object) (string, runtime.Object) {
		var resource string
		var in runtime.Object
		var err error
		switch o := o.DeepCopyObject().(type) {
		case *rbacv1.Role:
			out := &internal.Role{}
			resource, in, err = "roles", out, internalv1.Convert_v1_Role_To_rbac_Role(o, out, nil)
		case *rbacv1.ClusterRole:
			out := &internal.ClusterRole{}
			resource, in, err = "clusterroles", out, internalv1.Convert_v1_ClusterRole_To_rbac_ClusterRole(o, out, nil)
		case *rbacv1.RoleBinding:
			out := &internal.RoleBinding{}
			resource, in, err = "rolebindings", out, internalv1.Convert_v1_RoleBinding_To_rbac_RoleBinding(o, out, nil)
		case *rbacv1.ClusterRoleBinding:
			out := &internal.ClusterRoleBinding{}
			resource, in, err = "clusterrolebindings", out, internalv1.Convert_v1_ClusterRoleBinding_To_rbac_ClusterRoleBinding(o, out, nil)
		}
		if err != nil {
			t.Fatal(err)
		}
		return resource, in
	}
	resource, in := internalOf(object)
	namespace := object.(metav1.Object).GetNamespace()
	info := &request.RequestInfo{IsResourceRequest: true, Verb: "create", APIGroup: rbacv1.GroupName, APIVersion: "v1", Namespace: namespace, Resource: resource}
	ctx := request.WithNamespace(request.WithUser(t.Context(), who), namespace)
	if old == nil {
		_, err := j.storages[resource].Create(request.WithRequestInfo(ctx, info), in, nil, nil)
		return err
	}
	info.Verb, info.Name = "update", object.(metav1.Object).GetName()
	_, j.below.old = internalOf(old)
	_, _, err := j.storages[resource].Update(request.WithRequestInfo(ctx, info), info.Name, rest.DefaultUpdatedObjectInfo(in), nil, nil, false, nil)
	return err
}

// below stores nothing and accepts everything.
type below struct {
	rest.StandardStorage
	old runtime.Object
}

func (b *below) Create(_ context.Context, obj runtime.Object, _ rest.ValidateObjectFunc, _ *metav1.CreateOptions) (runtime.Object, error) {
	return obj, nil
}

func (b *below) Update(ctx context.Context, _ string, info rest.UpdatedObjectInfo, _ rest.ValidateObjectFunc, _ rest.ValidateObjectUpdateFunc, _ bool, _ *metav1.UpdateOptions) (runtime.Object, bool, error) {
	obj, err := info.UpdatedObject(ctx, b.old)
	return obj, false, err
}
