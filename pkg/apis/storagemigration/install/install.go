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

// Package install registers storagemigration.k8s.io in a scheme.
//
// Stage 4 of the request path (see ARCHITECTURE.md). pkg/apiserver calls Install once when
// it builds the built-in scheme.
package install

import (
	storagemigrationv1 "k8s.io/api/storagemigration/v1"
	"k8s.io/apimachinery/pkg/runtime"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/storagemigration"
)

// Install registers every version of the group, the storage version first.
func Install(scheme *runtime.Scheme) {
	utilruntime.Must(storagemigration.AddToScheme(scheme))
	utilruntime.Must(scheme.SetVersionPriority(storagemigrationv1.SchemeGroupVersion))
}
