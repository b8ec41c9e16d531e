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

// Validator validates objects of the group. The CEL compiler is built when the first expression is
// compiled, because building it takes longer than most of the start of a server, and most servers
// have no policies.
type Validator struct {
	stateless func() plugincel.Compiler
}

// NewValidator returns a Validator that has compiled nothing yet.
func NewValidator() *Validator {
	return &Validator{stateless: sync.OnceValue(func() plugincel.Compiler { return plugincel.NewCompiler(baseEnvironment()) })}
}

// baseEnvironment returns the environment in which admission compiles the same expressions. The
// library caches it.
func baseEnvironment() *environment.EnvSet {
	return environment.MustBaseEnvSet(environment.DefaultCompatibilityVersion())
}

// role is the place of an expression. The same expression may be valid in one role only.
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

// stored are the expressions of the object before the update, by role. They compiled in the server
// that accepted them, perhaps a newer one, so they are compiled with all known functions. New
// expressions are limited to those of the previous version, so that a downgrade is possible.
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
	// params reports whether expressions may use params.
	params bool
	// stateless compiles expressions without variables.
	stateless func() plugincel.Compiler
	// composed compiles expressions with variables; its state is the variables compiled so far. It
	// may be stateless for an object without variables.
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

// alone compiles an expression that cannot use variables.
func (e *expressions) alone(in role, expression plugincel.ExpressionAccessor, at *field.Path) field.ErrorList {
	return e.compile(e.stateless(), in, expression, plugincel.OptionalVariableDeclarations{HasParams: e.params, HasAuthorizer: true}, at)
}

// check compiles an expression that can use the variables before it.
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

// variable compiles a variable and declares its type for the expressions after it.
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

// compileErrors returns the errors of the compiler. Its messages have line and column, so expressions
// are compiled as they were sent, with surrounding space.
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

// blank reports whether a text is empty or space only.
func blank(text string) bool { return strings.TrimSpace(text) == "" }
