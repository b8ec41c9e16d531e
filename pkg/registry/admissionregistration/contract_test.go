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

package admissionregistration_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/admissionregistration"
	"github.com/gatehouse-dev/gatehouse/pkg/apiserver"
	admissionregistrationregistry "github.com/gatehouse-dev/gatehouse/pkg/registry/admissionregistration"
	"github.com/gatehouse-dev/gatehouse/pkg/registry/admissionregistration/params"
	"github.com/gatehouse-dev/gatehouse/pkg/registry/base"
	"github.com/gatehouse-dev/gatehouse/test/registrytest"
)

// rights are those of a caller, as verb, group, resource, namespace and name, and the checked ones.
type rights struct {
	all     bool
	granted string
	asked   []string
}

func (r *rights) Authorize(_ context.Context, a authorizer.Attributes) (authorizer.Decision, string, error) {
	asked := strings.Join([]string{a.GetVerb(), a.GetAPIGroup(), a.GetAPIVersion(), a.GetResource(), a.GetNamespace(), a.GetName()}, ",")
	r.asked = append(r.asked, asked)
	if r.all || asked == r.granted {
		return authorizer.DecisionAllow, "", nil
	}
	return authorizer.DecisionNoOpinion, "", nil
}

func resolve(kind schema.GroupVersionKind) (string, bool) {
	return strings.ToLower(kind.Kind) + "s", kind.Kind != "Unknown"
}

func storageFor(r *rights) func(*runtime.Scheme, base.StorageOptions) (map[string]map[string]rest.Storage, error) {
	return registrytest.NewStorage(admissionregistrationregistry.StorageProvider{Check: &params.Check{Authorizer: r, Resolve: resolve}}, admissionregistration.GroupName)
}

func TestEveryResourceKeepsTheContract(t *testing.T) {
	scheme, codecs := apiserver.NewBuiltinScheme()
	policy := resource("validatingadmissionpolicies", "validatingadmissionpolicy", "ValidatingAdmissionPolicy", "VALIDATIONS", "PARAMKIND")
	policy.Subresources = []registrytest.Subresource{{Name: "status", Kind: "ValidatingAdmissionPolicy", Verbs: []string{"get", "patch", "update"}}}
	registrytest.Contract(t, registrytest.Group{
		Name:       admissionregistration.GroupName,
		Scheme:     scheme,
		Codecs:     codecs,
		NewStorage: storageFor(&rights{all: true}),
		Builtin:    true,
		Resources: []registrytest.Resource{
			resource("mutatingadmissionpolicies", "mutatingadmissionpolicy", "MutatingAdmissionPolicy", "MUTATIONS", "PARAMKIND"),
			resource("mutatingadmissionpolicybindings", "mutatingadmissionpolicybinding", "MutatingAdmissionPolicyBinding", "POLICYNAME", "PARAMREF"),
			resource("mutatingwebhookconfigurations", "mutatingwebhookconfiguration", "MutatingWebhookConfiguration", "WEBHOOKS"),
			policy,
			resource("validatingadmissionpolicybindings", "validatingadmissionpolicybinding", "ValidatingAdmissionPolicyBinding", "POLICYNAME", "PARAMREF"),
			resource("validatingwebhookconfigurations", "validatingwebhookconfiguration", "ValidatingWebhookConfiguration", "WEBHOOKS"),
		},
	})
}

func resource(name, singular, kind string, columns ...string) registrytest.Resource {
	return registrytest.Resource{
		Name: name, Singular: singular, Kind: kind,
		Categories: []string{"api-extensions"},
		Verbs:      registrytest.StandardVerbs,
		Columns:    append(append([]string{"NAME"}, columns...), "AGE"),
		Key:        "/registry/" + name + "/a",
		Sample:     func() runtime.Object { return sample(name) },
		ChangeSpec: change,
	}
}

func to[T any](value T) *T { return &value }

// sample returns a valid object of the resource with defaults.
func sample(resource string) runtime.Object {
	meta := metav1.ObjectMeta{Name: "a", Labels: map[string]string{"zone": "a"}}
	rule := admissionregistrationv1.RuleWithOperations{
		Operations: []admissionregistrationv1.OperationType{admissionregistrationv1.Create},
		Rule:       admissionregistrationv1.Rule{APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{"secrets"}},
	}
	match := &admissionregistrationv1.MatchResources{ResourceRules: []admissionregistrationv1.NamedRuleWithOperations{{RuleWithOperations: rule}}}
	kind := &admissionregistrationv1.ParamKind{APIVersion: "v1", Kind: "ConfigMap"}
	ref := &admissionregistrationv1.ParamRef{Namespace: "team", Name: "limits", ParameterNotFoundAction: to(admissionregistrationv1.DenyAction)}
	config := admissionregistrationv1.WebhookClientConfig{Service: &admissionregistrationv1.ServiceReference{Namespace: "team", Name: "hook"}}
	var obj runtime.Object
	switch resource {
	case "mutatingwebhookconfigurations":
		obj = &admissionregistrationv1.MutatingWebhookConfiguration{ObjectMeta: meta, Webhooks: []admissionregistrationv1.MutatingWebhook{{
			Name: "a.example.com", ClientConfig: config, Rules: []admissionregistrationv1.RuleWithOperations{rule},
			SideEffects: to(admissionregistrationv1.SideEffectClassNone), AdmissionReviewVersions: []string{"v1"},
		}}}
	case "validatingwebhookconfigurations":
		obj = &admissionregistrationv1.ValidatingWebhookConfiguration{ObjectMeta: meta, Webhooks: []admissionregistrationv1.ValidatingWebhook{{
			Name: "a.example.com", ClientConfig: config, Rules: []admissionregistrationv1.RuleWithOperations{rule},
			SideEffects: to(admissionregistrationv1.SideEffectClassNone), AdmissionReviewVersions: []string{"v1"},
		}}}
	case "mutatingadmissionpolicies":
		obj = &admissionregistrationv1.MutatingAdmissionPolicy{ObjectMeta: meta, Spec: admissionregistrationv1.MutatingAdmissionPolicySpec{
			ParamKind: kind, MatchConstraints: match, ReinvocationPolicy: admissionregistrationv1.NeverReinvocationPolicy,
			Mutations: []admissionregistrationv1.Mutation{{
				PatchType:          admissionregistrationv1.PatchTypeApplyConfiguration,
				ApplyConfiguration: &admissionregistrationv1.ApplyConfiguration{Expression: "Object{}"},
			}},
		}}
	case "validatingadmissionpolicies":
		obj = &admissionregistrationv1.ValidatingAdmissionPolicy{
			ObjectMeta: meta,
			Spec: admissionregistrationv1.ValidatingAdmissionPolicySpec{
				ParamKind: kind, MatchConstraints: match, Validations: []admissionregistrationv1.Validation{{Expression: "true"}},
			},
			Status: admissionregistrationv1.ValidatingAdmissionPolicyStatus{
				ObservedGeneration: 1,
				TypeChecking:       &admissionregistrationv1.TypeChecking{ExpressionWarnings: []admissionregistrationv1.ExpressionWarning{{FieldRef: "spec.validations[0].expression", Warning: "is always true"}}},
				Conditions:         []metav1.Condition{{Type: "Checked", Status: metav1.ConditionTrue, Reason: "Checked", LastTransitionTime: metav1.Unix(1_700_000_000, 0)}},
			},
		}
	case "mutatingadmissionpolicybindings":
		obj = &admissionregistrationv1.MutatingAdmissionPolicyBinding{ObjectMeta: meta, Spec: admissionregistrationv1.MutatingAdmissionPolicyBindingSpec{PolicyName: "a", ParamRef: ref, MatchResources: match}}
	case "validatingadmissionpolicybindings":
		obj = &admissionregistrationv1.ValidatingAdmissionPolicyBinding{ObjectMeta: meta, Spec: admissionregistrationv1.ValidatingAdmissionPolicyBindingSpec{
			PolicyName: "a", ParamRef: ref, MatchResources: match, ValidationActions: []admissionregistrationv1.ValidationAction{admissionregistrationv1.Deny},
		}}
	}
	scheme, _ := apiserver.NewBuiltinScheme()
	scheme.Default(obj)
	return obj
}

// change changes the generation.
func change(obj runtime.Object) {
	switch o := obj.(type) {
	case *admissionregistrationv1.MutatingWebhookConfiguration:
		o.Webhooks[0].TimeoutSeconds = to[int32](5)
	case *admissionregistrationv1.ValidatingWebhookConfiguration:
		o.Webhooks[0].TimeoutSeconds = to[int32](5)
	case *admissionregistrationv1.MutatingAdmissionPolicy:
		o.Spec.ParamKind.Kind = "Secret"
	case *admissionregistrationv1.ValidatingAdmissionPolicy:
		o.Spec.ParamKind.Kind = "Secret"
	case *admissionregistrationv1.MutatingAdmissionPolicyBinding:
		o.Spec.ParamRef.Name = "others"
	case *admissionregistrationv1.ValidatingAdmissionPolicyBinding:
		o.Spec.ParamRef.Name = "others"
	}
}

// withoutParams removes the parameters, which need a right to read.
func withoutParams(obj runtime.Object) runtime.Object {
	switch o := obj.(type) {
	case *admissionregistrationv1.MutatingAdmissionPolicy:
		o.Spec.ParamKind = nil
	case *admissionregistrationv1.ValidatingAdmissionPolicy:
		o.Spec.ParamKind = nil
	case *admissionregistrationv1.MutatingAdmissionPolicyBinding:
		o.Spec.ParamRef = nil
	case *admissionregistrationv1.ValidatingAdmissionPolicyBinding:
		o.Spec.ParamRef = nil
	}
	return obj
}

// spoil makes an object invalid.
func spoil(obj runtime.Object) (field string) {
	switch o := obj.(type) {
	case *admissionregistrationv1.MutatingWebhookConfiguration:
		o.Webhooks[0].SideEffects = nil
		return "webhooks[0].sideEffects"
	case *admissionregistrationv1.ValidatingWebhookConfiguration:
		o.Webhooks[0].SideEffects = nil
		return "webhooks[0].sideEffects"
	case *admissionregistrationv1.MutatingAdmissionPolicy:
		o.Spec.Mutations[0].ApplyConfiguration.Expression = "Object{"
		return "spec.mutations[0].applyConfiguration.expression"
	case *admissionregistrationv1.ValidatingAdmissionPolicy:
		o.Spec.Validations[0].Expression = "object."
		return "spec.validations[0].expression"
	case *admissionregistrationv1.MutatingAdmissionPolicyBinding:
		o.Spec.PolicyName = ""
		return "spec.policyName"
	case *admissionregistrationv1.ValidatingAdmissionPolicyBinding:
		o.Spec.ValidationActions = nil
		return "spec.validationActions"
	}
	return ""
}

var names = []string{
	"mutatingadmissionpolicies", "mutatingadmissionpolicybindings", "mutatingwebhookconfigurations",
	"validatingadmissionpolicies", "validatingadmissionpolicybindings", "validatingwebhookconfigurations",
}

// storages builds the storages of the group for a caller, on their own etcd.
func storages(t *testing.T, r *rights) (*runtime.Scheme, map[string]rest.Storage) {
	t.Helper()
	scheme, codecs := apiserver.NewBuiltinScheme()
	versions, err := storageFor(r)(scheme, registrytest.StartEtcd(t).StorageOptions(scheme, codecs))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for _, storage := range versions["v1"] {
			storage.Destroy()
		}
	})
	return scheme, versions["v1"]
}

func TestResourcesRefuseWhatIsWrong(t *testing.T) {
	_, built := storages(t, &rights{all: true})
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			storage := built[name].(registrytest.Storage)
			ctx := as("contract")
			wrong := sample(name)
			want := []string{spoil(wrong)}
			if _, err := storage.Create(ctx, wrong, rest.ValidateAllObjectFunc, &metav1.CreateOptions{}); !slices.Equal(registrytest.RefusedFields(err), want) {
				t.Errorf("create: got %v, want %q refused", err, want)
			}
			if _, err := storage.Create(ctx, sample(name), rest.ValidateAllObjectFunc, &metav1.CreateOptions{}); err != nil {
				t.Fatal(err)
			}
			if err := update(ctx, storage, "a", func(obj runtime.Object) { spoil(obj) }); !slices.Equal(registrytest.RefusedFields(err), want) {
				t.Errorf("update: got %v, want %q refused", err, want)
			}
		})
	}
}

func as(name string, groups ...string) context.Context {
	return request.WithUser(request.WithNamespace(context.Background(), metav1.NamespaceNone), &user.DefaultInfo{Name: name, Groups: groups})
}

func update(ctx context.Context, storage registrytest.Storage, name string, changed func(runtime.Object)) error {
	_, _, err := storage.Update(ctx, name, rest.DefaultUpdatedObjectInfo(nil, func(_ context.Context, _, old runtime.Object) (runtime.Object, error) {
		obj := old.DeepCopyObject()
		changed(obj)
		return obj, nil
	}), rest.ValidateAllObjectFunc, rest.ValidateAllObjectUpdateFunc, false, &metav1.UpdateOptions{})
	return err
}

func TestPoliciesNeedTheRightToReadTheirParameters(t *testing.T) {
	const (
		configMaps, secrets = "get,,v1,configmaps,*,*", "get,,v1,secrets,*,*"
		limits, others      = "get,,v1,configmaps,team,limits", "get,,v1,configmaps,team,others"
	)
	for _, kinds := range []struct{ policies, bindings string }{
		{"mutatingadmissionpolicies", "mutatingadmissionpolicybindings"},
		{"validatingadmissionpolicies", "validatingadmissionpolicybindings"},
	} {
		t.Run(kinds.policies, func(t *testing.T) {
			r := &rights{}
			_, built := storages(t, r)
			policies, bindings := built[kinds.policies].(registrytest.Storage), built[kinds.bindings].(registrytest.Storage)
			ctx := as("ann")
			create := func(ctx context.Context, storage registrytest.Storage, obj runtime.Object) error {
				_, err := storage.Create(ctx, obj, rest.ValidateAllObjectFunc, &metav1.CreateOptions{})
				return err
			}
			for _, step := range []struct {
				what    string
				needs   string
				refused string
				do      func(context.Context) error
			}{
				{"a binding before its policy", "get,*,*,*,team,limits", "spec.paramRef", func(ctx context.Context) error { return create(ctx, bindings, sample(kinds.bindings)) }},
				{"a policy", configMaps, "spec.paramKind", func(ctx context.Context) error { return create(ctx, policies, sample(kinds.policies)) }},
				{"another kind", secrets, "spec.paramKind", func(ctx context.Context) error { return update(ctx, policies, "a", change) }},
				{"the first kind again", configMaps, "spec.paramKind", func(ctx context.Context) error {
					return update(ctx, policies, "a", func(obj runtime.Object) { setKind(obj, "ConfigMap") })
				}},
				{"other parameters", others, "spec.paramRef", func(ctx context.Context) error { return update(ctx, bindings, "a", change) }},
				{"a second binding", limits, "spec.paramRef", func(ctx context.Context) error {
					obj := sample(kinds.bindings)
					obj.(metav1.Object).SetName("b")
					return create(ctx, bindings, obj)
				}},
				{"parameters by selector", "list,,v1,configmaps,team,", "spec.paramRef", func(ctx context.Context) error {
					return update(ctx, bindings, "b", func(obj runtime.Object) {
						ref := refOf(obj)
						ref.Name, ref.Selector = "", &metav1.LabelSelector{}
					})
				}},
				{"a kind that is not served", "get,example.com,v1,*,*,*", "spec.paramKind", func(ctx context.Context) error {
					return update(ctx, policies, "a", func(obj runtime.Object) { setKind(obj, "Unknown") })
				}},
			} {
				r.asked, r.granted = nil, ""
				if err := step.do(ctx); !apierrors.HasStatusCause(err, metav1.CauseTypeForbidden) || !strings.Contains(err.Error(), step.refused) || !strings.Contains(err.Error(), `user "ann"`) {
					t.Errorf("%s without the right: got %v, want a refusal of %s", step.what, err, step.refused)
				}
				if len(r.asked) != 1 || r.asked[0] != step.needs {
					t.Errorf("%s: checked %q, want %q", step.what, r.asked, step.needs)
				}
				r.granted = step.needs
				if err := step.do(ctx); err != nil {
					t.Errorf("%s with the right: %v", step.what, err)
				}
			}
			r.asked, r.granted = nil, ""
			relabel := func(obj runtime.Object) { obj.(metav1.Object).SetLabels(map[string]string{"zone": "b"}) }
			for _, storage := range []registrytest.Storage{policies, bindings} {
				if err := update(ctx, storage, "a", relabel); err != nil || len(r.asked) > 0 {
					t.Errorf("a change of something else: %v, checked %q", err, r.asked)
				}
			}
			if err := update(as("root", user.SystemPrivilegedGroup), policies, "a", func(obj runtime.Object) { setKind(obj, "Secret") }); err != nil {
				t.Errorf("the server's own administrator: %v", err)
			}
			if err := update(request.WithNamespace(context.Background(), metav1.NamespaceNone), policies, "a", func(obj runtime.Object) { setKind(obj, "ConfigMap") }); err == nil {
				t.Error("a request without a user could write a policy with parameters")
			}
		})
	}
}

func setKind(obj runtime.Object, kind string) {
	params := &admissionregistrationv1.ParamKind{APIVersion: "v1", Kind: kind}
	if kind == "Unknown" {
		params.APIVersion = "example.com/v1"
	}
	switch o := obj.(type) {
	case *admissionregistrationv1.MutatingAdmissionPolicy:
		o.Spec.ParamKind = params
	case *admissionregistrationv1.ValidatingAdmissionPolicy:
		o.Spec.ParamKind = params
	}
}

func refOf(obj runtime.Object) *admissionregistrationv1.ParamRef {
	if binding, ok := obj.(*admissionregistrationv1.MutatingAdmissionPolicyBinding); ok {
		return binding.Spec.ParamRef
	}
	return obj.(*admissionregistrationv1.ValidatingAdmissionPolicyBinding).Spec.ParamRef
}

func TestThereIsNoStorageWithoutACheck(t *testing.T) {
	scheme, _ := apiserver.NewBuiltinScheme()
	for _, check := range []*params.Check{nil, {}, {Authorizer: &rights{}}, {Resolve: resolve}} {
		if _, err := (admissionregistrationregistry.StorageProvider{Check: check}).NewStorage(scheme, base.StorageOptions{}); err == nil {
			t.Errorf("a storage that checks nothing was built with %+v", check)
		}
	}
}
