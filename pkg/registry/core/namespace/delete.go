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
	"errors"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/apiserver/pkg/storage"
	storeerr "k8s.io/apiserver/pkg/storage/errors"
	"k8s.io/apiserver/pkg/util/dryrun"
)

// Delete first sets the namespace to Terminating: admission refuses creates in it, and the namespace
// controller deletes its objects. The write that removes the last finalizer removes the namespace,
// and so does a later DELETE if no finalizer is left.
func (r *REST) Delete(ctx context.Context, name string, validate rest.ValidateObjectFunc, options *metav1.DeleteOptions) (runtime.Object, bool, error) {
	if err := r.CheckPropagation(options); err != nil {
		return nil, false, err
	}
	obj, err := r.Get(ctx, name, &metav1.GetOptions{})
	if err != nil {
		return nil, false, err
	}
	namespace := obj.(*corev1.Namespace)
	if options == nil {
		options = metav1.NewDeleteOptions(0)
	}
	options = options.DeepCopy()
	if options.Preconditions == nil {
		options.Preconditions = &metav1.Preconditions{}
	}
	if options.Preconditions.UID == nil {
		// A namespace of the same name that is created meanwhile must not be deleted.
		options.Preconditions.UID = &namespace.UID
	}
	if namespace.DeletionTimestamp.IsZero() {
		closed, err := r.close(ctx, name, validate, options)
		return closed, false, err
	}
	if len(namespace.Spec.Finalizers) > 0 {
		if err := validate(ctx, namespace); err != nil {
			return nil, false, err
		}
		if err := checkPreconditions(options.Preconditions, namespace); err != nil {
			return nil, false, err
		}
		return namespace, false, nil
	}
	return r.Store.Delete(ctx, name, validate, options)
}

// close sets the namespace to Terminating.
func (r *REST) close(ctx context.Context, name string, validate rest.ValidateObjectFunc, options *metav1.DeleteOptions) (runtime.Object, error) {
	key, err := r.KeyFunc(ctx, name)
	if err != nil {
		return nil, err
	}
	preconditions := &storage.Preconditions{UID: options.Preconditions.UID, ResourceVersion: options.Preconditions.ResourceVersion}
	out := r.NewFunc()
	err = r.Storage.GuaranteedUpdate(ctx, key, out, false, preconditions, storage.SimpleUpdate(func(existing runtime.Object) (runtime.Object, error) {
		namespace := existing.(*corev1.Namespace)
		if err := validate(ctx, namespace); err != nil {
			return nil, err
		}
		if namespace.DeletionTimestamp.IsZero() {
			now := metav1.Now()
			namespace.DeletionTimestamp = &now
		}
		namespace.Status.Phase = corev1.NamespaceTerminating
		setPropagation(namespace, options)
		return namespace, nil
	}), dryrun.IsDryRun(options.DryRun), nil)
	if err == nil {
		return out, nil
	}
	err = storeerr.InterpretUpdateError(storeerr.InterpretGetError(err, r.DefaultQualifiedResource, name), r.DefaultQualifiedResource, name)
	if status := apierrors.APIStatus(nil); !errors.As(err, &status) {
		err = apierrors.NewInternalError(err)
	}
	return nil, err
}

// setPropagation sets the finalizer of the propagation policy for the garbage collector.
func setPropagation(namespace *corev1.Namespace, options *metav1.DeleteOptions) {
	if options.PropagationPolicy == nil {
		//lint:ignore SA1019 deprecated, but served as orphan propagation
		if orphan := options.OrphanDependents; orphan == nil || !*orphan {
			return
		}
	}
	wanted := map[metav1.DeletionPropagation]string{
		metav1.DeletePropagationForeground: metav1.FinalizerDeleteDependents,
		metav1.DeletePropagationOrphan:     metav1.FinalizerOrphanDependents,
	}
	policy := metav1.DeletePropagationOrphan
	if options.PropagationPolicy != nil {
		policy = *options.PropagationPolicy
	}
	namespace.Finalizers = slices.DeleteFunc(namespace.Finalizers, func(finalizer string) bool {
		return finalizer == metav1.FinalizerDeleteDependents || finalizer == metav1.FinalizerOrphanDependents
	})
	if finalizer, ok := wanted[policy]; ok {
		namespace.Finalizers = append(namespace.Finalizers, finalizer)
	}
}

// checkPreconditions checks the preconditions of a DELETE that changes nothing.
func checkPreconditions(want *metav1.Preconditions, namespace *corev1.Namespace) error {
	err := (&storage.Preconditions{UID: want.UID, ResourceVersion: want.ResourceVersion}).Check(namespace.Name, namespace)
	if err == nil {
		return nil
	}
	return apierrors.NewConflict(corev1.Resource("namespaces"), namespace.Name, err)
}
