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
	"fmt"
	"reflect"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/internalversion"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/registry/rest"

	"github.com/gatehouse-dev/gatehouse/pkg/registry/base"
)

// create stores the resource's sample under the name.
func (c *contract) create(t *testing.T, r Resource, storage Storage, name string, change ...func(runtime.Object)) runtime.Object {
	t.Helper()
	obj := r.named(name)
	for _, f := range change {
		f(obj)
	}
	created, err := storage.Create(c.context(r, "", "create"), obj, rest.ValidateAllObjectFunc, &metav1.CreateOptions{})
	if err != nil {
		t.Fatalf("creating %s: %v", name, err)
	}
	return created
}

// write writes a changed copy of the object to the resource, or to an endpoint below it.
func (c *contract) write(t *testing.T, r Resource, subresource string, obj runtime.Object, change func(runtime.Object)) runtime.Object {
	t.Helper()
	path := r.Name
	if subresource != "" {
		path += "/" + subresource
	}
	changed := obj.DeepCopyObject()
	change(changed)
	written, _, err := c.storages[path].(rest.Updater).Update(c.context(r, subresource, "update"), accessor(obj).GetName(),
		rest.DefaultUpdatedObjectInfo(changed), rest.ValidateAllObjectFunc, rest.ValidateAllObjectUpdateFunc, false, &metav1.UpdateOptions{})
	if err != nil {
		t.Fatalf("writing %s: %v", path, err)
	}
	return written
}

func (c *contract) fill(value reflect.Value) { c.filler.Fill(value.Addr().Interface()) }

// equal compares parts of objects.
func equal(t *testing.T, what string, got, want any) {
	t.Helper()
	if !apiequality.Semantic.DeepEqual(got, want) {
		t.Errorf("%s (-want +got):\n%s", what, cmp.Diff(want, got))
	}
}

// initialStatus returns the expected status of a new object.
func (r Resource) initialStatus() any {
	if r.InitialStatus != nil {
		return r.InitialStatus
	}
	status, _ := statusOf(r.Sample())
	return reflect.Zero(status.Type()).Interface()
}

// withoutTimes returns the status of a new object without the times of its conditions, and fails the test
// if a condition has no time of its last transition.
func withoutTimes(t *testing.T, status reflect.Value) any {
	t.Helper()
	copied := reflect.New(status.Type()).Elem()
	copied.Set(status)
	if field := copied.FieldByName("Conditions"); field.IsValid() {
		conditions, ok := field.Interface().([]metav1.Condition)
		if !ok || len(conditions) == 0 {
			return copied.Interface()
		}
		conditions = slices.Clone(conditions)
		for i := range conditions {
			if conditions[i].LastTransitionTime.IsZero() {
				t.Errorf("the condition %s of a new object has no time", conditions[i].Type)
			}
			conditions[i].LastTransitionTime = metav1.Time{}
		}
		field.Set(reflect.ValueOf(conditions))
	}
	return copied.Interface()
}

func (c *contract) checkCreate(t *testing.T, r Resource, storage Storage) {
	for i := range fills {
		name := fmt.Sprintf("created-%d", i)
		created := c.create(t, r, storage, name, func(obj runtime.Object) {
			accessor(obj).SetGeneration(77)
			if status, ok := statusOf(obj); ok && i > 0 { // the first one has the sample's
				c.fill(status)
			}
		})
		if got := accessor(created).GetGeneration(); !r.NoGeneration && got != 1 {
			t.Errorf("the generation of a new object is %d, want 1", got)
		}
		if status, ok := statusOf(created); ok {
			equal(t, "a create set the status", withoutTimes(t, status), r.initialStatus())
		}
	}
}

func (c *contract) checkUpdate(t *testing.T, r Resource, storage Storage) {
	if _, ok := statusOf(r.Sample()); !ok {
		return
	}
	obj := c.withStatus(t, r, storage, "updated")
	before, _ := statusOf(obj)
	for i := range fills {
		written := c.write(t, r, "", obj, func(obj runtime.Object) {
			status, _ := statusOf(obj)
			c.fill(status)
			accessor(obj).SetLabels(map[string]string{"write": fmt.Sprint(i)})
		})
		status, _ := statusOf(written)
		equal(t, "a write set the status", status.Interface(), before.Interface())
		if got := accessor(written).GetLabels()["write"]; got != fmt.Sprint(i) {
			t.Errorf("a write did not set the label: got %q, want %d", got, i)
		}
		obj = written
	}
}

// withStatus creates an object and gives it the sample's status.
func (c *contract) withStatus(t *testing.T, r Resource, storage Storage, name string) runtime.Object {
	t.Helper()
	written := c.write(t, r, "status", c.create(t, r, storage, name), func(obj runtime.Object) {
		status, _ := statusOf(obj)
		sample, _ := statusOf(r.Sample())
		status.Set(sample)
	})
	got, _ := statusOf(written)
	want, _ := statusOf(r.Sample())
	equal(t, "a write to the status endpoint did not set the status", got.Interface(), want.Interface())
	if reflect.DeepEqual(want.Interface(), r.initialStatus()) {
		t.Fatalf("the sample of %s has the status of a new object: give it more, or nothing is proved", r.Name)
	}
	return written
}

func (c *contract) checkGeneration(t *testing.T, r Resource, storage Storage) {
	obj := c.create(t, r, storage, "counted")
	generation := func(what string, obj runtime.Object, want int64) {
		t.Helper()
		if r.NoGeneration {
			want = 0
		}
		if got := accessor(obj).GetGeneration(); got != want {
			t.Errorf("%s: the generation is %d, want %d", what, got, want)
		}
	}
	same := c.write(t, r, "", obj, func(runtime.Object) {})
	generation("a write without a change", same, 1)
	if accessor(same).GetResourceVersion() != accessor(obj).GetResourceVersion() {
		t.Error("a write without a change made a new revision")
	}
	obj = c.write(t, r, "", obj, func(obj runtime.Object) { accessor(obj).SetAnnotations(map[string]string{"a": "b"}) })
	generation("a write to the metadata", obj, 1)
	obj = c.write(t, r, "", obj, func(obj runtime.Object) { accessor(obj).SetGeneration(77) })
	generation("a write of the generation itself", obj, 1)

	if r.ChangeSpec == nil {
		return
	}
	old := obj
	obj = c.write(t, r, "", obj, r.ChangeSpec)
	generation("a write to the spec", obj, 2)
	if spec, ok := specOf(obj); ok {
		oldSpec, _ := specOf(old)
		if apiequality.Semantic.DeepEqual(spec.Interface(), oldSpec.Interface()) {
			t.Error("ChangeSpec changed nothing")
		}
	}
	obj = c.write(t, r, "", obj, func(runtime.Object) {})
	generation("the same spec once more", obj, 2)
	if _, ok := statusOf(obj); ok {
		obj = c.write(t, r, "status", obj, func(obj runtime.Object) {
			status, _ := statusOf(obj)
			sample, _ := statusOf(r.Sample())
			status.Set(sample)
			accessor(obj).SetGeneration(77)
		})
		generation("a write to the status", obj, 2)
	}
}

func (c *contract) checkStatusUpdate(t *testing.T, r Resource, storage Storage) {
	if _, ok := statusOf(r.Sample()); !ok {
		return
	}
	yes := true
	obj := c.create(t, r, storage, "reported", func(obj runtime.Object) {
		accessor(obj).SetLabels(map[string]string{"kept": "yes"})
		accessor(obj).SetAnnotations(map[string]string{"kept": "yes"})
		accessor(obj).SetOwnerReferences([]metav1.OwnerReference{{APIVersion: "v1", Kind: "Kept", Name: "kept", UID: "kept"}})
	})
	for range fills {
		written := c.write(t, r, "status", obj, func(obj runtime.Object) {
			metadata := accessor(obj)
			metadata.SetLabels(map[string]string{"stolen": "yes"})
			metadata.SetAnnotations(map[string]string{"stolen": "yes"})
			if !r.StatusWritesMetadata {
				metadata.SetFinalizers([]string{"example.com/stolen"})
				metadata.SetOwnerReferences([]metav1.OwnerReference{{APIVersion: "v1", Kind: "Stolen", Name: "stolen", UID: "stolen", Controller: &yes}})
				now := metav1.Now()
				metadata.SetDeletionTimestamp(&now)
			}
			metadata.SetGeneration(77)
			metadata.SetGenerateName("stolen-")
			if spec, ok := specOf(obj); ok {
				c.fill(spec)
			}
			status, _ := statusOf(obj)
			sample, _ := statusOf(r.Sample())
			status.Set(sample)
		})
		spec, ok := specOf(written)
		if want, _ := specOf(obj); ok {
			equal(t, "a write to the status endpoint set the spec", spec.Interface(), want.Interface())
		}
		got, want := metadataOf(written), metadataOf(obj)
		want.ResourceVersion = got.ResourceVersion
		if r.StatusWritesMetadata {
			// This endpoint cannot change other immutable metadata either.
			want.Labels, want.Annotations = map[string]string{"stolen": "yes"}, map[string]string{"stolen": "yes"}
			want.Generation, want.GenerateName = got.Generation, got.GenerateName
			delete(got.Labels, corev1.LabelMetadataName) // a default
		}
		equal(t, "a write to the status endpoint set metadata", got, want)
		obj = written
	}
}

// metadataOf copies the metadata without managedFields, which change with the status.
func metadataOf(obj runtime.Object) metav1.ObjectMeta {
	value, _ := part(obj, "ObjectMeta")
	metadata := *value.Addr().Interface().(*metav1.ObjectMeta).DeepCopy()
	metadata.ManagedFields = nil
	return metadata
}

func (c *contract) checkNeverCreates(t *testing.T, r Resource, storage Storage) {
	const name = "never-created"
	absent := func(what string, err error) {
		t.Helper()
		if !apierrors.IsNotFound(err) {
			t.Errorf("%s of what does not exist: got %v, want NotFound", what, err)
		}
		if _, err := storage.Get(c.context(r, "", "get"), name, &metav1.GetOptions{}); !apierrors.IsNotFound(err) {
			t.Errorf("%s created an object (%v)", what, err)
		}
	}
	update := func(ctx context.Context, updater rest.Updater, force bool) error {
		body := r.named(name)
		if reflect.TypeOf(updater.New()) != reflect.TypeOf(body) {
			body = updater.New() // the endpoint has another kind
		}
		_, created, err := updater.Update(ctx, name, rest.DefaultUpdatedObjectInfo(body), rest.ValidateAllObjectFunc, rest.ValidateAllObjectUpdateFunc, force, &metav1.UpdateOptions{})
		if created {
			t.Error("an update reports that it created an object")
		}
		return err
	}
	for _, s := range r.Subresources {
		below := c.storages[r.Name+"/"+s.Name]
		if updater, ok := below.(rest.Updater); ok {
			absent("an update of "+s.Name, update(c.context(r, s.Name, "update"), updater, false))
			absent("an apply to "+s.Name, update(c.context(r, s.Name, "patch"), updater, true))
		}
		if creater, ok := below.(rest.NamedCreater); ok {
			if s.Body == nil {
				t.Errorf("%s/%s can be created: give its Subresource a Body, valid for an object that does not exist", r.Name, s.Name)
				continue
			}
			_, err := creater.Create(c.context(r, s.Name, "create"), name, s.Body(), rest.ValidateAllObjectFunc, &metav1.CreateOptions{})
			absent("a create of "+s.Name, err)
		}
	}
	// A forced update does create the resource: this is how apply works.
	if !r.CreateByPut {
		absent("an update", update(c.context(r, "", "update"), storage, false))
		return
	}
	_, created, err := storage.Update(c.context(r, "", "update"), name, rest.DefaultUpdatedObjectInfo(r.named(name)), rest.ValidateAllObjectFunc, rest.ValidateAllObjectUpdateFunc, false, &metav1.UpdateOptions{})
	if err != nil || !created {
		t.Errorf("a PUT to a name that does not exist: created %v, %v", created, err)
	}
}

// checkRefusals checks the refusals of base.Store for every resource, because a resource can override a
// method and omit the call of the base's method.
func (c *contract) checkRefusals(t *testing.T, r Resource, storage Storage) {
	obj := c.create(t, r, storage, "refused")
	name := accessor(obj).GetName()
	for _, policy := range []metav1.DeletionPropagation{metav1.DeletePropagationForeground, metav1.DeletePropagationOrphan} {
		ctx := c.context(r, "", "delete")
		if _, _, err := storage.Delete(ctx, name, rest.ValidateAllObjectFunc, &metav1.DeleteOptions{PropagationPolicy: &policy}); !refuses(err, "propagationPolicy") {
			t.Errorf("delete with propagation %s, which needs a garbage collector: got %v, want propagationPolicy refused", policy, err)
		}
		collection, ok := storage.(rest.CollectionDeleter)
		if !ok {
			continue
		}
		if _, err := collection.DeleteCollection(ctx, rest.ValidateAllObjectFunc, &metav1.DeleteOptions{PropagationPolicy: &policy}, &internalversion.ListOptions{}); !refuses(err, "propagationPolicy") {
			t.Errorf("delete of all with propagation %s, which needs a garbage collector: got %v, want propagationPolicy refused", policy, err)
		}
	}
	if _, err := storage.Get(c.context(r, "", "get"), name, &metav1.GetOptions{}); err != nil {
		t.Errorf("a refused delete deleted: %v", err)
	}
	if r.WatchIndex != "" {
		ctx, cancel := context.WithCancel(c.context(r, "", "watch"))
		defer cancel()
		initial := true
		options := &internalversion.ListOptions{
			Watch: true, SendInitialEvents: &initial, ResourceVersionMatch: metav1.ResourceVersionMatchNotOlderThan, AllowWatchBookmarks: true,
			FieldSelector: fields.OneTermEqualSelector(r.WatchIndex, "value"),
		}
		if _, err := storage.Base().Watch(base.StreamRequested(ctx), options); !refuses(err, "sendInitialEvents") {
			t.Errorf("a stream of initial events of %s=value, which a client requested: got %v, want sendInitialEvents refused", r.WatchIndex, err)
		}
		// The library sets the option on every watch without a resourceVersion.
		if watcher, err := storage.Base().Watch(ctx, options); err != nil {
			t.Errorf("a watch of %s=value without a resourceVersion: %v", r.WatchIndex, err)
		} else {
			watcher.Stop()
		}
	}
	// Without a resourceVersion an update could overwrite a concurrent change.
	unconditional := obj.DeepCopyObject()
	accessor(unconditional).SetResourceVersion("")
	_, _, err := storage.Update(c.context(r, "", "update"), name, rest.DefaultUpdatedObjectInfo(unconditional), rest.ValidateAllObjectFunc, rest.ValidateAllObjectUpdateFunc, false, &metav1.UpdateOptions{})
	switch {
	case r.Unconditional && err != nil:
		t.Errorf("an update without resourceVersion, which this kind allows: %v", err)
	case !r.Unconditional && !refuses(err, "metadata.resourceVersion"):
		t.Errorf("an update without resourceVersion: got %v, want metadata.resourceVersion refused", err)
	}
}
