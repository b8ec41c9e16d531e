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
	"errors"
	"strings"
	"testing"

	authorizationv1 "k8s.io/api/authorization/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"

	"github.com/gatehouse-dev/gatehouse/pkg/registry/base"
)

// answers returns fixed decisions, and records the attributes.
type answers struct {
	authorizer.Authorizer
	decision authorizer.Decision
	err      error
	asked    *authorizer.AttributesRecord
}

func (a *answers) Authorize(_ context.Context, attributes authorizer.Attributes) (authorizer.Decision, string, error) {
	record := attributes.(authorizer.AttributesRecord)
	a.asked = &record
	return a.decision, "because", a.err
}

func (*answers) RulesFor(context.Context, user.Info, string) ([]authorizer.ResourceRuleInfo, []authorizer.NonResourceRuleInfo, bool, error) {
	return []authorizer.ResourceRuleInfo{&authorizer.DefaultResourceRuleInfo{Verbs: []string{"get"}, Resources: []string{"hosts"}}},
		[]authorizer.NonResourceRuleInfo{&authorizer.DefaultNonResourceRuleInfo{Verbs: []string{"get"}, NonResourceURLs: []string{"/version"}}},
		true, errors.New("a role is missing")
}

func create(t *testing.T, a *answers, path string, review runtime.Object) (runtime.Object, error) {
	t.Helper()
	storages, err := StorageProvider{Authorizer: a, Rules: a}.NewStorage(nil, base.StorageOptions{})
	if err != nil {
		t.Fatal(err)
	}
	ctx := request.WithNamespace(request.WithUser(t.Context(), &user.DefaultInfo{Name: "alice"}), "a")
	return storages[authorizationv1.GroupName]["v1"][path].(rest.Creater).Create(ctx, review, rest.ValidateAllObjectFunc, &metav1.CreateOptions{})
}

func hosts() *authorizationv1.ResourceAttributes {
	return &authorizationv1.ResourceAttributes{Verb: "get", Group: "fleet.gatehouse.dev", Resource: "hosts", Subresource: "status", Name: "x"}
}

func TestAReviewReturnsTheDecisionOfTheAuthorizer(t *testing.T) {
	for _, row := range []struct {
		name string
		answers
		want authorizationv1.SubjectAccessReviewStatus
	}{
		{"allowed", answers{decision: authorizer.DecisionAllow}, authorizationv1.SubjectAccessReviewStatus{Allowed: true, Reason: "because"}},
		{"denied", answers{decision: authorizer.DecisionDeny}, authorizationv1.SubjectAccessReviewStatus{Denied: true, Reason: "because"}},
		{"no opinion is not allowed, and not denied", answers{decision: authorizer.DecisionNoOpinion}, authorizationv1.SubjectAccessReviewStatus{Reason: "because"}},
		{"a failure is reported", answers{decision: authorizer.DecisionDeny, err: errors.New("ill")}, authorizationv1.SubjectAccessReviewStatus{Denied: true, Reason: "because", EvaluationError: "ill"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			obj, err := create(t, &row.answers, "selfsubjectaccessreviews", &authorizationv1.SelfSubjectAccessReview{Spec: authorizationv1.SelfSubjectAccessReviewSpec{ResourceAttributes: hosts()}})
			if err != nil {
				t.Fatal(err)
			}
			if got := obj.(*authorizationv1.SelfSubjectAccessReview).Status; got != row.want {
				t.Errorf("answered %+v, wanted %+v", got, row.want)
			}
			asked := row.asked
			if asked.User.GetName() != "alice" || asked.Verb != "get" || asked.APIGroup != "fleet.gatehouse.dev" || asked.APIVersion != "*" || asked.Resource != "hosts" || asked.Subresource != "status" || asked.Name != "x" || !asked.ResourceRequest {
				t.Errorf("reviewed %+v", asked)
			}
		})
	}
}

func TestAReviewOfAnotherUserPassesAllAttributes(t *testing.T) {
	a := &answers{decision: authorizer.DecisionAllow}
	spec := authorizationv1.SubjectAccessReviewSpec{User: "bob", UID: "1", Groups: []string{"dev"}, Extra: map[string]authorizationv1.ExtraValue{"k": {"v"}}, NonResourceAttributes: &authorizationv1.NonResourceAttributes{Path: "/metrics", Verb: "get"}}
	if _, err := create(t, a, "subjectaccessreviews", &authorizationv1.SubjectAccessReview{Spec: spec}); err != nil {
		t.Fatal(err)
	}
	who := a.asked.User
	if who.GetName() != "bob" || who.GetUID() != "1" || who.GetGroups()[0] != "dev" || who.GetExtra()["k"][0] != "v" || a.asked.Path != "/metrics" || a.asked.ResourceRequest {
		t.Errorf("reviewed %+v as %+v", a.asked, who)
	}
}

func TestASelectorThatCannotBeParsedIsReported(t *testing.T) {
	requirements := func(r ...metav1.FieldSelectorRequirement) *authorizationv1.FieldSelectorAttributes {
		return &authorizationv1.FieldSelectorAttributes{Requirements: r}
	}
	known := metav1.FieldSelectorRequirement{Key: "spec.hostName", Operator: metav1.FieldSelectorOpIn, Values: []string{"x"}}
	unknown := metav1.FieldSelectorRequirement{Key: "spec.hostName", Operator: "Near", Values: []string{"x"}}
	for _, row := range []struct {
		name  string
		field *authorizationv1.FieldSelectorAttributes
		label *authorizationv1.LabelSelectorAttributes
		left  int
		want  []string // empty if everything was parsed
	}{
		{name: "one that can be read", field: requirements(known), left: 1},
		{name: "a raw one that can be read", field: &authorizationv1.FieldSelectorAttributes{RawSelector: "spec.hostName=x,a!=b"}, left: 2},
		{name: "a raw one that cannot", field: &authorizationv1.FieldSelectorAttributes{RawSelector: `a=b\`}, want: []string{"spec.resourceAttributes.fieldSelector ignored due to parse error"}},
		{name: "an operator that is not known", field: requirements(unknown), want: []string{"spec.resourceAttributes.fieldSelector ignored due to parse error"}},
		{name: "one of two", field: requirements(known, unknown), left: 1, want: []string{"spec.resourceAttributes.fieldSelector partially ignored due to parse error"}},
		{name: "one of each", field: requirements(unknown), label: &authorizationv1.LabelSelectorAttributes{RawSelector: "a in ("}, want: []string{"fieldSelector ignored", "; spec.resourceAttributes.labelSelector ignored due to parse error"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			a, about := &answers{decision: authorizer.DecisionAllow}, hosts()
			about.FieldSelector, about.LabelSelector = row.field, row.label
			obj, err := create(t, a, "selfsubjectaccessreviews", &authorizationv1.SelfSubjectAccessReview{Spec: authorizationv1.SelfSubjectAccessReviewSpec{ResourceAttributes: about}})
			if err != nil {
				t.Fatal(err)
			}
			if len(a.asked.FieldSelectorRequirements) != row.left {
				t.Errorf("reviewed with %v", a.asked.FieldSelectorRequirements)
			}
			got := obj.(*authorizationv1.SelfSubjectAccessReview).Status.EvaluationError
			if (got == "") != (len(row.want) == 0) {
				t.Errorf("got %q", got)
			}
			for _, part := range row.want {
				if !strings.Contains(got, part) {
					t.Errorf("%q does not contain %q", got, part)
				}
			}
		})
	}
}

func TestAWrongReviewIsRefused(t *testing.T) {
	subject := func(change func(*authorizationv1.SubjectAccessReview)) runtime.Object {
		review := &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{User: "bob", ResourceAttributes: hosts()}}
		change(review)
		return review
	}
	local := func(change func(*authorizationv1.LocalSubjectAccessReview)) runtime.Object {
		review := &authorizationv1.LocalSubjectAccessReview{ObjectMeta: metav1.ObjectMeta{Namespace: "a"}, Spec: authorizationv1.SubjectAccessReviewSpec{User: "bob", ResourceAttributes: hosts()}}
		review.Spec.ResourceAttributes.Namespace = "a"
		change(review)
		return review
	}
	path := &authorizationv1.NonResourceAttributes{Path: "/", Verb: "get"}
	for _, row := range []struct {
		name, path string
		review     runtime.Object
		wrong      func(error) bool
		says       string
	}{
		{"about nothing", "subjectaccessreviews", subject(func(r *authorizationv1.SubjectAccessReview) { r.Spec.ResourceAttributes = nil }), apierrors.IsInvalid, "spec.resourceAttributes"},
		{"about both", "subjectaccessreviews", subject(func(r *authorizationv1.SubjectAccessReview) { r.Spec.NonResourceAttributes = path }), apierrors.IsInvalid, "spec.nonResourceAttributes"},
		{"about both, with an invalid selector", "subjectaccessreviews", subject(func(r *authorizationv1.SubjectAccessReview) {
			r.Spec.NonResourceAttributes, r.Spec.ResourceAttributes.FieldSelector = path, &authorizationv1.FieldSelectorAttributes{}
		}), apierrors.IsInvalid, "spec.resourceAttributes.fieldSelector.requirements"},
		{"without a user", "subjectaccessreviews", subject(func(r *authorizationv1.SubjectAccessReview) { r.Spec.User = "" }), apierrors.IsInvalid, "spec.user"},
		{"with a name", "subjectaccessreviews", subject(func(r *authorizationv1.SubjectAccessReview) { r.Name = "x" }), apierrors.IsInvalid, "metadata"},
		{"with two selectors in one", "subjectaccessreviews", subject(func(r *authorizationv1.SubjectAccessReview) {
			r.Spec.ResourceAttributes.LabelSelector = &authorizationv1.LabelSelectorAttributes{RawSelector: "a=b", Requirements: []metav1.LabelSelectorRequirement{{Key: "a", Operator: "Exists"}}}
		}), apierrors.IsInvalid, "spec.resourceAttributes.labelSelector.rawSelector"},
		{"of another namespace than its own", "localsubjectaccessreviews", local(func(r *authorizationv1.LocalSubjectAccessReview) { r.Spec.ResourceAttributes.Namespace = "b" }), apierrors.IsInvalid, "spec.resourceAttributes.namespace"},
		{"of a path in a namespace", "localsubjectaccessreviews", local(func(r *authorizationv1.LocalSubjectAccessReview) {
			r.Spec.ResourceAttributes, r.Spec.NonResourceAttributes = nil, path
		}), apierrors.IsInvalid, "spec.nonResourceAttributes"},
		{"of another namespace than the path's", "localsubjectaccessreviews", local(func(r *authorizationv1.LocalSubjectAccessReview) {
			r.Namespace, r.Spec.ResourceAttributes.Namespace = "b", "b"
		}), apierrors.IsBadRequest, "namespace"},
		{"of the rules of no namespace", "selfsubjectrulesreviews", &authorizationv1.SelfSubjectRulesReview{}, apierrors.IsBadRequest, "spec.namespace"},
	} {
		t.Run(row.name, func(t *testing.T) {
			a := &answers{decision: authorizer.DecisionAllow}
			if _, err := create(t, a, row.path, row.review); err == nil || !row.wrong(err) || !strings.Contains(err.Error(), row.says) {
				t.Errorf("answered %v, which does not contain %q", err, row.says)
			}
			if a.asked != nil {
				t.Error("the authorizer was called nevertheless")
			}
		})
	}
	if _, err := create(t, &answers{}, "localsubjectaccessreviews", local(func(*authorizationv1.LocalSubjectAccessReview) {})); err != nil {
		t.Errorf("the one from which the wrong ones are made is refused: %v", err)
	}
}

func TestRulesAreListedWithWhatIsMissing(t *testing.T) {
	obj, err := create(t, &answers{}, "selfsubjectrulesreviews", &authorizationv1.SelfSubjectRulesReview{Spec: authorizationv1.SelfSubjectRulesReviewSpec{Namespace: "a"}})
	if err != nil {
		t.Fatal(err)
	}
	status := obj.(*authorizationv1.SelfSubjectRulesReview).Status
	if len(status.ResourceRules) != 1 || status.ResourceRules[0].Resources[0] != "hosts" || len(status.NonResourceRules) != 1 || status.NonResourceRules[0].NonResourceURLs[0] != "/version" || !status.Incomplete || status.EvaluationError != "a role is missing" {
		t.Errorf("answered %+v", status)
	}
}

func TestThereAreNoReviewsWithoutAnAuthorizer(t *testing.T) {
	if _, err := (StorageProvider{Rules: &answers{}}).NewStorage(nil, base.StorageOptions{}); err == nil {
		t.Error("built without an authorizer")
	}
	if _, err := (StorageProvider{Authorizer: &answers{}}).NewStorage(nil, base.StorageOptions{}); err == nil {
		t.Error("built without rules")
	}
}
