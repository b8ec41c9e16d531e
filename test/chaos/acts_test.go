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

package chaos

import (
	"context"
	"encoding/json"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/util/retry"
	"k8s.io/utils/ptr"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
)

const namespace = metav1.NamespaceDefault

// appShape holds the fields that an app is created with, and keeps.
type appShape struct {
	name        string
	cpu, memory string
	recreate    bool
	surge       intstr.IntOrString
	unavailable intstr.IntOrString
	minReady    int32
}

func (a appShape) app(image string, replicas int32) *v1alpha1.App {
	labels := map[string]string{"app": a.name}
	strategy := v1alpha1.AppStrategy{Type: v1alpha1.RecreateAppStrategy}
	if !a.recreate {
		strategy = v1alpha1.AppStrategy{RollingUpdate: &v1alpha1.RollingUpdateApp{MaxSurge: &a.surge, MaxUnavailable: &a.unavailable}}
	}
	return &v1alpha1.App{
		ObjectMeta: metav1.ObjectMeta{Name: a.name},
		Spec: v1alpha1.AppSpec{
			Replicas: &replicas, Selector: &metav1.LabelSelector{MatchLabels: labels}, MinReadySeconds: a.minReady,
			Strategy: strategy, RevisionHistoryLimit: ptr.To[int32](3), ProgressDeadlineSeconds: ptr.To[int32](3),
			Template: v1alpha1.InstanceTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec: v1alpha1.InstanceSpec{Containers: []v1alpha1.Container{{
					Name: "main", Image: image,
					Resources: v1alpha1.ResourceRequirements{Requests: v1alpha1.ResourceList{
						v1alpha1.ResourceCPU: resource.MustParse(a.cpu), v1alpha1.ResourceMemory: resource.MustParse(a.memory),
					}},
				}}},
			},
		},
	}
}

func (s *env) createApp(ctx context.Context, shape appShape, image string, replicas int32) error {
	_, err := s.fleet.Apps(namespace).Create(ctx, shape.app(image, replicas), metav1.CreateOptions{})
	return err
}

func (s *env) patchApp(ctx context.Context, name string, spec map[string]any) error {
	patch, err := json.Marshal(map[string]any{"spec": spec})
	if err != nil {
		return err
	}
	_, err = s.fleet.Apps(namespace).Patch(ctx, name, types.MergePatchType, patch, metav1.PatchOptions{})
	return err
}

// setImage changes only the image: a merge patch would replace the whole container.
func (s *env) setImage(ctx context.Context, name, image string) error {
	patch := fmt.Sprintf(`[{"op":"replace","path":"/spec/template/spec/containers/0/image","value":%q}]`, image)
	_, err := s.fleet.Apps(namespace).Patch(ctx, name, types.JSONPatchType, []byte(patch), metav1.PatchOptions{})
	return err
}

func (s *env) scaleApp(ctx context.Context, name string, replicas int32) error {
	return retry.RetryOnConflict(retry.DefaultBackoff, func() error {
		scale, err := s.fleet.Apps(namespace).GetScale(ctx, name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		scale.Spec.Replicas = replicas
		_, err = s.fleet.Apps(namespace).UpdateScale(ctx, name, scale, metav1.UpdateOptions{})
		return err
	})
}

// rollBack does nothing if there is no earlier revision.
func (s *env) rollBack(ctx context.Context, name string) error {
	_, err := s.fleet.Apps(namespace).Rollback(ctx, name, &v1alpha1.AppRollback{}, metav1.CreateOptions{})
	return but(err, apierrors.IsNotFound)
}

func (s *env) deleteApp(ctx context.Context, name string, how metav1.DeletionPropagation) error {
	return s.fleet.Apps(namespace).Delete(ctx, name, metav1.DeleteOptions{PropagationPolicy: &how})
}

// deleteInstance deletes the instance at this fraction of the list, if there are any.
func (s *env) deleteInstance(ctx context.Context, at float64, how metav1.DeleteOptions) error {
	list, err := s.fleet.Instances(namespace).List(ctx, metav1.ListOptions{})
	if err != nil || len(list.Items) == 0 {
		return err
	}
	name := list.Items[int(at*float64(len(list.Items)))].Name
	return but(s.fleet.Instances(namespace).Delete(ctx, name, how), apierrors.IsNotFound)
}

// cordon sets whether a host is unschedulable. It does nothing if the host does not exist.
func (s *env) cordon(ctx context.Context, name string, unschedulable bool) error {
	patch := fmt.Sprintf(`{"spec":{"unschedulable":%t}}`, unschedulable)
	_, err := s.fleet.Hosts().Patch(ctx, name, types.MergePatchType, []byte(patch), metav1.PatchOptions{})
	return but(err, apierrors.IsNotFound)
}

func (s *env) deleteHost(ctx context.Context, name string) error {
	return but(s.fleet.Hosts().Delete(ctx, name, metav1.DeleteOptions{}), apierrors.IsNotFound)
}

func but(err error, is func(error) bool) error {
	if is(err) {
		return nil
	}
	return err
}
