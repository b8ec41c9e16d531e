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

package serviceaccount

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/core/validation"
	"github.com/gatehouse-dev/gatehouse/pkg/registry/base"
)

// strategy is the strategy for all writes.
type strategy struct{ base.Strategy }

// PrepareForCreate removes everything but the name from references to secrets.
func (strategy) PrepareForCreate(_ context.Context, obj runtime.Object) {
	keepNames(obj.(*corev1.ServiceAccount))
}

// PrepareForUpdate does the same.
func (strategy) PrepareForUpdate(_ context.Context, obj, _ runtime.Object) {
	keepNames(obj.(*corev1.ServiceAccount))
}

// keepNames keeps only the names of secrets: they are always in the namespace of the account.
func keepNames(account *corev1.ServiceAccount) {
	for i := range account.Secrets {
		account.Secrets[i] = corev1.ObjectReference{Name: account.Secrets[i].Name}
	}
}

func (strategy) Validate(_ context.Context, obj runtime.Object) field.ErrorList {
	return validation.ValidateServiceAccount(obj.(*corev1.ServiceAccount))
}

func (strategy) ValidateUpdate(_ context.Context, obj, old runtime.Object) field.ErrorList {
	return validation.ValidateServiceAccountUpdate(obj.(*corev1.ServiceAccount), old.(*corev1.ServiceAccount))
}
