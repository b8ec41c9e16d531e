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

package validation

import (
	"maps"
	"reflect"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// ValidateConfigMap checks a new config map.
func ValidateConfigMap(config *corev1.ConfigMap) field.ErrorList {
	return append(validateMeta(&config.ObjectMeta, true, apivalidation.NameIsDNSSubdomain), validateConfigMapData(config)...)
}

// ValidateConfigMapUpdate checks a write.
func ValidateConfigMapUpdate(config, old *corev1.ConfigMap) field.ErrorList {
	errs := validateMetaUpdate(&config.ObjectMeta)
	if isTrue(old.Immutable) {
		if !isTrue(config.Immutable) {
			errs = append(errs, immutable(field.NewPath("immutable")))
		}
		if !reflect.DeepEqual(config.Data, old.Data) {
			errs = append(errs, immutable(field.NewPath("data")))
		}
		if !reflect.DeepEqual(config.BinaryData, old.BinaryData) {
			errs = append(errs, immutable(field.NewPath("binaryData")))
		}
	}
	return append(errs, validateConfigMapData(config)...)
}

func validateConfigMapData(config *corev1.ConfigMap) field.ErrorList {
	var errs field.ErrorList
	size := 0
	data, binary := field.NewPath("data"), field.NewPath("binaryData")
	for _, key := range slices.Sorted(maps.Keys(config.Data)) {
		errs = append(errs, validateDataKey(key, data)...)
		if _, twice := config.BinaryData[key]; twice {
			errs = append(errs, field.Invalid(data.Key(key), key, "is also a key of binaryData"))
		}
		size += len(config.Data[key])
	}
	for _, key := range slices.Sorted(maps.Keys(config.BinaryData)) {
		errs = append(errs, validateDataKey(key, binary)...)
		size += len(config.BinaryData[key])
	}
	if size > maxDataSize {
		// Both maps count, so the error names no field.
		errs = append(errs, field.TooLong(field.NewPath(""), "", maxDataSize))
	}
	return errs
}
