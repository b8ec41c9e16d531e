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

package registrytest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/apiserver/pkg/registry/rest/resttest"

	"github.com/gatehouse-dev/gatehouse/pkg/registry/base"
)

// Suite is k8s.io/apiserver's own suite for a storage: about forty checks of create,
// update, delete, get, list and watch, including dry run, preconditions and namespaces.
// The library connects it to a store in pkg/registry/generic/testing, which
// depends on testify; this type connects it without that dependency.
type Suite struct {
	tester *resttest.Tester
	// storage is what is tested, and store what it is built of.
	storage Storage
	store   *base.Store
}

// NewSuite tests a storage. The suite leaves objects behind: each method needs its own storage.
func NewSuite(t *testing.T, scheme *runtime.Scheme, storage Storage) *Suite {
	t.Helper()
	store := storage.Base()
	awaitReady(t, store)
	resource := store.DefaultQualifiedResource
	// Declarative validation takes the version of its rules from the request info.
	info := &request.RequestInfo{
		APIGroup:   resource.Group,
		APIVersion: scheme.PrioritizedVersionsForGroup(resource.Group)[0].Version,
		Resource:   resource.Resource,
	}
	tester := resttest.New(t, storage).ReturnDeletedObject()
	tester.SetRequestInfo(info)
	if !store.NamespaceScoped() {
		tester = tester.ClusterScope()
	}
	return &Suite{tester: tester, storage: storage, store: store}
}

// Refused is an object that a create refuses.
type Refused struct {
	Object runtime.Object
	// Fields are all fields that the error names, in alphabetical order.
	Fields []string
}

// RefusedChange is a change that an update refuses.
type RefusedChange struct {
	Change func(runtime.Object)
	Fields []string
}

// Create tries the verb with a valid object and with some that are not.
func (s *Suite) Create(valid runtime.Object, invalid ...Refused) {
	s.tester.Helper()
	var objects []runtime.Object
	for i, refused := range invalid {
		_, err := s.storage.Create(s.tester.TestContext(), refused.Object.DeepCopyObject(), rest.ValidateAllObjectFunc, &metav1.CreateOptions{})
		s.checkFields(fmt.Sprintf("a create of object %d", i), err, refused.Fields)
		objects = append(objects, refused.Object)
	}
	s.tester.TestCreate(valid, s.put, s.get, objects...)
}

// Update tests the verb with a valid change, and with invalid ones.
func (s *Suite) Update(valid runtime.Object, change func(runtime.Object), invalid ...RefusedChange) {
	s.tester.Helper()
	returning := func(change func(runtime.Object)) resttest.UpdateFunc {
		return func(obj runtime.Object) runtime.Object {
			change(obj)
			return obj
		}
	}
	ctx := s.tester.TestContext()
	stored := valid.DeepCopyObject()
	if err := s.put(ctx, stored); err != nil {
		s.tester.Fatalf("storing %s: %v", accessor(stored).GetName(), err)
	}
	var wrong []resttest.UpdateFunc
	for i, refused := range invalid {
		// The library's own check updates without a resource version, which is refused as well.
		changed, err := s.get(ctx, stored)
		if err != nil {
			s.tester.Fatalf("reading %s: %v", accessor(stored).GetName(), err)
		}
		changed = changed.DeepCopyObject()
		refused.Change(changed)
		_, _, err = s.storage.Update(ctx, accessor(stored).GetName(), rest.DefaultUpdatedObjectInfo(changed), rest.ValidateAllObjectFunc, rest.ValidateAllObjectUpdateFunc, false, &metav1.UpdateOptions{})
		s.checkFields(fmt.Sprintf("an update with change %d", i), err, refused.Fields)
		wrong = append(wrong, returning(refused.Change))
	}
	s.tester.TestUpdate(valid, s.put, s.get, returning(change), wrong...)
}

// RefusedFields returns the fields that an error of an invalid object names, sorted and each once; none
// for any other error.
func RefusedFields(err error) []string {
	var status apierrors.APIStatus
	if !apierrors.IsInvalid(err) || !errors.As(err, &status) || status.Status().Details == nil {
		return nil
	}
	var fields []string
	for _, cause := range status.Status().Details.Causes {
		fields = append(fields, cause.Field)
	}
	slices.Sort(fields)
	return slices.Compact(fields)
}

// refuses reports whether an error of an invalid object names this field and no other.
func refuses(err error, field string) bool { return slices.Equal(RefusedFields(err), []string{field}) }

// checkFields compares the fields that an error names.
func (s *Suite) checkFields(what string, err error, want []string) {
	s.tester.Helper()
	if got := RefusedFields(err); len(want) == 0 || !slices.Equal(got, want) {
		s.tester.Errorf("%s: the error names the fields %q, want %q: %v", what, got, want, err)
	}
}

// Delete tests the verb with an object that is removed at once.
func (s *Suite) Delete(valid runtime.Object) {
	s.tester.TestDelete(valid, s.put, s.get, apierrors.IsNotFound)
}

// DeleteGracefully tests the verb with an object that has a grace period.
func (s *Suite) DeleteGracefully(valid runtime.Object, seconds int64) {
	s.tester.TestDeleteGraceful(valid, s.put, s.get, seconds)
}

// Get tests the verb.
func (s *Suite) Get(valid runtime.Object) { s.tester.TestGet(valid) }

// List tests the verb, and the table that kubectl prints.
func (s *Suite) List(valid runtime.Object) { s.tester.TestList(valid, s.replaceAll) }

// Watch tests the verb with selectors that match the object, and with some that do not.
func (s *Suite) Watch(valid runtime.Object, labelsMatch, labelsDiffer []labels.Set, fieldsMatch, fieldsDiffer []fields.Set) {
	s.tester.TestWatch(valid, s.emit, labelsMatch, labelsDiffer, fieldsMatch, fieldsDiffer, []string{"create", "delete"})
}

// put stores an object unchanged, without the strategy.
func (s *Suite) put(ctx context.Context, obj runtime.Object) error {
	key, err := s.store.KeyFunc(ctx, accessor(obj).GetName())
	if err != nil {
		return err
	}
	return s.store.Storage.Create(ctx, key, obj, nil, 0, false)
}

func (s *Suite) get(ctx context.Context, obj runtime.Object) (runtime.Object, error) {
	return s.store.Get(ctx, accessor(obj).GetName(), &metav1.GetOptions{})
}

// replaceAll replaces all objects, and returns the new ones as stored.
func (s *Suite) replaceAll(objects []runtime.Object) []runtime.Object {
	ctx := s.tester.TestContext()
	if _, err := s.store.DeleteCollection(ctx, rest.ValidateAllObjectFunc, nil, nil); err != nil {
		s.tester.Errorf("emptying the storage: %v", err)
	}
	for i, obj := range objects {
		if err := s.put(ctx, obj); err != nil {
			s.tester.Errorf("storing %s: %v", accessor(obj).GetName(), err)
			continue
		}
		stored, err := s.get(ctx, obj)
		if err != nil {
			s.tester.Errorf("reading %s: %v", accessor(obj).GetName(), err)
			continue
		}
		objects[i] = stored
	}
	return objects
}

func (s *Suite) emit(obj runtime.Object, action string) error {
	ctx := s.tester.TestContext()
	switch action {
	case "create":
		return s.put(ctx, obj)
	case "delete":
		_, _, err := s.storage.Delete(ctx, accessor(obj).GetName(), rest.ValidateAllObjectFunc, nil)
		return err
	}
	return fmt.Errorf("the suite uses an unknown action %q", action)
}
