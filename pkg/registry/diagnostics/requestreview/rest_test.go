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

package requestreview

import (
	"context"
	"io"
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/diagnostics"
)

func at(name, subresource string) diagnostics.ReviewedResource {
	return diagnostics.ReviewedResource{Group: "g", Version: "v1", Resource: "things", Namespace: "shop", Name: name, Subresource: subresource}
}

var object = &runtime.RawExtension{Raw: []byte(`{"a":1}`)}

func TestEveryWriteOfAReviewIsADryRun(t *testing.T) {
	uid := types.UID("u")
	for _, row := range []struct {
		name                     string
		spec                     diagnostics.RequestReviewSpec
		method, uri, body, media string
	}{
		{"a get", diagnostics.RequestReviewSpec{Verb: "get", Resource: at("a", "")}, "GET", "/apis/g/v1/namespaces/shop/things/a", "", ""},
		{"a watch", diagnostics.RequestReviewSpec{Verb: "watch", Resource: at("", "")}, "GET", "/apis/g/v1/namespaces/shop/things?watch=true", "", ""},
		{"a create of the core group", diagnostics.RequestReviewSpec{Verb: "create", Object: object, Resource: diagnostics.ReviewedResource{Version: "v1", Resource: "namespaces"}},
			"POST", "/api/v1/namespaces?dryRun=All&fieldValidation=Strict", `{"a":1}`, "application/json"},
		{"an update", diagnostics.RequestReviewSpec{Verb: "update", Object: object, Resource: at("a", "status"), FieldManager: "m", FieldValidation: "Warn"},
			"PUT", "/apis/g/v1/namespaces/shop/things/a/status?dryRun=All&fieldManager=m&fieldValidation=Warn", `{"a":1}`, "application/json"},
		{"a forced apply", diagnostics.RequestReviewSpec{Verb: "patch", Patch: "{}", PatchType: diagnostics.ReviewPatchApply, FieldManager: "m", Force: true, Resource: at("a", "")},
			"PATCH", "/apis/g/v1/namespaces/shop/things/a?dryRun=All&fieldManager=m&fieldValidation=Strict&force=true", "{}", "application/apply-patch+yaml"},
		{"a delete, whose options are in the body", diagnostics.RequestReviewSpec{Verb: "delete", Resource: at("a", ""), Preconditions: &metav1.Preconditions{UID: &uid}},
			"DELETE", "/apis/g/v1/namespaces/shop/things/a?dryRun=All", `{"kind":"DeleteOptions","apiVersion":"v1","preconditions":{"uid":"u"},"dryRun":["All"]}`, "application/json"},
		{"a delete of a collection", diagnostics.RequestReviewSpec{Verb: "deletecollection", Resource: at("", "")},
			"DELETE", "/apis/g/v1/namespaces/shop/things?dryRun=All", `{"kind":"DeleteOptions","apiVersion":"v1","dryRun":["All"]}`, "application/json"},
	} {
		t.Run(row.name, func(t *testing.T) {
			if errs := validate(&row.spec); len(errs) > 0 {
				t.Fatal(errs)
			}
			r, err := newRequest(t.Context(), &row.spec)
			if err != nil {
				t.Fatal(err)
			}
			body, _ := io.ReadAll(r.Body)
			if r.Method != row.method || r.RequestURI != row.uri || string(body) != row.body || r.Header.Get("Content-Type") != row.media {
				t.Errorf("got %s %s %s %s", r.Method, r.RequestURI, r.Header.Get("Content-Type"), body)
			}
		})
	}
}

func TestASpecHasWhatItsVerbNeeds(t *testing.T) {
	for _, row := range []struct {
		name, field string
		change      func(*diagnostics.RequestReviewSpec)
	}{
		{"no verb", "spec.verb", func(s *diagnostics.RequestReviewSpec) { s.Verb = "" }},
		{"a verb of no request", "spec.verb", func(s *diagnostics.RequestReviewSpec) { s.Verb = "impersonate" }},
		{"no version", "spec.resource.version", func(s *diagnostics.RequestReviewSpec) { s.Resource.Version = "" }},
		{"no resource", "spec.resource.resource", func(s *diagnostics.RequestReviewSpec) { s.Resource.Resource = "" }},
		{"a group with a path", "spec.resource.group", func(s *diagnostics.RequestReviewSpec) { s.Resource.Group = "../api" }},
		{"a namespace with a path", "spec.resource.namespace", func(s *diagnostics.RequestReviewSpec) { s.Resource.Namespace = "a/b" }},
		{"a name with a percent sign", "spec.resource.name", func(s *diagnostics.RequestReviewSpec) { s.Resource.Name = "%2e" }},
		{"a subresource with a path", "spec.resource.subresource", func(s *diagnostics.RequestReviewSpec) { s.Resource.Subresource = "a/b" }},
		{"a get without a name", "spec.resource.name", func(s *diagnostics.RequestReviewSpec) { s.Resource.Name = "" }},
		{"a list with a name", "spec.resource.name", func(s *diagnostics.RequestReviewSpec) { s.Verb = "list" }},
		{"a create with a name", "spec.resource.name", func(s *diagnostics.RequestReviewSpec) { s.Verb, s.Object = "create", object }},
		{"a subresource of no object", "spec.resource.name", func(s *diagnostics.RequestReviewSpec) {
			s.Verb, s.Resource.Name, s.Resource.Subresource = "list", "", "status"
		}},
		{"an update without an object", "spec.object", func(s *diagnostics.RequestReviewSpec) { s.Verb = "update" }},
		{"a get with an object", "spec.object", func(s *diagnostics.RequestReviewSpec) { s.Object = object }},
		{"a get with a patch", "spec.patch", func(s *diagnostics.RequestReviewSpec) { s.Patch = "{}" }},
		{"a patch without a patch", "spec.patch", func(s *diagnostics.RequestReviewSpec) { s.Verb = "patch" }},
		{"a patch without a type", "spec.patchType", func(s *diagnostics.RequestReviewSpec) { s.Verb, s.Patch = "patch", "{}" }},
		{"a patch of an unknown type", "spec.patchType", func(s *diagnostics.RequestReviewSpec) { s.Verb, s.Patch, s.PatchType = "patch", "{}", "Other" }},
		{"an apply without a manager", "spec.fieldManager", func(s *diagnostics.RequestReviewSpec) {
			s.Verb, s.Patch, s.PatchType = "patch", "{}", diagnostics.ReviewPatchApply
		}},
		{"a forced merge", "spec.force", func(s *diagnostics.RequestReviewSpec) {
			s.Verb, s.Patch, s.PatchType, s.Force = "patch", "{}", diagnostics.ReviewPatchMerge, true
		}},
		{"a manager of a get", "spec.fieldManager", func(s *diagnostics.RequestReviewSpec) { s.FieldManager = "m" }},
		{"preconditions of a get", "spec.preconditions", func(s *diagnostics.RequestReviewSpec) { s.Preconditions = &metav1.Preconditions{} }},
		{"a user without a name", "spec.user.username", func(s *diagnostics.RequestReviewSpec) { s.User = &diagnostics.ReviewedUser{} }},
		{"an extra without a key", "spec.user.extra[0].key", func(s *diagnostics.RequestReviewSpec) {
			s.User = &diagnostics.ReviewedUser{Username: "bob", Extra: []diagnostics.ReviewedExtra{{}}}
		}},
		{"an unknown field validation", "spec.fieldValidation", func(s *diagnostics.RequestReviewSpec) { s.FieldValidation = "Maybe" }},
		{"a review of a review", "spec.resource.resource", func(s *diagnostics.RequestReviewSpec) {
			s.Resource.Group, s.Resource.Resource = diagnostics.GroupName, "requestreviews"
		}},
	} {
		t.Run(row.name, func(t *testing.T) {
			spec := diagnostics.RequestReviewSpec{Verb: "get", Resource: at("a", "")}
			row.change(&spec)
			if errs := validate(&spec); len(errs) != 1 || errs[0].Field != row.field {
				t.Errorf("got %v", errs)
			}
		})
	}
}

func TestAReviewedUserHasTheGroupsOfAnImpersonation(t *testing.T) {
	for _, row := range []struct {
		name, user string
		groups     []string
		want       string
	}{
		{"a user", "bob", []string{"dev"}, "dev system:authenticated"},
		{"a user with the group", "bob", []string{"system:authenticated"}, "system:authenticated"},
		{"a service account", "system:serviceaccount:shop:web", nil, "system:serviceaccounts system:serviceaccounts:shop system:authenticated"},
		{"no user", user.Anonymous, nil, "system:unauthenticated"},
	} {
		t.Run(row.name, func(t *testing.T) {
			if got := strings.Join(impersonated(&diagnostics.ReviewedUser{Username: row.user, Groups: row.groups}).GetGroups(), " "); got != row.want {
				t.Errorf("the groups are %s", got)
			}
		})
	}
}

func TestOnlyWhoMayGetAnObjectReviewsWhatOthersDoToIt(t *testing.T) {
	r := &REST{Config{Authorizer: authorizer.AuthorizerFunc(func(_ context.Context, a authorizer.Attributes) (authorizer.Decision, string, error) {
		if a.GetUser().GetName() == "carol" && a.GetVerb() == "get" && slices.Contains([]string{"mine", ""}, a.GetName()) && a.GetResource() == "things" {
			return authorizer.DecisionAllow, "", nil
		}
		return authorizer.DecisionNoOpinion, "", nil
	})}}
	other := &diagnostics.ReviewedUser{Username: "bob"}
	for _, row := range []struct {
		name   string
		caller string
		spec   diagnostics.RequestReviewSpec
		want   diagnostics.TraceStopName
	}{
		{"its own patch", "dave", diagnostics.RequestReviewSpec{Verb: "patch", Resource: at("x", "")}, ""},
		{"its own list", "dave", diagnostics.RequestReviewSpec{Verb: "list", Resource: at("", "")}, diagnostics.StopStorage},
		{"a patch of an object that it may get", "carol", diagnostics.RequestReviewSpec{User: other, Verb: "patch", Resource: at("mine", "")}, ""},
		{"a patch of another object", "carol", diagnostics.RequestReviewSpec{User: other, Verb: "patch", Resource: at("x", "")}, diagnostics.StopDecoding},
		{"an update of its status", "carol", diagnostics.RequestReviewSpec{User: other, Verb: "update", Resource: at("x", "status")}, diagnostics.StopDecoding},
		{"a delete", "carol", diagnostics.RequestReviewSpec{User: other, Verb: "delete", Resource: at("x", "")}, diagnostics.StopDecoding},
		{"a create of a subresource", "carol", diagnostics.RequestReviewSpec{User: other, Verb: "create", Resource: at("x", "token")}, diagnostics.StopDecoding},
		{"a create where it may get all", "carol", diagnostics.RequestReviewSpec{User: other, Verb: "create", Resource: at("", "")}, ""},
		{"a create where it may get nothing", "dave", diagnostics.RequestReviewSpec{User: other, Verb: "create", Resource: at("", "")}, diagnostics.StopStorage},
		{"a get", "dave", diagnostics.RequestReviewSpec{User: other, Verb: "get", Resource: at("x", "")}, diagnostics.StopStorage},
		{"a delete of a collection", "carol", diagnostics.RequestReviewSpec{User: other, Verb: "deletecollection", Resource: at("", "")}, diagnostics.StopDecoding},
	} {
		t.Run(row.name, func(t *testing.T) {
			got, why := r.end(t.Context(), &user.DefaultInfo{Name: row.caller}, &row.spec)
			if got != row.want || (got == "") != (why == "") {
				t.Errorf("it ends before %q: %q", got, why)
			}
		})
	}
}
