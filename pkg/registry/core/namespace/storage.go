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

package namespace

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	genericregistry "k8s.io/apiserver/pkg/registry/generic/registry"
	"k8s.io/apiserver/pkg/registry/rest"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/core"
	"github.com/gatehouse-dev/gatehouse/pkg/registry/base"
)

// Storage holds every endpoint of namespaces.
type Storage struct {
	Namespace *REST
	Status    *base.StatusREST
	Finalize  *FinalizeREST
}

// REST is the resource itself. As in Kubernetes, namespaces have no deletecollection: the second
// embedded type has a method of the same name, so that REST has none.
type REST struct {
	*base.Store
	noDeleteCollection
}

// noDeleteCollection has a method that is never called: at the same depth as the store's it hides
// both. Its value is never set.
type noDeleteCollection interface{ DeleteCollection() }

// FinalizeREST is the endpoint of the finalizers in the spec.
type FinalizeREST struct{ below *base.StatusREST }

var (
	_ rest.Updater             = &FinalizeREST{}
	_ rest.ResetFieldsStrategy = &FinalizeREST{}
)

// NewStorage builds the storage of namespaces and of the endpoints below them.
func NewStorage(scheme *runtime.Scheme, opts base.StorageOptions) (*Storage, error) {
	main := strategy{base.NewBuiltinStrategy(scheme, false, base.UnconditionalUpdate)}
	store, err := base.NewStore(base.Resource{
		Resource:   core.Resource("namespaces"),
		Singular:   core.Resource("namespace"),
		ShortNames: []string{"ns"},
		Versions:   []schema.GroupVersion{corev1.SchemeGroupVersion},
		New:        func() runtime.Object { return &corev1.Namespace{} },
		NewList:    func() runtime.Object { return &corev1.NamespaceList{} },
		Strategy:   main,
		SelectableFields: func(obj runtime.Object, set fields.Set) error {
			set[core.NamespacePhaseField] = string(obj.(*corev1.Namespace).Status.Phase)
			return nil
		},
		ShouldDeleteDuringUpdate: shouldDelete,
		Table: base.Table(
			base.NameColumn[*corev1.Namespace](),
			base.Column[*corev1.Namespace]{Name: "Status", Description: "Active, or Terminating while the namespace is being deleted.", Value: func(n *corev1.Namespace) any { return string(n.Status.Phase) }},
			base.AgeColumn[*corev1.Namespace](),
		),
	}, opts)
	if err != nil {
		return nil, err
	}
	return &Storage{
		Namespace: &REST{Store: store, noDeleteCollection: nil},
		Status:    store.NewStatusREST(statusStrategy{main}),
		Finalize:  &FinalizeREST{store.NewStatusREST(finalizeStrategy{main})},
	}, nil
}

// shouldDelete reports whether a write removes the namespace: no finalizer is left in the spec and the
// metadata.
func shouldDelete(ctx context.Context, key string, obj, existing runtime.Object) bool {
	return len(obj.(*corev1.Namespace).Spec.Finalizers) == 0 && genericregistry.ShouldDeleteDuringUpdate(ctx, key, obj, existing)
}

// New returns an empty namespace.
func (r *FinalizeREST) New() runtime.Object { return r.below.New() }

// Destroy does nothing: the resource's own storage closes what both share.
func (r *FinalizeREST) Destroy() {}

// Update writes the finalizers. It never creates.
func (r *FinalizeREST) Update(ctx context.Context, name string, objInfo rest.UpdatedObjectInfo, createValidation rest.ValidateObjectFunc, updateValidation rest.ValidateObjectUpdateFunc, force bool, options *metav1.UpdateOptions) (runtime.Object, bool, error) {
	return r.below.Update(ctx, name, objInfo, createValidation, updateValidation, force, options)
}

// GetResetFields returns the fields that a write to the endpoint leaves unchanged.
func (r *FinalizeREST) GetResetFields() map[fieldpath.APIVersion]*fieldpath.Set {
	return r.below.GetResetFields()
}
