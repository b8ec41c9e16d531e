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

package helper

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash/fnv"

	"k8s.io/apimachinery/pkg/util/rand"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
)

// TemplateHash returns the hash of a template, which is safe to use in names and labels. It is
// computed from the JSON, which omits fields that are not set: a field that a later version of
// Gatehouse adds changes no hash. An absent protocol of a port counts as TCP. Two templates may have
// the same hash; collisionCount makes the next attempt differ.
func TemplateHash(template *v1alpha1.InstanceTemplateSpec, collisionCount *int32) (string, error) {
	encoded, err := json.Marshal(WithProtocols(template))
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

// ReleaseName returns the name of the release of an app for a template with the hash. It is
// deterministic, so that two controllers, or one before and after a crash, create one release. A
// name that is too long is cut off before the hash.
func ReleaseName(app, hash string) string {
	if limit := validation.DNS1123SubdomainMaxLength - len(hash) - 1; limit > 0 && len(app) > limit {
		app = app[:limit]
	}
	return app + "-" + hash
}
