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

import "bytes"

// scanJSON counts without decoding: each value but the outermost follows an opening bracket or a comma.
// In a body that is not JSON it counts the same characters, and the decoder returns the error.
func scanJSON(body []byte) usage {
	var u usage
	// The values that have begun in each list and object around the current position.
	var open [MaxDepth + 2]struct {
		list   bool
		values int
	}
	for i, depth := 0, 0; i < len(body) && u.values <= MaxValues; i++ {
		c := body[i]
		switch c {
		case '"':
			end := endOfString(body, i+1)
			u.hugeNumber = u.hugeNumber || isHugeLiteral(body[i+1:end])
			i = end
			continue
		case '-', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9':
			end := i + len(body[i:]) - len(bytes.TrimLeft(body[i:], "+-.0123456789eE"))
			u.hugeNumber = u.hugeNumber || isHugeNumber(body[i:end])
			i = end - 1
			continue
		case '[', '{':
			depth++
			if u.depth = max(u.depth, depth); depth > MaxDepth {
				return u
			}
			open[depth].list, open[depth].values = c == '[', 0
		case ']', '}':
			depth = max(depth-1, 0)
			continue
		case ',':
		default:
			continue
		}
		u.values++
		if open[depth].values++; open[depth].list {
			u.longestList = max(u.longestList, open[depth].values)
		}
	}
	return u
}

// endOfString returns the position of the quotation mark that ends the string.
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
