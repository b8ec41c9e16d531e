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

package instance_test

import (
	"context"
	"slices"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/apiserver/pkg/storage"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet"
	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/pkg/apiserver"
	"github.com/gatehouse-dev/gatehouse/pkg/registry/fleet/host"
	"github.com/gatehouse-dev/gatehouse/pkg/registry/fleet/instance"
	"github.com/gatehouse-dev/gatehouse/test/registrytest"
)

// stage is a registry of instances with two hosts.
type stage struct {
	t         *testing.T
	ctx       context.Context // without a user, as for a controller
	instances *instance.Storage
}

func newStage(t *testing.T) *stage {
	t.Helper()
	scheme, codecs := apiserver.NewFleetScheme()
	options := registrytest.StartEtcd(t).StorageOptions(scheme, codecs)
	hosts, err := host.NewStorage(scheme, options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(hosts.Host.Destroy)
	instances, err := instance.NewStorage(scheme, options, hosts.Host, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(instances.Instance.Destroy)
	info := &request.RequestInfo{IsResourceRequest: true, APIGroup: fleet.GroupName, APIVersion: "v1alpha1", Resource: "instances"}
	ctx := request.WithNamespace(request.WithRequestInfo(t.Context(), info), "test")
	for _, name := range []string{"edge-1", "edge-2"} {
		if _, err := hosts.Host.Create(request.WithNamespace(ctx, ""), &fleet.Host{ObjectMeta: metav1.ObjectMeta{Name: name}}, rest.ValidateAllObjectFunc, &metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	return &stage{t, ctx, instances}
}

// as returns the context of a request of a user.
func (s *stage) as(name string, groups ...string) context.Context {
	return request.WithUser(s.ctx, &user.DefaultInfo{Name: name, Groups: groups})
}

// put replaces web-1 with a new instance that is bound to a host.
func (s *stage) put(host string) *fleet.Instance {
	s.t.Helper()
	if _, _, err := s.instances.Instance.Delete(s.ctx, "web-1", rest.ValidateAllObjectFunc, metav1.NewDeleteOptions(0)); err != nil && !apierrors.IsNotFound(err) {
		s.t.Fatal(err)
	}
	if _, err := s.instances.Instance.Create(s.ctx, validInstance(), rest.ValidateAllObjectFunc, &metav1.CreateOptions{}); err != nil {
		s.t.Fatal(err)
	}
	binding := &fleet.Binding{Target: fleet.BindingTarget{Kind: "Host", Name: host}}
	if _, err := s.instances.Binding.Create(s.ctx, "web-1", binding, nil, &metav1.CreateOptions{}); err != nil {
		s.t.Fatal(err)
	}
	return s.get()
}

func (s *stage) get() *fleet.Instance {
	s.t.Helper()
	obj, err := s.instances.Instance.Get(s.ctx, "web-1", &metav1.GetOptions{})
	if err != nil {
		s.t.Fatal(err)
	}
	return obj.(*fleet.Instance)
}

// setPhase writes the status; first, which may be nil, runs in the first attempt.
func setPhase(phase fleet.InstancePhase, first func()) rest.UpdatedObjectInfo {
	return rest.DefaultUpdatedObjectInfo(nil, func(_ context.Context, _, existing runtime.Object) (runtime.Object, error) {
		if first != nil {
			first()
			first = nil
		}
		changed := existing.DeepCopyObject().(*fleet.Instance)
		changed.Status.Phase = phase
		return changed, nil
	})
}

// setLabel writes the metadata, with first as in setPhase: a write of the status to the main endpoint
// would change nothing and need no transaction.
func setLabel(first func()) rest.UpdatedObjectInfo {
	return rest.DefaultUpdatedObjectInfo(nil, func(_ context.Context, _, existing runtime.Object) (runtime.Object, error) {
		if first != nil {
			first()
			first = nil
		}
		changed := existing.DeepCopyObject().(*fleet.Instance)
		changed.Labels = map[string]string{"changed": "yes"}
		return changed, nil
	})
}

// operations are those of a host on an instance.
func (s *stage) operations(first func()) map[string]func(context.Context) error {
	return map[string]func(context.Context) error{
		"get": func(ctx context.Context) error {
			_, err := s.instances.Instance.Get(ctx, "web-1", &metav1.GetOptions{})
			return err
		},
		"get status": func(ctx context.Context) error {
			_, err := s.instances.Status.Get(ctx, "web-1", &metav1.GetOptions{})
			return err
		},
		"update": func(ctx context.Context) error {
			_, _, err := s.instances.Instance.Update(ctx, "web-1", setLabel(first), nil, rest.ValidateAllObjectUpdateFunc, false, &metav1.UpdateOptions{})
			return err
		},
		"update status": func(ctx context.Context) error {
			_, _, err := s.instances.Status.Update(ctx, "web-1", setPhase(fleet.InstanceRunning, first), nil, rest.ValidateAllObjectUpdateFunc, false, &metav1.UpdateOptions{})
			return err
		},
		"delete": func(ctx context.Context) error {
			_, _, err := s.instances.Instance.Delete(ctx, "web-1", func(context.Context, runtime.Object) error {
				if first != nil {
					first()
					first = nil
				}
				return nil
			}, metav1.NewDeleteOptions(0))
			return err
		},
	}
}

func TestAHostReachesOnlyInstancesThatAreBoundToIt(t *testing.T) {
	s := newStage(t)
	for name := range s.operations(nil) {
		for _, tc := range []struct {
			who    string
			groups []string
			may    bool
		}{
			{"system:host:edge-1", []string{v1alpha1.HostsGroup}, false},
			{"system:host:", []string{v1alpha1.HostsGroup}, false},
			{"jane", []string{v1alpha1.HostsGroup}, false},
			{"system:host:edge-2", []string{v1alpha1.HostsGroup}, true},
			{"system:host:edge-1", nil, true}, // without the group it is a user like others
			{"system:host:edge-1", []string{v1alpha1.HostsGroup, user.SystemPrivilegedGroup}, true},
			{"jane", nil, true},
		} {
			before := s.put("edge-2")
			err := s.operations(nil)[name](s.as(tc.who, tc.groups...))
			if tc.may && err != nil || !tc.may && !apierrors.IsForbidden(err) {
				t.Errorf("%s by %s of %v: got %v", name, tc.who, tc.groups, err)
			}
			if !tc.may && s.get().ResourceVersion != before.ResourceVersion {
				t.Errorf("%s by %s of %v changed the instance", name, tc.who, tc.groups)
			}
		}
	}
}

// The first attempt of the write reads the host's own instance, which is replaced before the commit.
func TestAWriteOfAHostDoesNotChangeAReplacedInstance(t *testing.T) {
	s := newStage(t)
	for _, name := range []string{"update", "update status", "delete"} {
		t.Run(name, func(t *testing.T) {
			s.put("edge-1")
			var other *fleet.Instance
			err := s.operations(func() { other = s.put("edge-2") })[name](s.as("system:host:edge-1", v1alpha1.HostsGroup))
			if !apierrors.IsForbidden(err) && !apierrors.IsConflict(err) {
				t.Errorf("got %v", err)
			}
			if after := s.get(); other == nil || after.UID != other.UID || after.ResourceVersion != other.ResourceVersion {
				t.Errorf("the instance of the other host changed: %+v", after)
			}
		})
	}
	t.Run("a delete does not reach a new instance of the same host either", func(t *testing.T) {
		s.put("edge-1")
		var other *fleet.Instance
		err := s.operations(func() { other = s.put("edge-1") })["delete"](s.as("system:host:edge-1", v1alpha1.HostsGroup))
		if !apierrors.IsConflict(err) {
			t.Errorf("got %v", err)
		}
		if after := s.get(); other == nil || after.UID != other.UID {
			t.Errorf("the new instance is gone: %+v", after)
		}
	})
}

// The library returns an instance that is being deleted without a validation.
func TestADeleteDoesNotShowAnotherHostsInstance(t *testing.T) {
	s := newStage(t)
	s.put("edge-2")
	if _, _, err := s.instances.Instance.Delete(s.ctx, "web-1", rest.ValidateAllObjectFunc, metav1.NewDeleteOptions(30)); err != nil {
		t.Fatal(err)
	}
	obj, _, err := s.instances.Instance.Delete(s.as("system:host:edge-1", v1alpha1.HostsGroup), "web-1", rest.ValidateAllObjectFunc, metav1.NewDeleteOptions(60))
	if !apierrors.IsForbidden(err) || obj != nil {
		t.Errorf("got %v (%v)", obj, err)
	}
}

func TestAnInstanceThatDoesNotExistIsForbiddenToAHost(t *testing.T) {
	s := newStage(t)
	for name, operation := range s.operations(nil) {
		if err := operation(s.as("system:host:edge-1", v1alpha1.HostsGroup)); !apierrors.IsForbidden(err) {
			t.Errorf("%s: got %v", name, err)
		}
		if err := operation(s.as("jane")); !apierrors.IsNotFound(err) {
			t.Errorf("%s by a user: got %v", name, err)
		}
	}
}

func TestAnInstanceThatHasEndedStaysEndedAndTakesNoHost(t *testing.T) {
	s := newStage(t)
	write := func(phase fleet.InstancePhase, ctx context.Context) error {
		_, _, err := s.instances.Status.Update(ctx, "web-1", setPhase(phase, nil), nil, rest.ValidateAllObjectUpdateFunc, false, &metav1.UpdateOptions{})
		return err
	}
	for _, end := range []fleet.InstancePhase{fleet.InstanceSucceeded, fleet.InstanceFailed} {
		s.put("edge-1")
		if err := write(end, s.ctx); err != nil {
			t.Fatal(err)
		}
		if err := write(end, s.ctx); err != nil {
			t.Errorf("%s again: %v", end, err)
		}
		for _, phase := range []fleet.InstancePhase{fleet.InstancePending, fleet.InstanceRunning, fleet.InstanceUnknown, ""} {
			for who, ctx := range map[string]context.Context{"its host": s.as("system:host:edge-1", v1alpha1.HostsGroup), "another caller": s.ctx} {
				if err := write(phase, ctx); !slices.Equal(registrytest.RefusedFields(err), []string{"status.phase"}) {
					t.Errorf("%s makes %q of %s: got %v, want status.phase refused", who, phase, end, err)
				}
			}
		}
	}
	if _, _, err := s.instances.Instance.Delete(s.ctx, "web-1", rest.ValidateAllObjectFunc, metav1.NewDeleteOptions(0)); err != nil {
		t.Fatal(err)
	}
	if _, err := s.instances.Instance.Create(s.ctx, validInstance(), rest.ValidateAllObjectFunc, &metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := write(fleet.InstanceFailed, s.ctx); err != nil {
		t.Fatal(err)
	}
	binding := &fleet.Binding{Target: fleet.BindingTarget{Kind: "Host", Name: "edge-1"}}
	if _, err := s.instances.Binding.Create(s.ctx, "web-1", binding, nil, &metav1.CreateOptions{}); !apierrors.IsConflict(err) {
		t.Errorf("bound what has ended: %v", err)
	}
}

// interrupted runs before, and then each delete.
type interrupted struct {
	storage.Interface
	before func(ctx context.Context, key string)
}

func (i *interrupted) Delete(ctx context.Context, key string, out runtime.Object, preconditions *storage.Preconditions, validate storage.ValidateObjectFunc, cached runtime.Object, options storage.DeleteOptions) error {
	i.before(ctx, key)
	return i.Interface.Delete(ctx, key, out, preconditions, validate, cached, options)
}

// An update that removes the last finalizer removes the object, in the library by its name alone. An
// instance that was created under the name meanwhile stays.
func TestAnUpdateThatRemovesAnInstanceDoesNotRemoveTheNextOfItsName(t *testing.T) {
	s := newStage(t)
	s.put("edge-1")
	update := func(change func(*fleet.Instance)) error {
		objInfo := rest.DefaultUpdatedObjectInfo(nil, func(_ context.Context, _, existing runtime.Object) (runtime.Object, error) {
			changed := existing.DeepCopyObject().(*fleet.Instance)
			change(changed)
			return changed, nil
		})
		_, _, err := s.instances.Instance.Update(s.ctx, "web-1", objInfo, nil, rest.ValidateAllObjectUpdateFunc, false, &metav1.UpdateOptions{})
		return err
	}
	if err := update(func(i *fleet.Instance) { i.Finalizers = []string{"example.com/a"} }); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.instances.Instance.Delete(s.ctx, "web-1", rest.ValidateAllObjectFunc, metav1.NewDeleteOptions(0)); err != nil {
		t.Fatal(err)
	}
	// Between the update and the removal the instance is removed and the next one created.
	store := s.instances.Instance.Store.Store
	below := store.Storage.Storage
	var other *fleet.Instance
	store.Storage.Storage = &interrupted{below, func(ctx context.Context, key string) {
		store.Storage.Storage = below
		if err := below.Delete(s.ctx, key, &fleet.Instance{}, nil, rest.ValidateAllObjectFunc, nil, storage.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		other = s.put("edge-2")
	}}
	err := update(func(i *fleet.Instance) { i.Finalizers = nil })
	if !apierrors.IsConflict(err) {
		t.Errorf("the update of an instance that is gone ends with %v, not with a conflict", err)
	}
	if other == nil {
		t.Fatal("the update removed nothing")
	}
	if after := s.get(); after.UID != other.UID || after.ResourceVersion != other.ResourceVersion {
		t.Errorf("the next instance of the name changed: %+v", after)
	}
}
