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

package secret

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/core"
	"github.com/gatehouse-dev/gatehouse/pkg/apis/core/validation"
	"github.com/gatehouse-dev/gatehouse/pkg/registry/base"
)

// strategy is the strategy for all writes.
type strategy struct{ base.Strategy }

// PrepareForCreate moves stringData to data if the object was not defaulted: stringData is not
// stored.
func (strategy) PrepareForCreate(_ context.Context, obj runtime.Object) {
	core.SetDefaults_Secret(obj.(*corev1.Secret))
}

// PrepareForUpdate does the same.
func (strategy) PrepareForUpdate(_ context.Context, obj, old runtime.Object) {
	secret := obj.(*corev1.Secret)
	if secret.Type == "" {
		secret.Type = old.(*corev1.Secret).Type
	}
	core.SetDefaults_Secret(secret)
}

// WarningsOnCreate warns of a bootstrap token that authenticates no request, and of a secret that
// waits for a token: no controller of this server fills it, unlike in a cluster.
func (strategy) WarningsOnCreate(_ context.Context, obj runtime.Object) []string {
	secret := obj.(*corev1.Secret)
	if secret.Type != corev1.SecretTypeServiceAccountToken || len(secret.Data[corev1.ServiceAccountTokenKey]) > 0 {
		return validation.WarningsForBootstrapToken(secret)
	}
	return []string{"type: this server adds no token to a secret of type " + string(corev1.SecretTypeServiceAccountToken) + ": request one with kubectl create token"}
}

// WarningsOnUpdate warns of such a bootstrap token.
func (strategy) WarningsOnUpdate(_ context.Context, obj, _ runtime.Object) []string {
	return validation.WarningsForBootstrapToken(obj.(*corev1.Secret))
}

func (strategy) Validate(_ context.Context, obj runtime.Object) field.ErrorList {
	return validation.ValidateSecret(obj.(*corev1.Secret))
}

func (strategy) ValidateUpdate(_ context.Context, obj, old runtime.Object) field.ErrorList {
	return validation.ValidateSecretUpdate(obj.(*corev1.Secret), old.(*corev1.Secret))
}
