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

package imports

// controllerLibraries lists what a controller, and a helper of several controllers, may import.
var controllerLibraries = []string{
	"pkg/controller/internal/...", "pkg/controller/informers",
	"pkg/apis/<group>/<version>", "pkg/generated/...", "k8s.io/client-go/...",
}

// registryLibraries lists the parts of k8s.io/apiserver that storages need.
var registryLibraries = []string{
	"k8s.io/apiserver/pkg/registry/...",
	"k8s.io/apiserver/pkg/storage/...",
	"k8s.io/apiserver/pkg/endpoints/request",
	"k8s.io/apiserver/pkg/util/dryrun",
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath",
}
