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

package app

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash/fnv"

	"k8s.io/apimachinery/pkg/util/rand"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
)

// TemplateHash returns a short hash of a template. It hashes the JSON, which omits unset fields, so
// that a field which a later version of Gatehouse adds changes no hash. Two templates may have the
// same hash; collisionCount gives the next attempt another one.
func TemplateHash(template *v1alpha1.InstanceTemplateSpec, collisionCount *int32) (string, error) {
	encoded, err := json.Marshal(template)
	if err != nil {
		return "", err
	}
	hash := fnv.New32a()
	// Writing to a hash never fails.
	_, _ = hash.Write(encoded)
	if collisionCount != nil {
		_, _ = hash.Write(binary.BigEndian.AppendUint32(nil, uint32(*collisionCount)))
	}
	return rand.SafeEncodeString(fmt.Sprint(hash.Sum32())), nil
}

// ReleaseName returns the name of the release of an app whose template has the hash. It is
// deterministic, so that two controllers, or one before and after a crash, create one release and
// not two. The app's name is truncated if the result is too long.
func ReleaseName(app, hash string) string {
	if limit := validation.DNS1123SubdomainMaxLength - len(hash) - 1; limit > 0 && len(app) > limit {
		app = app[:limit]
	}
	return app + "-" + hash
}
