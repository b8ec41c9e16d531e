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

package flowschema

import (
	"context"

	flowcontrolv1 "k8s.io/api/flowcontrol/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/flowcontrol/validation"
)

type (
	flowSchema = flowcontrolv1.FlowSchema
	spec       = flowcontrolv1.FlowSchemaSpec
	status     = flowcontrolv1.FlowSchemaStatus
)

// rules are those of FlowSchemas for base.SpecStatusStrategy.
type rules struct{}

func (rules) Spec(schema *flowSchema) *spec     { return &schema.Spec }
func (rules) Status(schema *flowSchema) *status { return &schema.Status }
func (rules) InitialStatus() status             { return status{} }

func (rules) Validate(_ context.Context, schema *flowSchema) field.ErrorList {
	return validation.ValidateFlowSchema(schema)
}

func (rules) ValidateUpdate(_ context.Context, schema, _ *flowSchema) field.ErrorList {
	return validation.ValidateFlowSchema(schema)
}

func (rules) ValidateStatusUpdate(_ context.Context, schema, _ *flowSchema) field.ErrorList {
	return validation.ValidateFlowSchemaStatus(schema)
}
