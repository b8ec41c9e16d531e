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

package apiserver

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"testing"

	flowcontrolv1 "k8s.io/api/flowcontrol/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/apis/flowcontrol/bootstrap"
	"k8s.io/apiserver/pkg/registry/rest"
	applyflowcontrolv1 "k8s.io/client-go/applyconfigurations/flowcontrol/v1"
	flowcontrolclient "k8s.io/client-go/kubernetes/typed/flowcontrol/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/utils/ptr"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/flowcontrol/validation"
	"github.com/gatehouse-dev/gatehouse/test/kit"
)

// flowControlObject returns the bootstrap object of the name.
func flowControlObject(t *testing.T, resource, name string) BootstrapObject {
	t.Helper()
	for _, object := range flowControlObjects([]string{"system:controller:scheduler"}) {
		if object.Resource.Resource == resource && object.Object.(metav1.Object).GetName() == name {
			return object
		}
	}
	t.Fatalf("no bootstrap object of %s is named %s", resource, name)
	return BootstrapObject{}
}

func TestBootstrapObjectsOfFlowControlAreValidAndComplete(t *testing.T) {
	scheme, _ := NewBuiltinScheme()
	levels, referenced := map[string]bool{}, map[string]bool{}
	for _, object := range flowControlObjects([]string{"system:controller:scheduler"}) {
		defaulted := object.Object.DeepCopyObject()
		scheme.Default(defaulted)
		if !apiequality.Semantic.DeepEqual(defaulted, object.Object) {
			t.Errorf("defaults change %+v", object.Object)
		}
		stored := object.Object.DeepCopyObject()
		if object.Reconcile(stored) {
			t.Errorf("the server would write its own object again: %+v", stored)
		}
		switch object := object.Object.(type) {
		case *flowcontrolv1.FlowSchema:
			referenced[object.Spec.PriorityLevelConfiguration.Name] = true
			if errs := validation.ValidateFlowSchema(object); len(errs) > 0 {
				t.Errorf("%s: %v", object.Name, errs)
			}
		case *flowcontrolv1.PriorityLevelConfiguration:
			levels[object.Name] = true
			if errs := validation.ValidatePriorityLevelConfiguration(object); len(errs) > 0 {
				t.Errorf("%s: %v", object.Name, errs)
			}
		}
	}
	if !maps.Equal(levels, referenced) {
		t.Errorf("the levels are %v, and FlowSchemas name %v", levels, referenced)
	}
}

func TestBootstrapObjectsOfFlowControlAreReconciledAsTheirAnnotationSays(t *testing.T) {
	const annotation = flowcontrolv1.AutoUpdateAnnotationKey
	const schemas, levels = "flowschemas", "prioritylevelconfigurations"
	annotated := func(value string) map[string]string { return map[string]string{annotation: value} }
	for _, row := range []struct {
		name, resource, object string
		annotations            map[string]string
		generation             int64
		edited                 bool
		// want is the annotation after it, and reset is true if the edit is undone.
		want           string
		reset, changed bool
	}{
		{"a suggested one as it should be", schemas, "global-default", annotated("true"), 1, false, "true", false, false},
		{"an edit of a suggested one is undone", schemas, "global-default", annotated("true"), 2, true, "true", true, true},
		{"an edit of a suggested one is kept by the annotation", schemas, "global-default", annotated("false"), 2, true, "false", false, false},
		{"an edit without annotation is kept, and annotated", schemas, "global-default", nil, 2, true, "false", false, true},
		{"another form at the first generation is that of another version", schemas, "global-default", nil, 1, true, "true", true, true},
		{"an annotation that is no boolean counts as none", schemas, "global-default", annotated("perhaps"), 2, true, "false", false, true},
		{"the first generation without annotation is annotated", levels, "workload-low", nil, 1, false, "true", false, true},
		{"an edit of a level is kept by the annotation", levels, "workload-low", annotated("false"), 5, true, "false", false, false},
		{"an edit of a level is undone", levels, "workload-low", annotated("true"), 5, true, "true", true, true},
		{"Gatehouse's own are suggested, too", schemas, "gatehouse-hosts", annotated("false"), 2, true, "false", false, false},
		{"a mandatory one is reset whatever the annotation says", schemas, "catch-all", annotated("false"), 2, true, "true", true, true},
		{"a mandatory level is reset whatever the annotation says", levels, "catch-all", annotated("false"), 2, true, "true", true, true},
	} {
		t.Run(row.name, func(t *testing.T) {
			object := flowControlObject(t, row.resource, row.object)
			stored := object.Object.DeepCopyObject()
			meta := stored.(metav1.Object)
			meta.SetAnnotations(row.annotations)
			meta.SetGeneration(row.generation)
			isEdited := edit(stored, row.edited)
			if changed := object.Reconcile(stored); changed != row.changed {
				t.Errorf("changed: %v, want %v", changed, row.changed)
			}
			if got := meta.GetAnnotations()[annotation]; got != row.want {
				t.Errorf("the annotation is %q, want %q", got, row.want)
			}
			if isEdited() != (row.edited && !row.reset) {
				t.Errorf("the edit is there: %v", isEdited())
			}
		})
	}
}

// edit changes a number of the spec, and returns whether it is still changed.
func edit(object runtime.Object, edits bool) func() bool {
	if !edits {
		return func() bool { return false }
	}
	if schema, is := object.(*flowcontrolv1.FlowSchema); is {
		schema.Spec.MatchingPrecedence = 77
		return func() bool { return schema.Spec.MatchingPrecedence == 77 }
	}
	level := object.(*flowcontrolv1.PriorityLevelConfiguration)
	level.Spec.Limited.NominalConcurrencyShares = ptr.To[int32](77)
	return func() bool { return *level.Spec.Limited.NominalConcurrencyShares == 77 }
}

func TestTheSharesOfTheExemptLevelAreTheAdministrators(t *testing.T) {
	object := flowControlObject(t, "prioritylevelconfigurations", "exempt")
	stored := bootstrap.MandatoryPriorityLevelConfigurationExempt.DeepCopy()
	stored.Spec.Exempt.NominalConcurrencyShares = ptr.To[int32](9)
	if object.Reconcile(stored) || *stored.Spec.Exempt.NominalConcurrencyShares != 9 {
		t.Errorf("they were changed: %+v", stored.Spec.Exempt)
	}
	stored.Spec.Exempt = nil
	if !object.Reconcile(stored) || stored.Spec.Exempt == nil {
		t.Error("a level without them stays so")
	}
}

// schemaStore is a storage of FlowSchemas in memory, with the methods that bootstrap objects need.
type schemaStore struct {
	rest.Storage
	mu      sync.Mutex
	objects map[string]*flowcontrolv1.FlowSchema
}

func (s *schemaStore) Get(_ context.Context, name string, _ *metav1.GetOptions) (runtime.Object, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if object, ok := s.objects[name]; ok {
		return object.DeepCopy(), nil
	}
	return nil, apierrors.NewNotFound(flowcontrolv1.Resource("flowschemas"), name)
}

func (s *schemaStore) Create(_ context.Context, obj runtime.Object, _ rest.ValidateObjectFunc, _ *metav1.CreateOptions) (runtime.Object, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.objects[obj.(*flowcontrolv1.FlowSchema).Name] = obj.(*flowcontrolv1.FlowSchema)
	return obj, nil
}

func (s *schemaStore) Update(context.Context, string, rest.UpdatedObjectInfo, rest.ValidateObjectFunc, rest.ValidateObjectUpdateFunc, bool, *metav1.UpdateOptions) (runtime.Object, bool, error) {
	return nil, false, errors.New("nothing is to be updated")
}

// has reports whether the object exists, after it has taken it away if it is to.
func (s *schemaStore) has(name string, take bool) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, found := s.objects[name]
	if take {
		delete(s.objects, name)
	}
	return found
}

func TestADeletedObjectIsCreatedWithoutATick(t *testing.T) {
	object := flowControlObject(t, "flowschemas", "global-default")
	store := &schemaStore{objects: map[string]*flowcontrolv1.FlowSchema{}}
	maintainer := &flowControlMaintainer{
		server:  &Server{storages: map[schema.GroupResource]rest.Storage{object.Resource: store}},
		caches:  map[schema.GroupResource]cache.SharedIndexInformer{object.Resource: cache.NewSharedIndexInformer(&cache.ListWatch{}, &flowcontrolv1.FlowSchema{}, 0, nil)},
		objects: []BootstrapObject{object}, deleted: make(chan struct{}, 1),
	}
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { maintainer.loop(ctx, nil) })
	defer running.Wait()
	defer cancel()
	kit.Eventually(t, "it is created at the start", func(context.Context) bool { return store.has("global-default", false) })
	store.has("global-default", true)
	maintainer.noteDeletion(nil)
	maintainer.noteDeletion(nil)
	kit.Eventually(t, "it is created after the deletion", func(context.Context) bool { return store.has("global-default", false) })
}

// failingFlowSchemas counts writes of a status, which fail.
type failingFlowSchemas struct {
	flowcontrolclient.FlowSchemaInterface
	writes int
}

func (s *failingFlowSchemas) ApplyStatus(context.Context, *applyflowcontrolv1.FlowSchemaApplyConfiguration, metav1.ApplyOptions) (*flowcontrolv1.FlowSchema, error) {
	s.writes++
	return nil, errors.New("connection refused")
}

func TestAServerThatStopsWritesNoStatus(t *testing.T) {
	serving, stop := context.WithCancel(t.Context())
	failing := &failingFlowSchemas{}
	schemas := servingFlowSchemas{failing, serving}
	if _, err := schemas.ApplyStatus(t.Context(), nil, metav1.ApplyOptions{}); err == nil || failing.writes != 1 {
		t.Errorf("a server that serves made %d writes: %v", failing.writes, err)
	}
	stop()
	if _, err := schemas.ApplyStatus(t.Context(), nil, metav1.ApplyOptions{}); err != nil || failing.writes != 1 {
		t.Errorf("a server that stops made %d writes: %v", failing.writes, err)
	}
}

// deletions is a storage that records what is deleted.
type deletions struct {
	rest.Storage
	deleted []string
	err     error
}

func (d *deletions) Delete(_ context.Context, name string, _ rest.ValidateObjectFunc, options *metav1.DeleteOptions) (runtime.Object, bool, error) {
	d.deleted = append(d.deleted, name+" "+string(*options.Preconditions.UID)+" "+*options.Preconditions.ResourceVersion)
	return nil, true, d.err
}

func TestOnlyObjectsThatAreNoLongerSuggestedAreRemoved(t *testing.T) {
	resource := flowcontrolv1.Resource("flowschemas")
	informer := cache.NewSharedIndexInformer(&cache.ListWatch{}, &flowcontrolv1.FlowSchema{}, 0, nil)
	for name, annotation := range map[string]string{"global-default": "true", "former": "true", "kept": "false", "unclear": "maybe", "own": ""} {
		object := &flowcontrolv1.FlowSchema{ObjectMeta: metav1.ObjectMeta{Name: name, UID: "u", ResourceVersion: "7"}}
		if annotation != "" {
			object.Annotations = map[string]string{flowcontrolv1.AutoUpdateAnnotationKey: annotation}
		}
		if err := informer.GetStore().Add(object); err != nil {
			t.Fatal(err)
		}
	}
	for name, err := range map[string]error{
		"at once":                         nil,
		"unless another server was first": apierrors.NewNotFound(resource, "former"),
		"unless it has changed since":     apierrors.NewConflict(resource, "former", nil),
	} {
		t.Run(name, func(t *testing.T) {
			store := &deletions{err: err}
			maintainer := &flowControlMaintainer{
				server:  &Server{storages: map[schema.GroupResource]rest.Storage{resource: store}},
				caches:  map[schema.GroupResource]cache.SharedIndexInformer{resource: informer},
				objects: flowControlObjects(nil),
			}
			if err := maintainer.removeOthers(t.Context()); err != nil {
				t.Error(err)
			}
			if !slices.Equal(store.deleted, []string{"former u 7"}) {
				t.Errorf("deleted %q", store.deleted)
			}
		})
	}
}
