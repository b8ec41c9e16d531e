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

package ownerreferences

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/utils/ptr"
)

var version = schema.GroupVersion{Group: "fleet.gatehouse.dev", Version: "v1alpha1"}

// rights are granted as "verb resource/subresource namespace/name"; asked records the checked ones.
type rights struct {
	authorizer.Authorizer
	may   map[string]bool
	err   error
	asked []string
}

func (r *rights) Authorize(_ context.Context, a authorizer.Attributes) (authorizer.Decision, string, error) {
	question := fmt.Sprintf("%s %s/%s %s/%s", a.GetVerb(), a.GetResource(), a.GetSubresource(), a.GetNamespace(), a.GetName())
	r.asked = append(r.asked, question)
	if r.err != nil {
		return authorizer.DecisionNoOpinion, "", r.err
	}
	if r.may[question] {
		return authorizer.DecisionAllow, "", nil
	}
	return authorizer.DecisionNoOpinion, "no role allows it", nil
}

func mapper() meta.RESTMapper {
	m := meta.NewDefaultRESTMapper([]schema.GroupVersion{version})
	m.Add(version.WithKind("App"), meta.RESTScopeNamespace)
	m.Add(version.WithKind("Host"), meta.RESTScopeRoot)
	return m
}

func owner(kind, name string, block *bool) metav1.OwnerReference {
	return metav1.OwnerReference{APIVersion: version.String(), Kind: kind, Name: name, UID: "1", BlockOwnerDeletion: block}
}

func object(owners ...metav1.OwnerReference) runtime.Object {
	return &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web", OwnerReferences: owners}}
}

func TestOwnersAreSetOnlyWithTheRightsThatTheyGive(t *testing.T) {
	yes := ptr.To(true)
	app, host := owner("App", "web", yes), owner("Host", "edge-1", yes)
	free := owner("App", "web", nil)
	const finalizeApp, finalizeHost, deleteIt = "update apps/finalizers shop/web", "update hosts/finalizers /edge-1", "delete instances/ shop/web"
	var many []metav1.OwnerReference
	for i := range maxBlocking + 1 {
		many = append(many, owner("App", fmt.Sprint("web-", i), yes))
	}
	for _, tc := range []struct {
		name        string
		now, was    runtime.Object
		subresource string
		may         []string
		err         error
		asked       int
		message     string // empty: allowed
	}{
		{name: "a create without owners needs no right", now: object()},
		{name: "a create with an owner that it does not block needs no right", now: object(free)},
		{name: "a create that blocks an owner needs the owner's finalizers", now: object(app), asked: 1, message: "apps.fleet.gatehouse.dev/finalizers of the owner \"web\""},
		{name: "a create by a user with that right", now: object(app), may: []string{finalizeApp}, asked: 1},
		{name: "an owner outside of namespaces", now: object(host), may: []string{finalizeHost}, asked: 1},
		{name: "each owner is checked", now: object(app, host), may: []string{finalizeApp}, asked: 2, message: "hosts.fleet.gatehouse.dev/finalizers"},
		{name: "an owner of an unknown kind", now: object(owner("Nothing", "web", yes)), message: "the kind Nothing of fleet.gatehouse.dev/v1alpha1 is not known"},
		{name: "an owner of an invalid version", now: object(metav1.OwnerReference{APIVersion: "a/b/c", Kind: "App", Name: "web", BlockOwnerDeletion: yes}), message: "cannot be parsed"},
		{name: "an authorizer that fails", now: object(app), err: errors.New("no answer"), asked: 1, message: "no answer"},
		{name: "more owners than a request may block", now: object(many...), message: "not on 65"},
		{name: "an update that keeps the owners needs no right", now: object(app), was: object(app)},
		{name: "an update that adds an owner needs the right to delete", now: object(free), was: object(), asked: 1, message: "can be changed only by users that may delete it"},
		{name: "an update that removes an owner needs it, too", now: object(), was: object(free), asked: 1, message: "can be changed only by users that may delete it"},
		{name: "an update that blocks an owner needs both", now: object(app), was: object(free), may: []string{deleteIt}, asked: 2, message: "apps.fleet.gatehouse.dev/finalizers"},
		{name: "an update with both rights", now: object(app), was: object(free), may: []string{deleteIt, finalizeApp}, asked: 2},
		{name: "an update that holds up an owner no more", now: object(free), was: object(app), may: []string{deleteIt}, asked: 1},
		{name: "the status is not checked", now: object(app), was: object(), subresource: "status"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			access := &rights{may: map[string]bool{}, err: tc.err}
			for _, right := range tc.may {
				access.may[right] = true
			}
			p := New()
			if p.ValidateInitialization() == nil {
				t.Fatal("it is initialized without an authorizer")
			}
			p.SetAuthorizer(access)
			p.SetRESTMapper(mapper())
			if err := p.ValidateInitialization(); err != nil {
				t.Fatal(err)
			}
			operation := admission.Create
			if tc.was != nil {
				operation = admission.Update
			}
			err := p.Validate(t.Context(), admission.NewAttributesRecord(tc.now, tc.was, version.WithKind("Instance"), "shop", "web",
				version.WithResource("instances"), tc.subresource, operation, nil, false, &user.DefaultInfo{Name: "alice"}), nil)
			if len(access.asked) != tc.asked {
				t.Errorf("checked %q", access.asked)
			}
			var status apierrors.APIStatus
			switch {
			case tc.message == "" && err != nil:
				t.Errorf("refused: %v", err)
			case tc.message != "" && (!errors.As(err, &status) || status.Status().Code != http.StatusForbidden || !strings.Contains(err.Error(), tc.message)):
				t.Errorf("got %v, which is no 403 with %q", err, tc.message)
			}
		})
	}
}
