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

package flowcontrol

import (
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	flowcontrolv1 "k8s.io/api/flowcontrol/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/apis/flowcontrol/bootstrap"
	upstream "k8s.io/kubernetes/pkg/apis/flowcontrol"
	upstreamv1 "k8s.io/kubernetes/pkg/apis/flowcontrol/v1"
	upstreamvalidation "k8s.io/kubernetes/pkg/apis/flowcontrol/validation"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/flowcontrol"
	"github.com/gatehouse-dev/gatehouse/pkg/apis/flowcontrol/validation"
	"github.com/gatehouse-dev/gatehouse/test/kit"
)

// rounds is enough for every pair of a field and a word.
const rounds = 50000

// world makes random objects of a few words.
type world struct{ *rand.Rand }

func one[T any](w world, of ...T) T { return of[w.IntN(len(of))] }

// some returns up to two of the words.
func (w world) some(of ...string) []string {
	var list []string
	for range w.IntN(3) {
		list = append(list, one(w, of...))
	}
	return list
}

// maybe returns the value in three of four cases.
func maybe[T any](w world, value T) *T {
	if w.IntN(4) == 0 {
		return nil
	}
	return &value
}

func (w world) meta() metav1.ObjectMeta {
	meta := metav1.ObjectMeta{Name: one(w, "exempt", "catch-all", "global-default", "team", "a.b", "A", "")}
	if w.IntN(8) == 0 {
		meta.Annotations = map[string]string{one(w, "flowcontrol.k8s.io/v1beta3-preserve-zero-concurrency-shares", "apf.kubernetes.io/autoupdate-spec", "a b"): "true"}
	}
	if w.IntN(8) == 0 {
		meta.Finalizers = []string{one(w, "a", "orphan", "example.com/a")}
	}
	return meta
}

func (w world) subject() flowcontrolv1.Subject {
	name := one(w, "", "a", "*", "A b", "system:serviceaccounts")
	subject := flowcontrolv1.Subject{Kind: one(w, flowcontrolv1.SubjectKindGroup, flowcontrolv1.SubjectKindUser, flowcontrolv1.SubjectKindServiceAccount, "Host", "")}
	member := subject.Kind
	if w.IntN(6) == 0 {
		member = one(w, flowcontrolv1.SubjectKindGroup, flowcontrolv1.SubjectKindUser, flowcontrolv1.SubjectKindServiceAccount)
	}
	if member == flowcontrolv1.SubjectKindGroup || w.IntN(12) == 0 {
		subject.Group = &flowcontrolv1.GroupSubject{Name: name}
	}
	if member == flowcontrolv1.SubjectKindUser || w.IntN(12) == 0 {
		subject.User = &flowcontrolv1.UserSubject{Name: name}
	}
	if member == flowcontrolv1.SubjectKindServiceAccount || w.IntN(12) == 0 {
		subject.ServiceAccount = &flowcontrolv1.ServiceAccountSubject{Name: name, Namespace: one(w, "", "a", "*", "a.b")}
	}
	return subject
}

func (w world) rule() flowcontrolv1.PolicyRulesWithSubjects {
	var rule flowcontrolv1.PolicyRulesWithSubjects
	for range w.IntN(3) {
		rule.Subjects = append(rule.Subjects, w.subject())
	}
	verbs := func() []string { return w.some("get", "watch", "proxy", "deletecollection", "*", "bind", "") }
	for range w.IntN(3) {
		rule.ResourceRules = append(rule.ResourceRules, flowcontrolv1.ResourcePolicyRule{
			Verbs: verbs(), APIGroups: w.some("", "*", "a"), Resources: w.some("", "*", "a", "a/b"), ClusterScope: w.IntN(2) == 0, Namespaces: w.some("", "*", "a", "a.b"),
		})
	}
	for range w.IntN(3) {
		rule.NonResourceRules = append(rule.NonResourceRules, flowcontrolv1.NonResourcePolicyRule{
			Verbs: verbs(), NonResourceURLs: w.some("", "/", "*", "/*", "a", "/a", "/a*", "/a/*", "/a/*/*", "/*/a", "//", "/a b", "/a//*", "/**", "a/*"),
		})
	}
	return rule
}

func (w world) schema() *flowcontrolv1.FlowSchema {
	schema := &flowcontrolv1.FlowSchema{ObjectMeta: w.meta(), Spec: flowcontrolv1.FlowSchemaSpec{
		PriorityLevelConfiguration: flowcontrolv1.PriorityLevelConfigurationReference{Name: one(w, "", "exempt", "a", "a.b", "A")},
		MatchingPrecedence:         one[int32](w, -1, 0, 1, 2, 1000, 10000, 10001),
		DistinguisherMethod:        maybe(w, flowcontrolv1.FlowDistinguisherMethod{Type: one(w, flowcontrolv1.FlowDistinguisherMethodByNamespaceType, flowcontrolv1.FlowDistinguisherMethodByUserType, "A", "")}),
	}}
	for range w.IntN(3) {
		schema.Spec.Rules = append(schema.Spec.Rules, w.rule())
	}
	if w.IntN(4) == 0 {
		schema.Spec = *one(w, bootstrap.MandatoryFlowSchemas...).Spec.DeepCopy()
	}
	for range w.IntN(3) {
		schema.Status.Conditions = append(schema.Status.Conditions, flowcontrolv1.FlowSchemaCondition{Type: one[flowcontrolv1.FlowSchemaConditionType](w, "", "A", "Dangling")})
	}
	return schema
}

func (w world) level() *flowcontrolv1.PriorityLevelConfiguration {
	number := func() *int32 { return maybe(w, one[int32](w, -1, 0, 1, 5, 100, 101)) }
	level := &flowcontrolv1.PriorityLevelConfiguration{ObjectMeta: w.meta(), Spec: flowcontrolv1.PriorityLevelConfigurationSpec{
		Type: one(w, flowcontrolv1.PriorityLevelEnablementExempt, flowcontrolv1.PriorityLevelEnablementLimited, flowcontrolv1.PriorityLevelEnablementLimited, "A", ""),
	}}
	if w.IntN(2) == 0 {
		level.Spec.Exempt = &flowcontrolv1.ExemptPriorityLevelConfiguration{NominalConcurrencyShares: number(), LendablePercent: number()}
	}
	if w.IntN(3) > 0 {
		level.Spec.Limited = &flowcontrolv1.LimitedPriorityLevelConfiguration{
			NominalConcurrencyShares: number(), LendablePercent: number(), BorrowingLimitPercent: number(),
			LimitResponse: flowcontrolv1.LimitResponse{
				Type: one(w, flowcontrolv1.LimitResponseTypeQueue, flowcontrolv1.LimitResponseTypeReject, "A", ""),
				Queuing: maybe(w, flowcontrolv1.QueuingConfiguration{
					Queues: one[int32](w, -1, 0, 1, 64, 512, 10_000_000, 10_000_001), HandSize: one[int32](w, -1, 0, 1, 2, 6, 8), QueueLengthLimit: one[int32](w, -1, 0, 1),
				}),
			},
		}
	}
	if w.IntN(4) == 0 {
		level.Spec = *one(w, bootstrap.MandatoryPriorityLevelConfigurations...).Spec.DeepCopy()
	}
	for range w.IntN(3) {
		level.Status.Conditions = append(level.Status.Conditions, flowcontrolv1.PriorityLevelConfigurationCondition{Type: one[flowcontrolv1.PriorityLevelConfigurationConditionType](w, "", "A")})
	}
	return level
}

func newWorld(t *testing.T) world { return world{rand.New(rand.NewPCG(kit.Seed(t), 0))} }

func fields(errs field.ErrorList) []string {
	var all []string
	for _, err := range errs {
		all = append(all, string(err.Type)+" "+err.Field)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

func TestFlowSchemasAreDefaultedAndValidatedAsUpstreams(t *testing.T) {
	w, valid := newWorld(t), 0
	for range rounds {
		theirs := w.schema()
		ours := theirs.DeepCopy()
		flowcontrol.SetDefaults_FlowSchema(ours)
		upstreamv1.SetObjectDefaults_FlowSchema(theirs)
		if !reflect.DeepEqual(ours, theirs) {
			t.Fatalf("defaults: ours %+v, upstream's %+v", ours.Spec, theirs.Spec)
		}
		var internal upstream.FlowSchema
		if err := upstreamv1.Convert_v1_FlowSchema_To_flowcontrol_FlowSchema(theirs, &internal, nil); err != nil {
			t.Fatal(err)
		}
		got, want := fields(validation.ValidateFlowSchema(ours)), fields(upstreamvalidation.ValidateFlowSchema(&internal))
		if !slices.Equal(got, want) {
			t.Fatalf("ours %q, upstream's %q: %+v", got, want, ours)
		}
		got, want = fields(validation.ValidateFlowSchemaStatus(ours)), fields(upstreamvalidation.ValidateFlowSchemaStatusUpdate(&internal, &internal))
		if !slices.Equal(got, want) {
			t.Fatalf("status: ours %q, upstream's %q: %+v", got, want, ours)
		}
		if len(fields(validation.ValidateFlowSchema(ours))) == 0 {
			valid++
		}
	}
	if valid == 0 || valid == rounds {
		t.Errorf("%d of %d are valid: the objects show nothing", valid, rounds)
	}
}

func TestPriorityLevelsAreDefaultedAndValidatedAsUpstreams(t *testing.T) {
	w, valid := newWorld(t), 0
	for range rounds {
		theirs := w.level()
		ours := theirs.DeepCopy()
		flowcontrol.SetDefaults_PriorityLevelConfiguration(ours)
		upstreamv1.SetObjectDefaults_PriorityLevelConfiguration(theirs)
		if !reflect.DeepEqual(ours, theirs) {
			t.Fatalf("defaults: ours %+v, upstream's %+v", ours.Spec, theirs.Spec)
		}
		var internal upstream.PriorityLevelConfiguration
		if err := upstreamv1.Convert_v1_PriorityLevelConfiguration_To_flowcontrol_PriorityLevelConfiguration(theirs, &internal, nil); err != nil {
			t.Fatal(err)
		}
		got := fields(validation.ValidatePriorityLevelConfiguration(ours))
		want := fields(upstreamvalidation.ValidatePriorityLevelConfiguration(&internal, flowcontrolv1.SchemeGroupVersion, upstreamvalidation.PriorityLevelValidationOptions{}))
		if !slices.Equal(got, want) {
			t.Fatalf("ours %q, upstream's %q: %+v", got, want, ours)
		}
		if len(got) == 0 {
			valid++
		}
	}
	if valid == 0 || valid == rounds {
		t.Errorf("%d of %d are valid: the objects show nothing", valid, rounds)
	}
}
