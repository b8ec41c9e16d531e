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
	"errors"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/generic"
	"k8s.io/apiserver/pkg/registry/rest"
	etcd3testing "k8s.io/apiserver/pkg/storage/etcd3/testing"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet"
	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/install"
	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/pkg/registry/base"
	"github.com/gatehouse-dev/gatehouse/pkg/registry/fleet/instance"
)

// getHosts is a storage of hosts that counts reads.
type getHosts struct {
	exist string
	asked int
}

func (h *getHosts) Get(_ context.Context, name string, _ *metav1.GetOptions) (runtime.Object, error) {
	h.asked++
	if name != h.exist {
		return nil, apierrors.NewNotFound(fleet.Resource("hosts"), name)
	}
	return &fleet.Host{ObjectMeta: metav1.ObjectMeta{Name: name}}, nil
}

// newStorage returns the storage on a real etcd, with one instance that is not bound.
func newStorage(t *testing.T) (*instance.Storage, *getHosts, context.Context) {
	t.Helper()
	scheme := runtime.NewScheme()
	install.Install(scheme)
	etcd, config := etcd3testing.NewUnsecuredEtcd3TestClientServer(t)
	t.Cleanup(func() { etcd.Terminate(t) })
	config.Codec = serializer.NewCodecFactory(scheme).LegacyCodec(v1alpha1.SchemeGroupVersion)
	hosts := &getHosts{exist: "edge-1"}
	storage, err := instance.NewStorage(scheme, base.StorageOptions{RESTOptions: generic.RESTOptions{
		StorageConfig:  config.ForResource(schema.GroupResource{Group: fleet.GroupName, Resource: "instances"}),
		Decorator:      generic.UndecoratedStorage,
		ResourcePrefix: "fleet.gatehouse.dev/instances",
	}}, hosts, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(storage.Instance.Destroy)

	// Declarative validation reads the version from the request.
	ctx := request.WithRequestInfo(request.WithNamespace(t.Context(), "default"), &request.RequestInfo{
		IsResourceRequest: true, APIGroup: fleet.GroupName, APIVersion: "v1alpha1", Resource: "instances", Namespace: "default",
	})
	if _, err := storage.Instance.Create(ctx, &fleet.Instance{
		ObjectMeta: metav1.ObjectMeta{Name: "web", Namespace: "default"},
		Spec: fleet.InstanceSpec{
			Containers:                    []fleet.Container{{Name: "web", Image: "web:1", ImagePullPolicy: fleet.PullAlways}},
			RestartPolicy:                 fleet.RestartPolicyAlways,
			TerminationGracePeriodSeconds: new(int64),
		},
	}, rest.ValidateAllObjectFunc, &metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	return storage, hosts, ctx
}

func newBinding() *fleet.Binding {
	return &fleet.Binding{Target: fleet.BindingTarget{Kind: "Host", Name: "edge-1"}}
}

func hostOf(ctx context.Context, t *testing.T, storage *instance.Storage) string {
	t.Helper()
	object, err := storage.Instance.Get(ctx, "web", &metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return object.(*fleet.Instance).Spec.HostName
}

func TestABindingThatAdmissionRefusesBindsNothing(t *testing.T) {
	storage, hosts, ctx := newStorage(t)
	refusal := errors.New("no bindings on Sundays")
	var seen *fleet.Binding
	_, err := storage.Binding.Create(ctx, "web", newBinding(), func(_ context.Context, obj runtime.Object) error {
		seen = obj.(*fleet.Binding)
		seen.Target.Name = "elsewhere" // a copy: what validates must not change
		return refusal
	}, &metav1.CreateOptions{})
	if !errors.Is(err, refusal) {
		t.Errorf("got %v, want the error of admission", err)
	}
	if seen == nil || seen.Name != "web" {
		t.Errorf("admission saw %+v, not the binding with the name of its instance", seen)
	}
	if host := hostOf(ctx, t, storage); host != "" {
		t.Errorf("the instance was bound to %s nevertheless", host)
	}
	if hosts.asked != 0 {
		t.Error("a refused binding reveals whether its host exists")
	}
}

func TestABindingThatAdmissionAllowsBindsToTheRequestedHost(t *testing.T) {
	storage, _, ctx := newStorage(t)
	answer, err := storage.Binding.Create(ctx, "web", newBinding(), func(_ context.Context, obj runtime.Object) error {
		obj.(*fleet.Binding).Target.Name = "elsewhere"
		return nil
	}, &metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if status, ok := answer.(*metav1.Status); !ok || status.Status != metav1.StatusSuccess {
		t.Errorf("answered with %+v, not with a Status of success", answer)
	}
	if host := hostOf(ctx, t, storage); host != "edge-1" {
		t.Errorf("the instance is bound to %q, not to edge-1", host)
	}
}

func TestADryRunOfABindingRunsAdmission(t *testing.T) {
	storage, _, ctx := newStorage(t)
	dryRun := &metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}}
	refusal := errors.New("no bindings on Sundays")
	if _, err := storage.Binding.Create(ctx, "web", newBinding(), func(context.Context, runtime.Object) error { return refusal }, dryRun); !errors.Is(err, refusal) {
		t.Errorf("got %v, want the error of admission", err)
	}
	if _, err := storage.Binding.Create(ctx, "web", newBinding(), rest.ValidateAllObjectFunc, dryRun); err != nil {
		t.Error(err)
	}
	if host := hostOf(ctx, t, storage); host != "" {
		t.Errorf("the dry run bound the instance to %s", host)
	}
}

func TestAnInvalidBindingIsRefused(t *testing.T) {
	storage, _, ctx := newStorage(t)
	if _, err := storage.Binding.Create(ctx, "web", &fleet.Host{}, rest.ValidateAllObjectFunc, &metav1.CreateOptions{}); !apierrors.IsBadRequest(err) {
		t.Errorf("answered with %v, not with a bad request", err)
	}
}
