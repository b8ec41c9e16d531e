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
	"errors"
	"fmt"
	"strings"
	"sync"

	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation/field"
	plugincel "k8s.io/apiserver/pkg/admission/plugin/cel"
	"k8s.io/apiserver/pkg/cel"
	"k8s.io/apiserver/pkg/cel/environment"
)

// Validator checks objects of the group. It has the CEL compiler, which is built when the
// first expression has to be compiled: it takes longer than most of a server's start, and
// most servers have no policies.
type Validator struct {
	stateless func() plugincel.Compiler
}

// NewValidator returns a Validator that has compiled nothing yet.
func NewValidator() *Validator {
	return &Validator{stateless: sync.OnceValue(func() plugincel.Compiler { return plugincel.NewCompiler(baseEnvironment()) })}
}

// baseEnvironment is the one in which admission compiles the same expressions. The library
// keeps it.
func baseEnvironment() *environment.EnvSet {
	return environment.MustBaseEnvSet(environment.DefaultCompatibilityVersion())
}

// role is where an expression stands. The same text may be right in one and wrong in another.
type role string

const (
	roleMatchCondition     role = "matchConditions"
	roleVariable           role = "variables"
	roleValidation         role = "validations"
	roleMessage            role = "messageExpression"
	roleAuditAnnotation    role = "auditAnnotations"
	roleApplyConfiguration role = "applyConfiguration"
	roleJSONPatch          role = "jsonPatch"
)

// stored are the expressions of the object that is updated, by role. They compiled in the
// server that took them, perhaps a newer one, and are compiled with all that any server knows;
// new ones only with what the server before this one knows, too, so that one can go back.
type stored map[role]sets.Set[string]

func (s stored) add(in role, expression string) {
	if s[in] == nil {
		s[in] = sets.New[string]()
	}
	s[in].Insert(expression)
}

func (s stored) mode(in role, expression string) environment.Type {
	if s[in].Has(expression) {
		return environment.StoredExpressions
	}
	return environment.NewExpressions
}

// expressions compiles the expressions of one object.
type expressions struct {
	stored stored
	// params says whether expressions may speak of params.
	params bool
	// stateless compiles what knows no variables.
	stateless func() plugincel.Compiler
	// composed compiles what does; its state is the variables that were compiled before. Where
	// the object has none it may be stateless.
	composed func() (plugincel.Compiler, error)
}

// expressions of an object. One that always composes, as mutating policies do, has variables,
// if none in them.
func (v *Validator) expressions(stored stored, params, composes bool) *expressions {
	e := &expressions{stored: stored, params: params, stateless: v.stateless}
	e.composed = func() (plugincel.Compiler, error) { return v.stateless(), nil }
	if composes {
		e.composed = sync.OnceValues(func() (plugincel.Compiler, error) { return plugincel.NewCompositedCompiler(baseEnvironment()) })
	}
	return e
}

// alone compiles an expression that knows no variables.
func (e *expressions) alone(in role, expression plugincel.ExpressionAccessor, at *field.Path) field.ErrorList {
	return e.compile(e.stateless(), in, expression, plugincel.OptionalVariableDeclarations{HasParams: e.params, HasAuthorizer: true}, at)
}

// check compiles an expression that knows the variables before it.
func (e *expressions) check(in role, expression plugincel.ExpressionAccessor, at *field.Path) field.ErrorList {
	compiler, err := e.composed()
	if err != nil {
		return field.ErrorList{field.InternalError(at, err)}
	}
	patches := in == roleApplyConfiguration || in == roleJSONPatch
	return e.compile(compiler, in, expression, plugincel.OptionalVariableDeclarations{
		HasParams: e.params, HasPatchTypes: patches,
		// What a user reads must not depend on what they may.
		HasAuthorizer: in != roleMessage,
	}, at)
}

// variable compiles a variable, and lets those who come after it know its type.
func (e *expressions) variable(variable plugincel.NamedExpressionAccessor, at *field.Path) field.ErrorList {
	compiler, err := e.composed()
	if err != nil {
		return field.ErrorList{field.InternalError(at, err)}
	}
	composed, ok := compiler.(*plugincel.CompositedCompiler)
	if !ok {
		return field.ErrorList{field.InternalError(at, errors.New("variables are compiled without composition"))}
	}
	mode := e.stored.mode(roleVariable, variable.GetExpression())
	result := composed.CompileAndStoreVariable(variable, plugincel.OptionalVariableDeclarations{HasParams: e.params, HasAuthorizer: true}, mode)
	return compileErrors(result, variable, at)
}

func (e *expressions) compile(compiler plugincel.Compiler, in role, expression plugincel.ExpressionAccessor, declared plugincel.OptionalVariableDeclarations, at *field.Path) field.ErrorList {
	return compileErrors(compiler.CompileCELExpression(expression, declared, e.stored.mode(in, expression.GetExpression())), expression, at)
}

// compileErrors says what the compiler did not understand, and where: its message has line and
// column, so expressions are compiled as they were sent, with the space around them.
func compileErrors(result plugincel.CompilationResult, expression plugincel.ExpressionAccessor, at *field.Path) field.ErrorList {
	if result.Error == nil {
		return nil
	}
	switch result.Error.Type {
	case cel.ErrorTypeRequired:
		return field.ErrorList{field.Required(at, result.Error.Detail)}
	case cel.ErrorTypeInvalid:
		return field.ErrorList{field.Invalid(at, expression.GetExpression(), result.Error.Detail)}
	default:
		return field.ErrorList{field.InternalError(at, fmt.Errorf("the expression could not be compiled: %w", result.Error))}
	}
}

// blank says whether there is nothing but space.
func blank(text string) bool { return strings.TrimSpace(text) == "" }
