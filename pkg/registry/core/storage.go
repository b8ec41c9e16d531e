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
	eventsv1 "k8s.io/api/events/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/registry/rest"

	"github.com/gatehouse-dev/gatehouse/pkg/registry/authentication/tokenrequest"
	"github.com/gatehouse-dev/gatehouse/pkg/registry/base"
	"github.com/gatehouse-dev/gatehouse/pkg/registry/core/configmap"
	"github.com/gatehouse-dev/gatehouse/pkg/registry/core/event"
	"github.com/gatehouse-dev/gatehouse/pkg/registry/core/limitrange"
	"github.com/gatehouse-dev/gatehouse/pkg/registry/core/namespace"
	"github.com/gatehouse-dev/gatehouse/pkg/registry/core/resourcequota"
	"github.com/gatehouse-dev/gatehouse/pkg/registry/core/secret"
	"github.com/gatehouse-dev/gatehouse/pkg/registry/core/serviceaccount"
)

// StorageProvider builds the storages of the core group and of events.k8s.io. Both serve events
// from one storage: a second one would be a second watch cache of the same objects.
type StorageProvider struct {
	// EventTTL is the time for which an event is kept after the last write to it.
	EventTTL time.Duration
	// Tokens issues the tokens of service accounts. If it is nil, serviceaccounts/token is not
	// served.
	Tokens tokenrequest.Issuer
}

var _ base.StorageProvider = StorageProvider{}

// GroupName implements base.StorageProvider.
func (StorageProvider) GroupName() string { return corev1.GroupName }

// NewStorage implements base.StorageProvider.
func (p StorageProvider) NewStorage(scheme *runtime.Scheme, opts base.StorageOptions) (base.GroupStorage, error) {
	configMaps, err := configmap.NewStorage(scheme, opts)
	if err != nil {
		return nil, err
	}
	events, err := event.NewStorage(scheme, opts, p.EventTTL)
	if err != nil {
		return nil, err
	}
	limitRanges, err := limitrange.NewStorage(scheme, opts)
	if err != nil {
		return nil, err
	}
	namespaces, err := namespace.NewStorage(scheme, opts)
	if err != nil {
		return nil, err
	}
	quotas, err := resourcequota.NewStorage(scheme, opts)
	if err != nil {
		return nil, err
	}
	secrets, err := secret.NewStorage(scheme, opts)
	if err != nil {
		return nil, err
	}
	serviceAccounts, err := serviceaccount.NewStorage(scheme, opts)
	if err != nil {
		return nil, err
	}
	storages := map[string]rest.Storage{
		"configmaps":            configMaps.ConfigMap,
		"events":                events.Event,
		"limitranges":           limitRanges.LimitRange,
		"namespaces":            namespaces.Namespace,
		"namespaces/finalize":   namespaces.Finalize,
		"namespaces/status":     namespaces.Status,
		"resourcequotas":        quotas.ResourceQuota,
		"resourcequotas/status": quotas.Status,
		"secrets":               secrets.Secret,
		"serviceaccounts":       serviceAccounts.ServiceAccount,
	}
	if p.Tokens != nil {
		storages["serviceaccounts/token"] = serviceaccount.NewTokenREST(p.Tokens)
	}
	return base.GroupStorage{
		corev1.GroupName:   {corev1.SchemeGroupVersion.Version: storages},
		eventsv1.GroupName: {eventsv1.SchemeGroupVersion.Version: {"events": events.Event}},
	}, nil
}
