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

package admission

import (
	"k8s.io/apiserver/pkg/apis/audit"
)

// AddAnnotation implements admission.Attributes.
func (a *tracedAttributes) AddAnnotation(key, value string) error {
	a.record.Annotated(key, value)
	return a.Attributes.AddAnnotation(key, value)
}

// AddAnnotationWithLevel implements admission.Attributes.
func (a *tracedAttributes) AddAnnotationWithLevel(key, value string, level audit.Level) error {
	a.record.Annotated(key, value)
	return a.Attributes.AddAnnotationWithLevel(key, value, level)
}
