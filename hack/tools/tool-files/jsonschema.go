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

package main

import (
	"fmt"
	"slices"
	"strings"
)

const draft = "http://json-schema.org/draft-07/schema#"

// jsonSchemas returns schemas by the names of their files, which kubeconform requires:
// KIND-GROUP-VERSION.json in lower case, with the first part of the group. Each is self-contained.
// all.json selects by the kind, for editors that map one schema to many files.
func jsonSchemas(models map[string]any, kinds []kind) (map[string]any, error) {
	files := map[string]any{}
	var names, cases []any
	bodies := map[string]any{}
	for _, k := range kinds {
		schema, err := rootSchema(models, k)
		if err != nil {
			return nil, err
		}
		bodies[k.kind] = schema
		names = append(names, k.kind)
		cases = append(cases, map[string]any{
			"if":   map[string]any{"required": []any{"kind"}, "properties": map[string]any{"kind": map[string]any{"enum": []any{k.kind}}}},
			"then": map[string]any{"$ref": definitionsPrefix + k.kind},
		})
		file := map[string]any{"$schema": draft}
		for key, value := range schema {
			file[key] = value
		}
		group, _, _ := strings.Cut(k.group, ".")
		files[strings.ToLower(k.kind+"-"+group+"-"+k.version)+".json"] = file
	}
	files["all.json"] = map[string]any{
		"$schema":     draft,
		"description": "The kinds of the group fleet.gatehouse.dev.",
		"type":        "object",
		"required":    []any{"apiVersion", "kind"},
		"properties":  map[string]any{"kind": map[string]any{"type": "string", "enum": names}},
		"allOf":       cases,
		"definitions": bodies,
	}
	return files, nil
}

// rootSchema returns the schema of a whole object in a file.
func rootSchema(models map[string]any, k kind) (map[string]any, error) {
	name := k.model + k.kind
	if _, ok := models[name]; !ok {
		return nil, fmt.Errorf("there is no OpenAPI definition %q", name)
	}
	schema, err := expand(models, map[string]any{"$ref": definitionsPrefix + name}, nil)
	if err != nil {
		return nil, err
	}
	required := stringList(schema["required"])
	for _, field := range []string{"apiVersion", "kind", "metadata"} {
		if !slices.Contains(required, field) {
			required = append(required, field)
		}
	}
	schema["required"] = required
	properties := schema["properties"].(map[string]any)
	properties["apiVersion"] = map[string]any{"type": "string", "enum": []any{k.group + "/" + k.version}}
	properties["kind"] = map[string]any{"type": "string", "enum": []any{k.kind}}
	properties["metadata"].(map[string]any)["type"] = "object"
	schema[gvkExtension] = []any{map[string]any{"group": k.group, "version": k.version, "kind": k.kind}}
	return schema, nil
}

// copied are the keywords that have the same meaning in OpenAPI and in JSON schema.
var copied = []string{"description", "type", "enum", "minimum", "maximum", "minLength", "maxLength", "pattern", "minItems", "maxItems", "oneOf"}

// expand converts an OpenAPI schema to a JSON schema with all referenced definitions inlined.
// trail has the definitions on the current path: a recursive one would never end.
func expand(models map[string]any, schema map[string]any, trail []string) (map[string]any, error) {
	result := map[string]any{}
	if name := reference(schema); name != "" {
		model, ok := models[name].(map[string]any)
		switch {
		case !ok:
			return nil, fmt.Errorf("there is no OpenAPI definition %q", name)
		case slices.Contains(trail, name):
			return nil, fmt.Errorf("the OpenAPI definition %q contains itself: all.json would have to refer to it", name)
		}
		expanded, err := expand(models, model, append(slices.Clone(trail), name))
		if err != nil {
			return nil, err
		}
		result = expanded
		// The description of a quantity or a time is a long one of the Go type, and not of the field.
		if result["properties"] == nil {
			delete(result, "description")
		}
	}
	for _, keyword := range copied {
		if value, ok := schema[keyword]; ok {
			result[keyword] = value
		}
	}
	// The generator uses an object as default for a field that is never absent.
	if value, ok := schema["default"]; ok {
		switch value.(type) {
		case map[string]any, []any:
		default:
			result["default"] = value
		}
	}
	translateFormat(result, schema["format"])
	if items, ok := schema["items"].(map[string]any); ok {
		expanded, err := expand(models, items, trail)
		if err != nil {
			return nil, err
		}
		result["items"] = expanded
	}
	if values, ok := schema["additionalProperties"].(map[string]any); ok {
		expanded, err := expand(models, values, trail)
		if err != nil {
			return nil, err
		}
		result["additionalProperties"] = expanded
	}
	return result, expandProperties(models, schema, trail, result)
}

// expandProperties adds the fields of an object and closes it: the server refuses or drops
// unknown fields. A field that may be absent may be null, which has the same meaning.
func expandProperties(models, schema map[string]any, trail []string, result map[string]any) error {
	properties, ok := schema["properties"].(map[string]any)
	if !ok {
		return nil
	}
	required := stringList(schema["required"])
	fields := map[string]any{}
	for name, property := range properties {
		field, err := expand(models, property.(map[string]any), trail)
		if err != nil {
			return err
		}
		if !slices.Contains(required, name) {
			allowNull(field)
		}
		fields[name] = field
	}
	result["properties"] = fields
	result["additionalProperties"] = false
	if len(required) > 0 {
		result["required"] = required
	}
	return nil
}

// translateFormat translates a format to keywords. JSON schema has only this one of OpenAPI's formats;
// strict validators refuse a schema with any other.
func translateFormat(result map[string]any, format any) {
	switch format {
	case "date-time":
		result["format"] = format
	case "int32":
		if _, ok := result["minimum"]; !ok {
			result["minimum"] = -1 << 31
		}
		if _, ok := result["maximum"]; !ok {
			result["maximum"] = 1<<31 - 1
		}
	}
}

func allowNull(field map[string]any) {
	if typeName, ok := field["type"].(string); ok {
		field["type"] = []any{typeName, "null"}
	}
	if values, ok := field["enum"].([]any); ok {
		field["enum"] = append(slices.Clone(values), nil)
	}
	if alternatives, ok := field["oneOf"].([]any); ok {
		field["oneOf"] = append(slices.Clone(alternatives), map[string]any{"type": "null"})
	}
}

func stringList(value any) []string {
	if texts, ok := value.([]string); ok {
		return slices.Clone(texts)
	}
	var result []string
	list, _ := value.([]any)
	for _, item := range list {
		if text, ok := item.(string); ok {
			result = append(result, text)
		}
	}
	return result
}
