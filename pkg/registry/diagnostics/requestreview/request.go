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
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"path"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apiserver/pkg/authentication/serviceaccount"
	"k8s.io/apiserver/pkg/authentication/user"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/diagnostics"
)

// agent is the program that policies and logs see.
const agent = "gatehouse-review"

var methods = map[string]string{
	"get": http.MethodGet, "list": http.MethodGet, "watch": http.MethodGet, "create": http.MethodPost, "update": http.MethodPut, "patch": http.MethodPatch,
	"delete": http.MethodDelete, "deletecollection": http.MethodDelete,
}

var patchTypes = map[diagnostics.ReviewPatchType]types.PatchType{
	diagnostics.ReviewPatchJSON: types.JSONPatchType, diagnostics.ReviewPatchMerge: types.MergePatchType,
	diagnostics.ReviewPatchStrategicMerge: types.StrategicMergePatchType, diagnostics.ReviewPatchApply: types.ApplyYAMLPatchType,
}

// newRequest returns the request of a valid spec. Every write is a dry run.
func newRequest(ctx context.Context, spec *diagnostics.RequestReviewSpec) (*http.Request, error) {
	body, mediaType, err := bodyOf(spec)
	if err != nil {
		return nil, err
	}
	target := url.URL{Path: pathOf(spec.Resource), RawQuery: queryOf(spec).Encode()}
	r, err := http.NewRequestWithContext(ctx, methods[spec.Verb], target.String(), bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	r.RequestURI, r.RemoteAddr = r.URL.RequestURI(), "127.0.0.1:0"
	r.Header.Set("User-Agent", agent)
	r.Header.Set("Accept", "application/json")
	if mediaType != "" {
		r.Header.Set("Content-Type", mediaType)
	}
	return r, nil
}

func pathOf(at diagnostics.ReviewedResource) string {
	elements := []string{"/apis", at.Group, at.Version}
	if at.Group == "" {
		elements = []string{"/api", at.Version}
	}
	if at.Namespace != "" {
		elements = append(elements, "namespaces", at.Namespace)
	}
	return path.Join(append(elements, at.Resource, at.Name, at.Subresource)...)
}

func queryOf(spec *diagnostics.RequestReviewSpec) url.Values {
	query := url.Values{}
	set := func(key, value string) {
		if value != "" {
			query.Set(key, value)
		}
	}
	switch spec.Verb {
	case "watch":
		set("watch", "true")
	case "create", "update", "patch":
		set("fieldManager", spec.FieldManager)
		validation := spec.FieldValidation
		if validation == "" {
			validation = metav1.FieldValidationStrict
		}
		set("fieldValidation", validation)
		if spec.Force {
			set("force", "true")
		}
	}
	if methods[spec.Verb] != http.MethodGet {
		set("dryRun", metav1.DryRunAll)
	}
	return query
}

// bodyOf returns the body and its media type. The options of a delete are in the body: with one, the API
// ignores those in the query, and dryRun is one of them.
func bodyOf(spec *diagnostics.RequestReviewSpec) (body []byte, mediaType string, err error) {
	switch spec.Verb {
	case "create", "update":
		if spec.Object == nil {
			return nil, "application/json", nil
		}
		return spec.Object.Raw, "application/json", nil
	case "patch":
		return []byte(spec.Patch), string(patchTypes[spec.PatchType]), nil
	case "delete", "deletecollection":
		body, err = json.Marshal(metav1.DeleteOptions{
			TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "DeleteOptions"}, DryRun: []string{metav1.DryRunAll}, Preconditions: spec.Preconditions,
		})
		return body, "application/json", err
	}
	return nil, "", nil
}

// impersonated returns the user with the groups that an impersonation adds.
func impersonated(of *diagnostics.ReviewedUser) user.Info {
	info := &user.DefaultInfo{Name: of.Username, UID: of.UID, Groups: append([]string{}, of.Groups...)}
	add := func(groups ...string) {
		for _, group := range groups {
			if !slices.Contains(info.Groups, group) {
				info.Groups = append(info.Groups, group)
			}
		}
	}
	if of.Username == user.Anonymous {
		add(user.AllUnauthenticated)
	} else {
		if namespace, _, err := serviceaccount.SplitUsername(of.Username); err == nil && len(of.Groups) == 0 {
			add(serviceaccount.MakeGroupNames(namespace)...)
		}
		if !slices.Contains(info.Groups, user.AllUnauthenticated) {
			add(user.AllAuthenticated)
		}
	}
	for _, extra := range of.Extra {
		if info.Extra == nil {
			info.Extra = map[string][]string{}
		}
		info.Extra[extra.Key] = extra.Values
	}
	return info
}

// describe returns a target for the audit log.
func describe(t Target) string {
	text := t.Verb + " " + t.Resource
	if t.Group != "" {
		text += "." + t.Group
	}
	if t.Subresource != "" {
		text += "/" + t.Subresource
	}
	if t.Name != "" {
		text += " " + t.Name
	}
	if t.Namespace != "" {
		text += " in " + t.Namespace
	}
	return text
}
