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

package diagnostics

import (
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/registry/rest"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/diagnostics"
	"github.com/gatehouse-dev/gatehouse/pkg/apis/diagnostics/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/pkg/registry/base"
	"github.com/gatehouse-dev/gatehouse/pkg/registry/diagnostics/requestreview"
	"github.com/gatehouse-dev/gatehouse/pkg/registry/diagnostics/requesttrace"
	"github.com/gatehouse-dev/gatehouse/pkg/registry/diagnostics/storagemember"
	"github.com/gatehouse-dev/gatehouse/pkg/registry/diagnostics/uisession"
	"github.com/gatehouse-dev/gatehouse/pkg/registry/diagnostics/watchsession"
)

// StorageProvider builds the storages of diagnostics.gatehouse.dev.
type StorageProvider struct {
	// Traces are the inputs of request traces.
	Traces requesttrace.Config
	// Watches are the inputs of watch sessions.
	Watches watchsession.Config
	// Members are the members of etcd; nil if they are not observed.
	Members storagemember.Source
	// Pages makes links to the page of this server; nil if it has none.
	Pages uisession.Pages
	// Reviews are the inputs of reviews.
	Reviews requestreview.Config
}

var _ base.StorageProvider = StorageProvider{}

// GroupName implements base.StorageProvider.
func (StorageProvider) GroupName() string { return diagnostics.GroupName }

// NewStorage implements base.StorageProvider.
func (p StorageProvider) NewStorage(scheme *runtime.Scheme, _ base.StorageOptions) (base.GroupStorage, error) {
	traces, err := requesttrace.NewREST(p.Traces)
	if err != nil {
		return nil, err
	}
	reviews, err := requestreview.NewREST(p.Reviews)
	if err != nil {
		return nil, err
	}
	watches, err := watchsession.NewREST(p.Watches)
	if err != nil {
		return nil, err
	}
	storages := map[string]rest.Storage{
		v1alpha1.RequestTraces:  traces,
		v1alpha1.WatchSessions:  watches,
		v1alpha1.RequestReviews: reviews,
		v1alpha1.UISessions:     uisession.NewREST(p.Pages),
	}
	if p.Members != nil {
		if storages[v1alpha1.StorageMembers], err = storagemember.NewREST(p.Members); err != nil {
			return nil, err
		}
	}
	versions := map[string]map[string]rest.Storage{}
	for _, version := range scheme.PrioritizedVersionsForGroup(diagnostics.GroupName) {
		versions[version.Version] = storages
	}
	return base.GroupStorage{diagnostics.GroupName: versions}, nil
}
