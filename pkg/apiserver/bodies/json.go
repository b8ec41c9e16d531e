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

// scanJSON counts without decoding: each value but the outermost follows an opening bracket or a
// comma. Of what is not JSON it counts the same characters, and the decoder finds the mistake.
func scanJSON(body []byte) usage {
	var u usage
	depth := 0
	for i := 0; i < len(body); i++ {
		switch body[i] {
		case '"':
			i = endOfString(body, i+1)
		case '[', '{':
			depth++
			u.depth = max(u.depth, depth)
			u.count(depth)
		case ']', '}':
			depth--
		case ',':
			u.count(depth)
		}
		if u.depth > MaxDepth || u.values > MaxValues {
			break
		}
	}
	return u
}

func (u *usage) count(depth int) {
	u.values++
	if depth == 1 {
		u.elements++
	}
}

// endOfString returns the place of the quotation mark that ends the string from there on.
func endOfString(body []byte, from int) int {
	for i := from; i < len(body); i++ {
		switch body[i] {
		case '\\':
			i++
		case '"':
			return i
		}
	}
	return len(body)
}
