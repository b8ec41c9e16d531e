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

package app_test

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet"
	"github.com/gatehouse-dev/gatehouse/pkg/apiserver"
	"github.com/gatehouse-dev/gatehouse/pkg/registry/fleet/app"
	"github.com/gatehouse-dev/gatehouse/test/registrytest"
)

// newSuite returns the library's suite for a registry, on apps in a real etcd.
func newSuite(t *testing.T) *registrytest.Suite {
	t.Helper()
	scheme, codecs := apiserver.NewFleetScheme()
	storage, err := app.NewStorage(scheme, registrytest.StartEtcd(t).StorageOptions(scheme, codecs), nil, registrytest.CallerUpdates(t, scheme))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(storage.App.Destroy)
	return registrytest.NewSuite(t, scheme, storage.App)
}

func rolling(maxUnavailable, maxSurge intstr.IntOrString) *fleet.RollingUpdateApp {
	return &fleet.RollingUpdateApp{MaxUnavailable: &maxUnavailable, MaxSurge: &maxSurge}
}

func validApp() *fleet.App {
	return &fleet.App{
		ObjectMeta: metav1.ObjectMeta{Namespace: "test", Name: "web", Generation: 1},
		Spec: fleet.AppSpec{
			Replicas: ptr.To[int32](3),
			Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "web"}},
			Template: fleet.InstanceTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": "web"}},
				Spec: fleet.InstanceSpec{
					Containers:                    []fleet.Container{{Name: "web", Image: "web:1", ImagePullPolicy: fleet.PullIfNotPresent}},
					RestartPolicy:                 fleet.RestartPolicyAlways,
					TerminationGracePeriodSeconds: ptr.To[int64](30),
				},
			},
			Strategy:                fleet.AppStrategy{Type: fleet.RollingUpdateAppStrategy, RollingUpdate: rolling(intstr.FromString("25%"), intstr.FromInt32(1))},
			RevisionHistoryLimit:    ptr.To[int32](10),
			ProgressDeadlineSeconds: ptr.To[int32](600),
		},
	}
}

// with returns a valid app with a change.
func with(change func(*fleet.App)) *fleet.App {
	object := validApp()
	change(object)
	return object
}

// update returns a change of a stored app.
func update(change func(*fleet.App)) func(runtime.Object) {
	return func(obj runtime.Object) { change(obj.(*fleet.App)) }
}

// refused returns a valid app with a change, and the fields that a create refuses.
func refused(change func(*fleet.App), fields ...string) registrytest.Refused {
	return registrytest.Refused{Object: with(change), Fields: fields}
}

// refusedChange returns a change of a stored app, and the fields that an update refuses.
func refusedChange(change func(*fleet.App), fields ...string) registrytest.RefusedChange {
	return registrytest.RefusedChange{Change: update(change), Fields: fields}
}

func TestAppsAreCreated(t *testing.T) {
	newSuite(t).Create(validApp(),
		refused(func(o *fleet.App) { o.Name = "Web_1" }, "metadata.name"),
		refused(func(o *fleet.App) { o.Spec.Selector = nil }, "spec.selector"),
		refused(func(o *fleet.App) { o.Spec.Selector = &metav1.LabelSelector{} }, "spec.selector"),
		refused(func(o *fleet.App) { o.Spec.Template.Labels = nil }, "spec.selector"),
		refused(func(o *fleet.App) { o.Spec.Replicas = ptr.To[int32](-1) }, "spec.replicas"),
		refused(func(o *fleet.App) { o.Spec.Template.Spec.HostName = "edge-1" }, "spec.template.spec.hostName"),
		refused(func(o *fleet.App) { o.Spec.Template.Spec.RestartPolicy = fleet.RestartPolicyNever }, "spec.template.spec.restartPolicy"),
		refused(func(o *fleet.App) { o.Spec.Template.Spec.ActiveDeadlineSeconds = ptr.To[int64](1) }, "spec.template.spec.activeDeadlineSeconds"),
		refused(func(o *fleet.App) { o.Spec.Template.Spec.Containers = nil }, "spec.template.spec.containers"),
		refused(func(o *fleet.App) {
			o.Spec.Strategy.RollingUpdate = rolling(intstr.FromInt32(0), intstr.FromString("0%"))
		}, "spec.strategy.rollingUpdate.maxUnavailable"),
		refused(func(o *fleet.App) {
			o.Spec.Strategy.RollingUpdate = rolling(intstr.FromString("101%"), intstr.FromInt32(1))
		}, "spec.strategy.rollingUpdate.maxUnavailable"),
		refused(func(o *fleet.App) {
			o.Spec.Strategy.RollingUpdate = rolling(intstr.FromInt32(1), intstr.FromString("many"))
		}, "spec.strategy.rollingUpdate.maxSurge"),
		refused(func(o *fleet.App) { o.Spec.Strategy.RollingUpdate = rolling(intstr.FromInt32(1), intstr.FromInt32(-1)) }, "spec.strategy.rollingUpdate.maxSurge"),
		refused(func(o *fleet.App) { o.Spec.Strategy.RollingUpdate = nil }, "spec.strategy.rollingUpdate"),
		refused(func(o *fleet.App) { o.Spec.Strategy.Type = fleet.RecreateAppStrategy }, "spec.strategy.rollingUpdate"),
		refused(func(o *fleet.App) { o.Spec.MinReadySeconds = 600 }, "spec.progressDeadlineSeconds"),
	)
}

func TestAppsAreUpdated(t *testing.T) {
	newSuite(t).Update(validApp(),
		update(func(o *fleet.App) { o.Spec.Replicas = ptr.To[int32](5) }),
		refusedChange(func(o *fleet.App) {
			o.Spec.Selector = &metav1.LabelSelector{MatchLabels: map[string]string{"app": "other"}}
		}, "spec.selector"),
		refusedChange(func(o *fleet.App) { o.Spec.MinReadySeconds = -1 }, "spec.minReadySeconds"),
	)
}

func TestAppsAreDeleted(t *testing.T) { newSuite(t).Delete(validApp()) }

func TestAppsAreRead(t *testing.T) { newSuite(t).Get(validApp()) }

func TestAppsAreListed(t *testing.T) { newSuite(t).List(validApp()) }
