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

package core

import (
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/registry/rest"

	"github.com/gatehouse-dev/gatehouse/pkg/registry/base"
	"github.com/gatehouse-dev/gatehouse/pkg/registry/core/configmap"
	"github.com/gatehouse-dev/gatehouse/pkg/registry/core/event"
	"github.com/gatehouse-dev/gatehouse/pkg/registry/core/namespace"
	"github.com/gatehouse-dev/gatehouse/pkg/registry/core/resourcequota"
	"github.com/gatehouse-dev/gatehouse/pkg/registry/core/secret"
	"github.com/gatehouse-dev/gatehouse/pkg/registry/core/serviceaccount"
)

// Options are what the group needs.
type Options struct {
	base.StorageOptions
	// EventTTL is how long an event lives.
	EventTTL time.Duration
}

// NewStorage builds the storage of the group, by version and path.
func NewStorage(scheme *runtime.Scheme, opts Options) (map[string]map[string]rest.Storage, error) {
	configMaps, err := configmap.NewStorage(scheme, opts.StorageOptions)
	if err != nil {
		return nil, err
	}
	events, err := event.NewStorage(scheme, opts.StorageOptions, opts.EventTTL)
	if err != nil {
		return nil, err
	}
	namespaces, err := namespace.NewStorage(scheme, opts.StorageOptions)
	if err != nil {
		return nil, err
	}
	quotas, err := resourcequota.NewStorage(scheme, opts.StorageOptions)
	if err != nil {
		return nil, err
	}
	secrets, err := secret.NewStorage(scheme, opts.StorageOptions)
	if err != nil {
		return nil, err
	}
	serviceAccounts, err := serviceaccount.NewStorage(scheme, opts.StorageOptions)
	if err != nil {
		return nil, err
	}
	storages := map[string]rest.Storage{
		"configmaps":            configMaps.ConfigMap,
		"events":                events.Event,
		"namespaces":            namespaces.Namespace,
		"namespaces/finalize":   namespaces.Finalize,
		"namespaces/status":     namespaces.Status,
		"resourcequotas":        quotas.ResourceQuota,
		"resourcequotas/status": quotas.Status,
		"secrets":               secrets.Secret,
		"serviceaccounts":       serviceAccounts.ServiceAccount,
	}
	if opts.AccountTokens != nil {
		storages["serviceaccounts/token"] = serviceaccount.NewTokenREST(opts.AccountTokens)
	}
	return map[string]map[string]rest.Storage{corev1.SchemeGroupVersion.Version: storages}, nil
}
