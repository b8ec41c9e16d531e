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

package bodies

import (
	"bytes"
	"context"
	"encoding/json"

	"sigs.k8s.io/yaml"
)

type bodyKey struct{}

func withBody(ctx context.Context, body []byte) context.Context {
	return context.WithValue(ctx, bodyKey{}, body)
}

// Decode decodes the body that WithBounds has read for the request of the context, and keeps its
// numbers as they are written. It returns false for a request without a body, and for a body that
// is neither JSON nor, with isYAML, YAML as k8s.io/apiserver reads it.
func Decode(ctx context.Context, isYAML bool) (value any, ok bool) {
	body, ok := ctx.Value(bodyKey{}).([]byte)
	if !ok {
		return nil, false
	}
	if isYAML && !json.Valid(body) { // most clients send JSON, which is also YAML
		var err error
		if body, err = yaml.YAMLToJSON(body); err != nil {
			return nil, false
		}
	}
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.UseNumber()
	return value, decoder.Decode(&value) == nil
}
