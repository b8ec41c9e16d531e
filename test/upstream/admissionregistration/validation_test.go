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

package admissionregistration

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/kubernetes/pkg/apis/admissionregistration"
	upstreaminstall "k8s.io/kubernetes/pkg/apis/admissionregistration/install"
	upstream "k8s.io/kubernetes/pkg/apis/admissionregistration/validation"
	"sigs.k8s.io/yaml"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/admissionregistration/install"
	"github.com/gatehouse-dev/gatehouse/pkg/apis/admissionregistration/validation"
	"github.com/gatehouse-dev/gatehouse/test/kit"
)

const (
	defaultSeed  = 37
	randomOfEach = 250
)

// judges has both validations, and both schemes with their defaults.
type judges struct {
	t             *testing.T
	theirs, ours  *runtime.Scheme
	validator     *validation.Validator
	right, wrong  int
	fields, kinds sets.Set[string]
}

func newJudges(t *testing.T) *judges {
	j := &judges{t: t, theirs: runtime.NewScheme(), ours: runtime.NewScheme(), validator: validation.NewValidator(), fields: sets.New[string](), kinds: sets.New[string]()}
	upstreaminstall.Install(j.theirs)
	install.Install(j.ours)
	return j
}

// internal converts the object to upstream's own types.
func (j *judges) internal(obj runtime.Object) runtime.Object {
	out, err := j.theirs.ConvertToVersion(obj.DeepCopyObject(), admissionregistration.SchemeGroupVersion)
	if err != nil {
		j.t.Fatal(err)
	}
	return out
}

// upstream validates an object, or the update of an old one.
func (j *judges) upstream(obj, old runtime.Object) field.ErrorList {
	created := old == nil
	if created {
		old = obj
	}
	switch o := j.internal(obj).(type) {
	case *admissionregistration.MutatingWebhookConfiguration:
		if created {
			return upstream.ValidateMutatingWebhookConfiguration(o)
		}
		return upstream.ValidateMutatingWebhookConfigurationUpdate(o, j.internal(old).(*admissionregistration.MutatingWebhookConfiguration))
	case *admissionregistration.ValidatingWebhookConfiguration:
		if created {
			return upstream.ValidateValidatingWebhookConfiguration(o)
		}
		return upstream.ValidateValidatingWebhookConfigurationUpdate(o, j.internal(old).(*admissionregistration.ValidatingWebhookConfiguration))
	case *admissionregistration.MutatingAdmissionPolicy:
		if created {
			return upstream.ValidateMutatingAdmissionPolicy(o)
		}
		return upstream.ValidateMutatingAdmissionPolicyUpdate(o, j.internal(old).(*admissionregistration.MutatingAdmissionPolicy))
	case *admissionregistration.ValidatingAdmissionPolicy:
		if created {
			return upstream.ValidateValidatingAdmissionPolicy(o)
		}
		return upstream.ValidateValidatingAdmissionPolicyUpdate(o, j.internal(old).(*admissionregistration.ValidatingAdmissionPolicy))
	case *admissionregistration.MutatingAdmissionPolicyBinding:
		return upstream.ValidateMutatingAdmissionPolicyBinding(o)
	case *admissionregistration.ValidatingAdmissionPolicyBinding:
		return upstream.ValidateValidatingAdmissionPolicyBinding(o)
	}
	j.t.Fatalf("upstream has no validation of %T", obj)
	return nil
}

// cast returns nil for a missing object.
func cast[T runtime.Object](obj runtime.Object) T {
	out, _ := obj.(T)
	return out
}

func (j *judges) gatehouse(obj, old runtime.Object) field.ErrorList {
	switch o := obj.(type) {
	case *admissionregistrationv1.MutatingWebhookConfiguration:
		return j.validator.ValidateMutatingWebhookConfiguration(o, cast[*admissionregistrationv1.MutatingWebhookConfiguration](old))
	case *admissionregistrationv1.ValidatingWebhookConfiguration:
		return j.validator.ValidateValidatingWebhookConfiguration(o, cast[*admissionregistrationv1.ValidatingWebhookConfiguration](old))
	case *admissionregistrationv1.MutatingAdmissionPolicy:
		return j.validator.ValidateMutatingAdmissionPolicy(o, cast[*admissionregistrationv1.MutatingAdmissionPolicy](old))
	case *admissionregistrationv1.ValidatingAdmissionPolicy:
		return j.validator.ValidateValidatingAdmissionPolicy(o, cast[*admissionregistrationv1.ValidatingAdmissionPolicy](old))
	case *admissionregistrationv1.MutatingAdmissionPolicyBinding:
		return j.validator.ValidateMutatingAdmissionPolicyBinding(o, cast[*admissionregistrationv1.MutatingAdmissionPolicyBinding](old))
	case *admissionregistrationv1.ValidatingAdmissionPolicyBinding:
		return j.validator.ValidateValidatingAdmissionPolicyBinding(o, cast[*admissionregistrationv1.ValidatingAdmissionPolicyBinding](old))
	}
	j.t.Fatalf("we have no validation of %T", obj)
	return nil
}

// verdict returns the types and fields of the errors, without duplicates.
func verdict(errs field.ErrorList) []string {
	found := sets.New[string]()
	for _, err := range errs {
		found.Insert(string(err.Type) + " " + err.Field)
	}
	return sets.List(found)
}

// swapped corrects a bug of upstream: it passes name and namespace of a service in the
// wrong order, so that an error names the wrong one of the two.
func swapped(verdicts []string) []string {
	const name, namespace = ".clientConfig.service.name", ".clientConfig.service.namespace"
	for i, v := range verdicts {
		if at, is := strings.CutSuffix(v, namespace); is {
			verdicts[i] = at + name
		} else if at, is := strings.CutSuffix(v, name); is {
			verdicts[i] = at + namespace
		}
	}
	slices.Sort(verdicts)
	return verdicts
}

// compare validates an object with both.
func (j *judges) compare(what string, obj, old runtime.Object) {
	j.t.Helper()
	want, got := j.upstream(obj, old), j.gatehouse(obj, old)
	if w, g := swapped(verdict(want)), verdict(got); !slices.Equal(w, g) {
		text, _ := yaml.Marshal(obj)
		before, _ := yaml.Marshal(old)
		j.t.Errorf("%s\nupstream: %q\nours:     %q\n%s\nbefore:\n%s", what, w, g, text, before)
	}
	if len(want) == 0 {
		j.right++
	} else {
		j.wrong++
	}
	for _, err := range want {
		j.fields.Insert(fmt.Sprintf("%T %s %s", obj, err.Type, err.Field))
	}
	j.kinds.Insert(fmt.Sprintf("%T %v", obj, len(want) == 0))
}

// withDefaults applies the defaults of both, which must be equal.
func (j *judges) withDefaults(what string, obj runtime.Object) runtime.Object {
	j.t.Helper()
	theirs, ours := obj.DeepCopyObject(), obj.DeepCopyObject()
	j.theirs.Default(theirs)
	j.ours.Default(ours)
	if !apiequality.Semantic.DeepEqual(theirs, ours) {
		want, _ := yaml.Marshal(theirs)
		got, _ := yaml.Marshal(ours)
		j.t.Errorf("%s: defaults differ\nupstream:\n%s\nours:\n%s", what, want, got)
	}
	return ours
}

// enough fails the test if too few fields were compared.
func (j *judges) enough(fields int) {
	j.t.Helper()
	j.t.Logf("%d objects valid, %d invalid, in %d ways", j.right, j.wrong, len(j.fields))
	if j.right < 100 || j.wrong < 100 || len(j.fields) < fields || len(j.kinds) < 12 {
		j.t.Errorf("the objects were too similar to prove anything: %v", sets.List(j.kinds))
	}
}

func TestSamplesAreValid(t *testing.T) {
	j := newJudges(t)
	for _, sample := range samples(t) {
		obj := j.withDefaults("a sample", sample)
		if errs := append(j.upstream(obj, nil), j.gatehouse(obj, nil)...); len(errs) > 0 {
			t.Errorf("%T: %v", sample, errs)
		}
	}
}

func TestEveryWordInEveryPlaceIsJudgedAlike(t *testing.T) {
	j := newJudges(t)
	for _, sample := range samples(t) {
		valid := j.withDefaults("a sample", sample)
		for i := range count(valid) {
			for n := range variants(nth(valid, i)) {
				obj := valid.DeepCopyObject()
				variants(nth(obj, i))[n]()
				j.compare(fmt.Sprintf("%T, spot %d, variant %d", obj, i, n), obj, nil)
			}
		}
	}
	j.enough(200)
}

func TestRandomObjectsAreJudgedAlike(t *testing.T) {
	j := newJudges(t)
	seed := kit.SeedOr(t, defaultSeed)
	random := rand.New(rand.NewPCG(seed, seed))
	change := func(obj runtime.Object, times int) {
		for range times {
			n := count(obj)
			if n == 0 {
				return
			}
			spot := variants(nth(obj, random.IntN(n)))
			spot[random.IntN(len(spot))]()
		}
	}
	for _, sample := range samples(t) {
		for i := range randomOfEach {
			what := fmt.Sprintf("%s, random object %d", reflect.TypeOf(sample), i)
			obj := sample.DeepCopyObject()
			change(obj, 1+random.IntN(3))
			j.compare(what+" as it was sent", obj, nil)
			old := j.withDefaults(what, obj)
			j.compare(what, old, nil)
			// For a stored object only the changed fields are validated.
			changed := old.DeepCopyObject()
			change(changed, random.IntN(3))
			j.compare(what+", changed", changed, old)
		}
	}
	j.enough(150)
}

func TestReportsAreJudgedAlike(t *testing.T) {
	j := newJudges(t)
	policy := read(t, validating+`
status:
  observedGeneration: 1
  typeChecking: {expressionWarnings: [{fieldRef: "spec.validations[0].expression", warning: odd}]}
  conditions: [{type: Checked, status: "True", reason: Checked, message: fine, lastTransitionTime: "2026-01-02T03:04:05Z"}]
`, &admissionregistrationv1.ValidatingAdmissionPolicy{})
	status := func(p *admissionregistrationv1.ValidatingAdmissionPolicy) []reflect.Value {
		var all []reflect.Value
		spots(reflect.ValueOf(&p.Status).Elem(), func(v reflect.Value) { all = append(all, v) })
		return all
	}
	wrong := 0
	for i := range status(policy) {
		for n := range variants(status(policy)[i]) {
			changed := policy.DeepCopy()
			variants(status(changed)[i])[n]()
			internal := j.internal(changed).(*admissionregistration.ValidatingAdmissionPolicy)
			want := verdict(upstream.ValidateValidatingAdmissionPolicyStatusUpdate(internal, internal))
			if got := verdict(j.validator.ValidateValidatingAdmissionPolicyStatus(changed)); !slices.Equal(got, want) {
				t.Errorf("%+v\nupstream: %q\nours:     %q", changed.Status, want, got)
			}
			if len(want) > 0 {
				wrong++
			}
		}
	}
	if wrong < 20 {
		t.Errorf("only %d reports were wrong", wrong)
	}
}

func TestNamesForFilesAreReservedAlike(t *testing.T) {
	j := newJudges(t)
	for _, sample := range samples(t) {
		for _, name := range []string{"a", "a.static.k8s.io", "static.k8s.io", "a.static.k8s.io.b"} {
			obj := j.withDefaults(name, sample)
			at := reflect.ValueOf(obj).Elem().FieldByName("Name")
			at.SetString(name)
			want := len(upstream.ValidateStaticSuffix(name, field.NewPath("metadata", "name"))) > 0
			if got := len(j.gatehouse(obj, nil)) > 0; got != want {
				t.Errorf("%T called %s: upstream refuses %v, we %v", obj, name, want, got)
			}
		}
	}
}
