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

	"k8s.io/apimachinery/pkg/api/operation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
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
	namespaced    bool
	handWritten   bool
	createByPut   bool
	unconditional bool
}

// NewStrategy returns the common half of a strategy for a resource of the scheme.
func NewStrategy(scheme *runtime.Scheme, namespaced bool) Strategy {
	return Strategy{
		DeclarativeValidation: rest.DeclarativeValidation{Scheme: scheme},
		NameGenerator:         names.SimpleNameGenerator,
		namespaced:            namespaced,
	}
}

// Permission is a kind of write that our own resources refuse, and that some of Kubernetes'
// allow.
type Permission func(*Strategy)

// UnconditionalUpdate allows an update without a resourceVersion: the last writer wins.
func UnconditionalUpdate(s *Strategy) { s.unconditional = true }

// CreateByPut allows a PUT to a name that does not exist, which creates it.
func CreateByPut(s *Strategy) { s.createByPut = true }

// NewBuiltinStrategy returns the common half of a strategy for one of Kubernetes' own
// resources. Clients expect of these what a kube-apiserver allows, hence the permissions;
// and the rules in the tags of k8s.io/api are nowhere generated for us, so all of their
// validation is written by hand.
func NewBuiltinStrategy(scheme *runtime.Scheme, namespaced bool, allow ...Permission) Strategy {
	s := NewStrategy(scheme, namespaced)
	s.handWritten = true
	for _, permission := range allow {
		permission(&s)
	}
	return s
}

// ValidateDeclaratively adds what the generated rules find to what the hand-written ones have. It
// is the last part of every validation, so that here is where the bounds of all metadata are
// kept, and where a list of errors is cut: see CutErrors.
func (s Strategy) ValidateDeclaratively(ctx context.Context, obj, old runtime.Object, errs field.ErrorList, op operation.Type, config rest.DeclarativeValidationConfig) field.ErrorList {
	if !s.handWritten {
		errs = s.DeclarativeValidation.ValidateDeclaratively(ctx, obj, old, errs, op, config)
	}
	return CutErrors(append(validateMetadataBounds(obj, old), errs...))
}

// NamespaceScoped says whether objects live in namespaces.
func (s Strategy) NamespaceScoped() bool { return s.namespaced }

// AllowCreateOnUpdate is false but by permission: a PUT to a name that does not exist is a 404.
func (s Strategy) AllowCreateOnUpdate(context.Context) bool { return s.createByPut }

// AllowUnconditionalUpdate is false but by permission: an update carries the resourceVersion
// that it was made from, so that nobody's change is lost unseen.
func (s Strategy) AllowUnconditionalUpdate(context.Context) bool { return s.unconditional }

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
