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

package instance

import (
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	genericregistry "k8s.io/apiserver/pkg/registry/generic/registry"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/apiserver/pkg/storage"
	storeerr "k8s.io/apiserver/pkg/storage/errors"
	"k8s.io/apiserver/pkg/util/dryrun"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet"
	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/validation"
)

// BindingREST is the binding endpoint of instances: only creating a Binding there sets spec.hostName,
// as for pods (pkg/registry/core/pod/storage in Kubernetes).
type BindingREST struct {
	store *genericregistry.Store
	hosts rest.Getter
}

var (
	_ rest.NamedCreater                   = &BindingREST{}
	_ rest.SubresourceObjectMetaPreserver = &BindingREST{}
)

// New returns an empty Binding.
func (r *BindingREST) New() runtime.Object { return &fleet.Binding{} }

// Destroy does nothing: the instances' own storage closes what both share.
func (r *BindingREST) Destroy() {}

// NamespaceScoped is true, as for instances.
func (r *BindingREST) NamespaceScoped() bool { return r.store.NamespaceScoped() }

// PreserveRequestObjectMetaSystemFieldsOnSubresourceCreate keeps the Binding's uid and
// resourceVersion: they are preconditions on the instance.
func (r *BindingREST) PreserveRequestObjectMetaSystemFieldsOnSubresourceCreate() bool { return true }

// Create binds the named instance to the Binding's host. Of two concurrent bindings of the same
// instance one gets 201 and the other 409. A host that does not exist is a 422; the host lifecycle
// controller handles a host that is deleted after this check.
func (r *BindingREST) Create(ctx context.Context, name string, obj runtime.Object, createValidation rest.ValidateObjectFunc, options *metav1.CreateOptions) (runtime.Object, error) {
	binding, ok := obj.(*fleet.Binding)
	if !ok {
		return nil, apierrors.NewBadRequest(fmt.Sprintf("not a Binding: %T", obj))
	}
	if binding.Name != "" && binding.Name != name {
		return nil, apierrors.NewBadRequest(fmt.Sprintf("metadata.name of the Binding is %q, but the URL names the instance %q", binding.Name, name))
	}
	binding.Name = name
	if errs := validation.ValidateBinding(binding); len(errs) > 0 {
		return nil, apierrors.NewInvalid(fleet.Kind("Binding"), name, errs)
	}
	if createValidation != nil {
		if err := createValidation(ctx, binding.DeepCopyObject()); err != nil {
			return nil, err
		}
	}
	if _, err := r.hosts.Get(ctx, binding.Target.Name, &metav1.GetOptions{}); apierrors.IsNotFound(err) {
		return nil, apierrors.NewInvalid(fleet.Kind("Binding"), name, field.ErrorList{
			field.NotFound(field.NewPath("target", "name"), binding.Target.Name),
		})
	} else if err != nil {
		return nil, err
	}
	if err := r.bind(ctx, binding, dryrun.IsDryRun(options.DryRun)); err != nil {
		return nil, err
	}
	return &metav1.Status{Status: metav1.StatusSuccess}, nil
}

// bind sets the host in one write with preconditions.
func (r *BindingREST) bind(ctx context.Context, binding *fleet.Binding, dryRun bool) error {
	key, err := r.store.KeyFunc(ctx, binding.Name)
	if err != nil {
		return err
	}
	preconditions := &storage.Preconditions{}
	if binding.UID != "" {
		preconditions.UID = &binding.UID
	}
	if binding.ResourceVersion != "" {
		preconditions.ResourceVersion = &binding.ResourceVersion
	}
	err = r.store.Storage.GuaranteedUpdate(ctx, key, &fleet.Instance{}, false, preconditions, storage.SimpleUpdate(func(obj runtime.Object) (runtime.Object, error) {
		instance, ok := obj.(*fleet.Instance)
		if !ok {
			return nil, fmt.Errorf("%T is no Instance", obj)
		}
		switch {
		case instance.DeletionTimestamp != nil:
			return nil, r.conflict(binding, "is being deleted and cannot be bound")
		case instance.Spec.HostName != "":
			return nil, r.conflict(binding, fmt.Sprintf("is already bound to host %q", instance.Spec.HostName))
		case instance.Status.Phase.Ended():
			return nil, r.conflict(binding, fmt.Sprintf("has terminated (%s) and cannot be bound: delete it and create another", instance.Status.Phase))
		}
		instance.Spec.HostName = binding.Target.Name
		instance.Generation++
		for name, value := range binding.Annotations {
			metav1.SetMetaDataAnnotation(&instance.ObjectMeta, name, value)
		}
		// The annotations of the instance and of the Binding may be too large together.
		if errs := apivalidation.ValidateAnnotations(instance.Annotations, field.NewPath("metadata", "annotations")); len(errs) > 0 {
			return nil, apierrors.NewInvalid(fleet.Kind("Binding"), binding.Name, errs)
		}
		apimeta.SetStatusCondition(&instance.Status.Conditions, metav1.Condition{
			Type:               fleet.InstanceConditionScheduled,
			Status:             metav1.ConditionTrue,
			Reason:             "Bound",
			Message:            "bound to host " + binding.Target.Name,
			ObservedGeneration: instance.Generation,
		})
		return instance, nil
	}), dryRun, nil)
	err = storeerr.InterpretGetError(err, r.store.DefaultQualifiedResource, binding.Name)
	return storeerr.InterpretUpdateError(err, r.store.DefaultQualifiedResource, binding.Name)
}

func (r *BindingREST) conflict(binding *fleet.Binding, why string) error {
	return apierrors.NewConflict(fleet.Resource("instances/binding"), binding.Name, fmt.Errorf("instance %q %s", binding.Name, why))
}
