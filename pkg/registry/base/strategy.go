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

package base

import (
	"context"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/apiserver/pkg/storage/names"
)

// Strategy answers the questions that are the same for every resource. It leaves
// PrepareForCreate, PrepareForUpdate, Validate and ValidateUpdate out on purpose, so that
// the compiler demands these four, and with them a thought, from every resource.
type Strategy struct {
	// DeclarativeValidation runs the rules generated from the +k8s: tags after the
	// hand-written ones, and brings the scheme that names an object's kind.
	rest.DeclarativeValidation
	names.NameGenerator
	namespaced bool
}

// NewStrategy returns the common half of a strategy for a resource of the scheme.
func NewStrategy(scheme *runtime.Scheme, namespaced bool) Strategy {
	return Strategy{
		DeclarativeValidation: rest.DeclarativeValidation{Scheme: scheme},
		NameGenerator:         names.SimpleNameGenerator,
		namespaced:            namespaced,
	}
}

// NamespaceScoped says whether objects live in namespaces.
func (s Strategy) NamespaceScoped() bool { return s.namespaced }

// AllowCreateOnUpdate is false: a PUT to a name that does not exist is a 404.
func (Strategy) AllowCreateOnUpdate(context.Context) bool { return false }

// AllowUnconditionalUpdate is false: an update carries the resourceVersion that it was
// made from, so that nobody's change is lost unseen.
func (Strategy) AllowUnconditionalUpdate(context.Context) bool { return false }

// Canonicalize changes nothing: defaults and PrepareFor* have brought objects to their form.
func (Strategy) Canonicalize(runtime.Object) {}

// WarningsOnCreate has none.
func (Strategy) WarningsOnCreate(context.Context, runtime.Object) []string { return nil }

// WarningsOnUpdate has none.
func (Strategy) WarningsOnUpdate(context.Context, runtime.Object, runtime.Object) []string {
	return nil
}

// KeepMetadata undoes what a write to the status endpoint did to the metadata. The library's
// function lets generateName through, so that whoever may report a status could set it.
func KeepMetadata(metadata, old metav1.Object) {
	metav1.ResetObjectMetaForStatus(metadata, old)
	metadata.SetGenerateName(old.GetGenerateName())
}
