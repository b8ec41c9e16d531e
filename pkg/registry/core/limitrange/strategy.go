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

package limitrange

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/uuid"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/core/validation"
	"github.com/gatehouse-dev/gatehouse/pkg/registry/base"
)

// strategy is the strategy for all writes.
type strategy struct{ base.Strategy }

// PrepareForCreate names an object without a name, as a kube-apiserver does.
func (strategy) PrepareForCreate(_ context.Context, obj runtime.Object) {
	if limits := obj.(*corev1.LimitRange); limits.Name == "" {
		limits.Name = string(uuid.NewUUID())
	}
}

// PrepareForUpdate changes nothing.
func (strategy) PrepareForUpdate(context.Context, runtime.Object, runtime.Object) {}

// WarningsOnCreate warns of limits that have no effect on this server.
func (strategy) WarningsOnCreate(_ context.Context, obj runtime.Object) []string {
	return validation.WarningsForLimitRange(obj.(*corev1.LimitRange))
}

// WarningsOnUpdate warns of the same.
func (strategy) WarningsOnUpdate(_ context.Context, obj, _ runtime.Object) []string {
	return validation.WarningsForLimitRange(obj.(*corev1.LimitRange))
}

func (strategy) Validate(_ context.Context, obj runtime.Object) field.ErrorList {
	return validation.ValidateLimitRange(obj.(*corev1.LimitRange))
}

func (strategy) ValidateUpdate(_ context.Context, obj, _ runtime.Object) field.ErrorList {
	return validation.ValidateLimitRange(obj.(*corev1.LimitRange))
}
