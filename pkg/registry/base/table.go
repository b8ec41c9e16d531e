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
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/duration"
	"k8s.io/apiserver/pkg/registry/rest"
)

// Column is a column of the output of kubectl get.
type Column[T runtime.Object] struct {
	// Name is the heading, in mixed case: kubectl prints it in upper case.
	Name string
	// Description describes the value.
	Description string
	// Type is the OpenAPI type of the value: string (the default), integer or date.
	Type string
	// Wide columns are printed with -o wide only.
	Wide bool
	// Value returns the cell of an object.
	Value func(T) any
}

// NameColumn returns the first column of a table.
func NameColumn[T objectWithMeta]() Column[T] {
	return Column[T]{Name: "Name", Description: metav1.ObjectMeta{}.SwaggerDoc()["name"], Value: func(o T) any { return o.GetName() }}
}

// AgeColumn returns the column of the time since the object was created.
func AgeColumn[T objectWithMeta]() Column[T] {
	return Column[T]{Name: "Age", Description: metav1.ObjectMeta{}.SwaggerDoc()["creationTimestamp"], Value: func(o T) any { return Ago(o.GetCreationTimestamp()) }}
}

// objectWithMeta is an API object with metadata.
type objectWithMeta interface {
	runtime.Object
	metav1.Object
}

// Ago returns the time since t in kubectl's short form.
func Ago(t metav1.Time) string {
	if t.IsZero() {
		return "<unknown>"
	}
	return duration.HumanDuration(time.Since(t.Time))
}

// Table returns a table convertor with these columns.
func Table[T runtime.Object](columns ...Column[T]) rest.TableConvertor {
	c := table[T]{columns: columns}
	for _, column := range columns {
		definition := metav1.TableColumnDefinition{Name: column.Name, Type: column.Type, Description: column.Description}
		if definition.Type == "" {
			definition.Type = "string"
		}
		if column.Name == "Name" {
			definition.Format = "name"
		}
		if column.Wide {
			definition.Priority = 1
		}
		c.definitions = append(c.definitions, definition)
	}
	return c
}

type table[T runtime.Object] struct {
	columns     []Column[T]
	definitions []metav1.TableColumnDefinition
}

// ConvertToTable implements rest.TableConvertor for one object and for a list.
func (t table[T]) ConvertToTable(_ context.Context, object runtime.Object, tableOptions runtime.Object) (*metav1.Table, error) {
	out := &metav1.Table{}
	if options, ok := tableOptions.(*metav1.TableOptions); !ok || !options.NoHeaders {
		out.ColumnDefinitions = t.definitions
	}
	addRow := func(obj runtime.Object) error {
		typed, ok := obj.(T)
		if !ok {
			return fmt.Errorf("table of %T: got a %T", *new(T), obj)
		}
		cells := make([]any, 0, len(t.columns))
		for _, column := range t.columns {
			cells = append(cells, column.Value(typed))
		}
		out.Rows = append(out.Rows, metav1.TableRow{Cells: cells, Object: runtime.RawExtension{Object: obj}})
		return nil
	}
	if !meta.IsListType(object) {
		if accessor, err := meta.CommonAccessor(object); err == nil {
			out.ResourceVersion = accessor.GetResourceVersion()
		}
		return out, addRow(object)
	}
	if err := meta.EachListItem(object, addRow); err != nil {
		return nil, err
	}
	list, err := meta.ListAccessor(object)
	if err != nil {
		return nil, err
	}
	out.ResourceVersion = list.GetResourceVersion()
	out.Continue = list.GetContinue()
	out.RemainingItemCount = list.GetRemainingItemCount()
	return out, nil
}
