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
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metainternalversion "k8s.io/apimachinery/pkg/apis/meta/internalversion"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet"
	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/pkg/registry/base"
)

// REST serves instances. The authorizer of hosts (pkg/authorization/host) decides about a name
// before the storage is reached, and meanwhile the instance of that name may be deleted, created
// again and bound to another host. REST therefore checks the object itself: before it returns an object to a
// host, and, inside the transaction, before a host changes or deletes it.
type REST struct{ *base.Store }

// StatusREST is the status endpoint of instances, with the checks of REST.
type StatusREST struct{ *base.StatusREST }

var (
	_ rest.StandardStorage     = &REST{}
	_ rest.Patcher             = &StatusREST{}
	_ rest.ResetFieldsStrategy = &StatusREST{}
	_ rest.TableConvertor      = &StatusREST{}
)

// Get returns the instance. It returns 403 to a host to which the instance is not bound.
func (r *REST) Get(ctx context.Context, name string, options *metav1.GetOptions) (runtime.Object, error) {
	obj, err := r.Store.Get(ctx, name, options)
	return callerFrom(ctx, name).read(obj, err)
}

// Update writes metadata and spec; see REST for the check of hosts.
func (r *REST) Update(ctx context.Context, name string, objInfo rest.UpdatedObjectInfo, createValidation rest.ValidateObjectFunc, updateValidation rest.ValidateObjectUpdateFunc, forceAllowCreate bool, options *metav1.UpdateOptions) (runtime.Object, bool, error) {
	caller := callerFrom(ctx, name)
	obj, created, err := r.Store.Update(ctx, name, caller.update(objInfo), createValidation, updateValidation, forceAllowCreate, options)
	return obj, created, caller.hideAbsence(err)
}

// Delete deletes the instance. The delete of a host is bound to the UID of the instance that was
// checked: one that replaces it meanwhile stays, and the response is 409, or 403 if the new one is bound
// to another host.
func (r *REST) Delete(ctx context.Context, name string, deleteValidation rest.ValidateObjectFunc, options *metav1.DeleteOptions) (runtime.Object, bool, error) {
	caller := callerFrom(ctx, name)
	if !caller.isHost {
		return r.Store.Delete(ctx, name, deleteValidation, options)
	}
	checked, err := r.Get(ctx, name, &metav1.GetOptions{})
	if err != nil {
		return nil, false, err
	}
	options = bindToUID(options, checked)
	obj, deleted, err := r.Store.Delete(ctx, name, caller.delete(deleteValidation), options)
	// A delete of an instance that is being deleted returns it without any validation.
	obj, err = caller.read(obj, err)
	return obj, deleted, err
}

// DeleteCollection deletes many instances; see REST for the check of hosts.
func (r *REST) DeleteCollection(ctx context.Context, deleteValidation rest.ValidateObjectFunc, options *metav1.DeleteOptions, listOptions *metainternalversion.ListOptions) (runtime.Object, error) {
	return r.Store.DeleteCollection(ctx, callerFrom(ctx, "").delete(deleteValidation), options, listOptions)
}

// Get returns the whole instance, as REST.Get does.
func (r *StatusREST) Get(ctx context.Context, name string, options *metav1.GetOptions) (runtime.Object, error) {
	obj, err := r.StatusREST.Get(ctx, name, options)
	return callerFrom(ctx, name).read(obj, err)
}

// Update writes the status; see REST for the check of hosts.
func (r *StatusREST) Update(ctx context.Context, name string, objInfo rest.UpdatedObjectInfo, createValidation rest.ValidateObjectFunc, updateValidation rest.ValidateObjectUpdateFunc, forceAllowCreate bool, options *metav1.UpdateOptions) (runtime.Object, bool, error) {
	caller := callerFrom(ctx, name)
	obj, created, err := r.StatusREST.Update(ctx, name, caller.update(objInfo), createValidation, updateValidation, forceAllowCreate, options)
	return obj, created, caller.hideAbsence(err)
}

// bindToUID adds the UID of the checked object to the preconditions, unless the caller has named one.
func bindToUID(options *metav1.DeleteOptions, checked runtime.Object) *metav1.DeleteOptions {
	instance, ok := checked.(*fleet.Instance)
	if !ok {
		return options
	}
	if options == nil {
		options = metav1.NewDeleteOptions(0)
	}
	if options.Preconditions == nil {
		options.Preconditions = &metav1.Preconditions{}
	}
	if options.Preconditions.UID == nil {
		uid := instance.UID
		options.Preconditions.UID = &uid
	}
	return options
}

// caller is the host of a request for an instance. A caller that is not a host passes every check.
type caller struct {
	host, namespace, name string
	isHost                bool
}

// callerFrom returns the host of the context, as pkg/authorization does: a member of system:masters
// is not a host, and a request of the server itself has no user.
func callerFrom(ctx context.Context, name string) caller {
	c := caller{namespace: request.NamespaceValue(ctx), name: name}
	u, ok := request.UserFrom(ctx)
	if !ok || !slices.Contains(u.GetGroups(), v1alpha1.HostsGroup) || slices.Contains(u.GetGroups(), user.SystemPrivilegedGroup) {
		return c
	}
	c.isHost = true
	if host, ok := strings.CutPrefix(u.GetName(), v1alpha1.HostUserPrefix); ok {
		c.host = host
	}
	return c
}

// check refuses an object that is not bound to the host.
func (c caller) check(obj runtime.Object) error {
	if !c.isHost {
		return nil
	}
	if instance, ok := obj.(*fleet.Instance); ok && c.host != "" && instance.Spec.HostName == c.host {
		return nil
	}
	return c.refused()
}

// refused returns the same error as the authorizer.
func (c caller) refused() error {
	return apierrors.NewForbidden(fleet.Resource("instances"), c.name,
		fmt.Errorf("no instance %q in namespace %q is bound to host %q", c.name, c.namespace, c.host))
}

// read checks an object that is to be returned.
func (c caller) read(obj runtime.Object, err error) (runtime.Object, error) {
	if err != nil {
		return obj, c.hideAbsence(err)
	}
	if err := c.check(obj); err != nil {
		return nil, err
	}
	return obj, nil
}

// hideAbsence replaces a 404 by a 403, as the authorizer does, so that a host cannot find out which
// names exist.
func (c caller) hideAbsence(err error) error {
	if c.isHost && apierrors.IsNotFound(err) {
		return c.refused()
	}
	return err
}

// update checks the stored object before the change is applied: the error of a patch would otherwise
// reveal the stored object.
func (c caller) update(objInfo rest.UpdatedObjectInfo) rest.UpdatedObjectInfo {
	if !c.isHost {
		return objInfo
	}
	return checkedUpdate{objInfo, c}
}

type checkedUpdate struct {
	rest.UpdatedObjectInfo
	caller caller
}

// UpdatedObject implements rest.UpdatedObjectInfo.
func (u checkedUpdate) UpdatedObject(ctx context.Context, existing runtime.Object) (runtime.Object, error) {
	if err := u.caller.check(existing); err != nil {
		return nil, err
	}
	return u.UpdatedObjectInfo.UpdatedObject(ctx, existing)
}

// delete checks the stored object before it is deleted.
func (c caller) delete(validate rest.ValidateObjectFunc) rest.ValidateObjectFunc {
	if !c.isHost {
		return validate
	}
	return func(ctx context.Context, obj runtime.Object) error {
		if err := c.check(obj); err != nil {
			return err
		}
		if validate == nil {
			return nil
		}
		return validate(ctx, obj)
	}
}
