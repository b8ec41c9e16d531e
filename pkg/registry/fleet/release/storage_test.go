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

package release_test

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/utils/ptr"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet"
	"github.com/gatehouse-dev/gatehouse/pkg/apiserver"
	"github.com/gatehouse-dev/gatehouse/pkg/registry/fleet/release"
	"github.com/gatehouse-dev/gatehouse/test/registrytest"
)

// newSuite returns the library's suite for a registry, on releases in a real etcd.
func newSuite(t *testing.T) *registrytest.Suite {
	t.Helper()
	scheme, codecs := apiserver.NewFleetScheme()
	storage, err := release.NewStorage(scheme, registrytest.StartEtcd(t).StorageOptions(scheme, codecs))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(storage.Release.Destroy)
	return registrytest.NewSuite(t, scheme, storage.Release)
}

func validRelease() *fleet.Release {
	return &fleet.Release{
		ObjectMeta: metav1.ObjectMeta{Namespace: "test", Name: "web", Generation: 1},
		Spec: fleet.ReleaseSpec{
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
		},
	}
}

// with returns a valid release with a change.
func with(change func(*fleet.Release)) *fleet.Release {
	object := validRelease()
	change(object)
	return object
}

// update returns a change of a stored release.
func update(change func(*fleet.Release)) func(runtime.Object) {
	return func(obj runtime.Object) { change(obj.(*fleet.Release)) }
}

// refused returns a valid release with a change, and the fields that a create refuses.
func refused(change func(*fleet.Release), fields ...string) registrytest.Refused {
	return registrytest.Refused{Object: with(change), Fields: fields}
}

// refusedChange returns a change of a stored release, and the fields that an update refuses.
func refusedChange(change func(*fleet.Release), fields ...string) registrytest.RefusedChange {
	return registrytest.RefusedChange{Change: update(change), Fields: fields}
}

func TestReleasesAreCreated(t *testing.T) {
	newSuite(t).Create(validRelease(),
		refused(func(o *fleet.Release) { o.Name = "Web_1" }, "metadata.name"),
		refused(func(o *fleet.Release) { o.Spec.Selector = nil }, "spec.selector"),
		refused(func(o *fleet.Release) { o.Spec.Selector = &metav1.LabelSelector{} }, "spec.selector"),
		refused(func(o *fleet.Release) { o.Spec.Template.Labels = nil }, "spec.selector"),
		refused(func(o *fleet.Release) { o.Spec.Replicas = ptr.To[int32](-1) }, "spec.replicas"),
		refused(func(o *fleet.Release) { o.Spec.Template.Spec.HostName = "edge-1" }, "spec.template.spec.hostName"),
		refused(func(o *fleet.Release) { o.Spec.Template.Spec.RestartPolicy = fleet.RestartPolicyNever }, "spec.template.spec.restartPolicy"),
		refused(func(o *fleet.Release) { o.Spec.Template.Spec.ActiveDeadlineSeconds = ptr.To[int64](1) }, "spec.template.spec.activeDeadlineSeconds"),
		refused(func(o *fleet.Release) { o.Spec.Template.Spec.Containers = nil }, "spec.template.spec.containers"),
	)
}

func TestReleasesAreUpdated(t *testing.T) {
	newSuite(t).Update(validRelease(),
		update(func(o *fleet.Release) { o.Spec.Replicas = ptr.To[int32](5) }),
		refusedChange(func(o *fleet.Release) {
			o.Spec.Selector = &metav1.LabelSelector{MatchLabels: map[string]string{"app": "other"}}
		}, "spec.selector"),
		refusedChange(func(o *fleet.Release) { o.Spec.MinReadySeconds = -1 }, "spec.minReadySeconds"),
		refusedChange(func(o *fleet.Release) { o.Spec.Template.Spec.Containers[0].Image = "web:2" }, "spec.template"),
	)
}

func TestReleasesAreDeleted(t *testing.T) { newSuite(t).Delete(validRelease()) }

func TestReleasesAreRead(t *testing.T) { newSuite(t).Get(validRelease()) }

func TestReleasesAreListed(t *testing.T) { newSuite(t).List(validRelease()) }
