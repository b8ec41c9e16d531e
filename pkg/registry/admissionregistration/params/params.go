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

// Package params refuses policies and bindings with parameters that their author may not read: the
// messages of a policy can contain its parameters, such as a Secret.
//
// Stage 4 of the request's path (see ARCHITECTURE.md), for four resources. Their strategies
// call Check last. Read Check.Ref first.
package params

import (
	"context"
	"errors"
	"fmt"
	"slices"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/apiserver/pkg/endpoints/request"
)

// Check decides whether the caller of a request may read the parameters of a policy.
type Check struct {
	// Authorizer is the authorizer of the server.
	Authorizer authorizer.UnconditionalAuthorizer
	// Resolve returns the plural of a served kind, and false for other kinds.
	Resolve func(schema.GroupVersionKind) (string, bool)
}

// KindOf returns the kind of a policy's parameters; nil for none.
type KindOf func(ctx context.Context, policy string) (*admissionregistrationv1.ParamKind, error)

// Complete reports whether all fields are set.
func (c *Check) Complete() bool { return c != nil && c.Authorizer != nil && c.Resolve != nil }

// unset is the cell of a policy without parameters.
const unset = "<unset>"

// Kind returns an error at spec.paramKind if the caller may not read all objects of the kind: later
// bindings select the objects.
func (c *Check) Kind(ctx context.Context, kind *admissionregistrationv1.ParamKind) field.ErrorList {
	if kind == nil {
		return nil
	}
	attributes := authorizer.AttributesRecord{Verb: "get", Namespace: "*", Name: "*"}
	c.resource(kind, &attributes)
	return c.decide(ctx, attributes, field.NewPath("spec", "paramKind"), "everything of this kind")
}

// Ref returns an error at spec.paramRef if the caller may not read the parameters of a binding. The
// policy defines their kind; if it is not known, the caller must be allowed to read objects of every
// kind by that name.
func (c *Check) Ref(ctx context.Context, policy string, ref *admissionregistrationv1.ParamRef, kindOf KindOf) field.ErrorList {
	if ref == nil {
		return nil
	}
	attributes := authorizer.AttributesRecord{Verb: "get", Namespace: ref.Namespace, Name: ref.Name, APIGroup: "*", APIVersion: "*", Resource: "*"}
	if ref.Name == "" {
		attributes.Verb = "list"
	}
	what := "these parameters"
	switch kind, err := kindOf(ctx, policy); {
	case err != nil:
		what = fmt.Sprintf("parameters of every kind, because that of policy %q is not known (%v)", policy, err)
	case kind == nil:
		what = fmt.Sprintf("parameters of every kind, because policy %q has no paramKind", policy)
	default:
		c.resource(kind, &attributes)
	}
	return c.decide(ctx, attributes, field.NewPath("spec", "paramRef"), what)
}

// resource sets the resource of the kind as far as it is known.
func (c *Check) resource(kind *admissionregistrationv1.ParamKind, attributes *authorizer.AttributesRecord) {
	attributes.APIGroup, attributes.APIVersion, attributes.Resource = "*", "*", "*"
	gv, err := schema.ParseGroupVersion(kind.APIVersion)
	if err != nil {
		return
	}
	attributes.APIGroup, attributes.APIVersion = gv.Group, gv.Version
	if resource, ok := c.Resolve(gv.WithKind(kind.Kind)); ok {
		attributes.Resource = resource
	}
}

func (c *Check) decide(ctx context.Context, attributes authorizer.AttributesRecord, at *field.Path, what string) field.ErrorList {
	caller, ok := request.UserFrom(ctx)
	if !ok {
		return field.ErrorList{field.InternalError(at, errors.New("the request has no user"))}
	}
	// The server itself is a member.
	if slices.Contains(caller.GetGroups(), user.SystemPrivilegedGroup) {
		return nil
	}
	attributes.User, attributes.ResourceRequest = caller, true
	decision, _, err := c.Authorizer.Authorize(ctx, attributes)
	if decision == authorizer.DecisionAllow {
		return nil
	}
	message := fmt.Sprintf("user %q may not %s %s (%s in group %q), which the policy's messages could repeat", caller.GetName(), attributes.Verb, what, attributes.Resource, attributes.APIGroup)
	if err != nil {
		message += ": " + err.Error()
	}
	return field.ErrorList{field.Forbidden(at, message)}
}

// KindCell returns the cell of a policy's parameters.
func KindCell(kind *admissionregistrationv1.ParamKind) string {
	if kind == nil {
		return unset
	}
	return kind.APIVersion + "/" + kind.Kind
}

// RefCell returns the cell of a binding's parameters. Whether those without a namespace are in all
// namespaces or in none depends on the kind, which is not part of the binding.
func RefCell(ref *admissionregistrationv1.ParamRef) string {
	switch {
	case ref == nil:
		return unset
	case ref.Name != "" && ref.Namespace != "":
		return ref.Namespace + "/" + ref.Name
	case ref.Name != "":
		return "*/" + ref.Name
	case ref.Selector != nil:
		return ref.Selector.String()
	default:
		return unset
	}
}
