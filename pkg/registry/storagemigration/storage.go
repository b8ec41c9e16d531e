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

package storagemigration

import (
	storagemigrationv1 "k8s.io/api/storagemigration/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/gatehouse-dev/gatehouse/pkg/registry/base"
	"github.com/gatehouse-dev/gatehouse/pkg/registry/storagemigration/migration"
)

// StorageProvider builds the storages of storagemigration.k8s.io.
type StorageProvider struct{}

var _ base.StorageProvider = StorageProvider{}

// GroupName implements base.StorageProvider.
func (StorageProvider) GroupName() string { return storagemigrationv1.GroupName }

// NewStorage implements base.StorageProvider.
func (StorageProvider) NewStorage(scheme *runtime.Scheme, opts base.StorageOptions) (base.GroupStorage, error) {
	migrations, err := migration.NewStorage(scheme, opts)
	if err != nil {
		return nil, err
	}
	return base.GroupStorage{
		storagemigrationv1.GroupName: {storagemigrationv1.SchemeGroupVersion.Version: {
			"storageversionmigrations":        migrations.Migration,
			"storageversionmigrations/status": migrations.Status,
		}},
	}, nil
}
