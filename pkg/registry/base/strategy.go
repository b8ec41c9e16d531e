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
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
)

// Strategy implements the methods of a strategy that are the same for every resource. It has no
// PrepareForCreate, PrepareForUpdate, Validate and ValidateUpdate, so that the compiler demands
// these four of every resource.
type Strategy struct {
	// DeclarativeValidation runs the rules generated from the +k8s: tags after the
	// hand-written ones, and holds the scheme that resolves an object's kind.
	rest.DeclarativeValidation
	names.NameGenerator
	namespaced    bool
	handWritten   bool
	createByPut   bool
	unconditional bool
}

// NewStrategy returns the common part of a strategy for a resource of the scheme.
func NewStrategy(scheme *runtime.Scheme, namespaced bool) Strategy {
	return Strategy{
		DeclarativeValidation: rest.DeclarativeValidation{Scheme: scheme},
		NameGenerator:         names.SimpleNameGenerator,
		namespaced:            namespaced,
	}
}

// StrategyOption allows a kind of write that the fleet's resources refuse and some of
// Kubernetes' resources accept.
type StrategyOption func(*Strategy)

// UnconditionalUpdate allows an update without a resourceVersion: the last write wins.
func UnconditionalUpdate(s *Strategy) { s.unconditional = true }

// CreateByPut allows a PUT to a name that does not exist, which creates the object.
func CreateByPut(s *Strategy) { s.createByPut = true }

// NewBuiltinStrategy returns the common part of a strategy for one of Kubernetes' own
// resources. Clients expect of these what a kube-apiserver allows, hence the options. The rules
// in the tags of k8s.io/api are not generated in this module, so all validation of these
// resources is written by hand.
func NewBuiltinStrategy(scheme *runtime.Scheme, namespaced bool, options ...StrategyOption) Strategy {
	s := NewStrategy(scheme, namespaced)
	s.handWritten = true
	for _, option := range options {
		option(&s)
	}
	return s
}

// ValidateDeclaratively adds the errors of the generated rules to those of the hand-written ones.
// It runs last in every validation, so it also checks the bounds of metadata and shortens the
// list of errors: see CutErrors.
func (s Strategy) ValidateDeclaratively(ctx context.Context, obj, old runtime.Object, errs field.ErrorList, op operation.Type, config rest.DeclarativeValidationConfig) field.ErrorList {
	if !s.handWritten {
		errs = s.DeclarativeValidation.ValidateDeclaratively(ctx, obj, old, errs, op, config)
	}
	return CutErrors(append(validateMetadataBounds(obj, old), errs...))
}

// NamespaceScoped reports whether objects belong to namespaces.
func (s Strategy) NamespaceScoped() bool { return s.namespaced }

// ResetFields returns the fields that a write to the endpoint leaves unchanged, in every served
// version: none. Strategies of kinds with a status override it; the contract test checks them.
func (Strategy) ResetFields() *fieldpath.Set { return nil }

// AllowCreateOnUpdate is false without the option CreateByPut: a PUT to a name that does not
// exist is a 404.
func (s Strategy) AllowCreateOnUpdate(context.Context) bool { return s.createByPut }

// AllowUnconditionalUpdate is false without the option UnconditionalUpdate: an update carries the
// resourceVersion that it was made from, so that it overwrites no change unseen.
func (s Strategy) AllowUnconditionalUpdate(context.Context) bool { return s.unconditional }

// Canonicalize changes nothing: defaults and PrepareFor* have normalized the object.
func (Strategy) Canonicalize(runtime.Object) {}

// WarningsOnCreate returns no warnings.
func (Strategy) WarningsOnCreate(context.Context, runtime.Object) []string { return nil }

// WarningsOnUpdate returns no warnings.
func (Strategy) WarningsOnUpdate(context.Context, runtime.Object, runtime.Object) []string {
	return nil
}

// KeepMetadata undoes the changes of a write to the status endpoint to the metadata. The
// library's function keeps the new generateName, so that a user with the right to report a status
// could set it.
func KeepMetadata(metadata, old metav1.Object) {
	metav1.ResetObjectMetaForStatus(metadata, old)
	metadata.SetGenerateName(old.GetGenerateName())
}
