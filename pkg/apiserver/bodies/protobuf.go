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

import "encoding/binary"

// protobufPrefix begins a body of application/vnd.kubernetes.protobuf; a runtime.Unknown follows.
const protobufPrefix = "k8s\x00"

// scanProtobuf counts the length-delimited fields: elements of lists, entries of maps, nested
// objects and strings. Only the type shows which of them are objects, so it scans each as one. A
// string or binary value contains a few fields by chance; only one of more than a megabyte would
// contain MaxValues.
func scanProtobuf(body []byte) usage {
	var u usage
	if len(body) > len(protobufPrefix) {
		u.scanMessage(body[len(protobufPrefix):], 0)
	}
	return u
}

// scanMessage reads fields until one is invalid, as the decoder does.
func (u *usage) scanMessage(message []byte, depth int) {
	// The envelope and the object in it are one deep each.
	const envelope = 2
	u.depth = max(u.depth, depth-envelope)
	for len(message) > 0 && u.values <= MaxValues && u.depth <= MaxDepth {
		tag, n := binary.Uvarint(message)
		if n <= 0 || tag>>3 == 0 {
			return
		}
		message = message[n:]
		switch tag & 7 {
		case 0: // a number
			if _, n = binary.Uvarint(message); n <= 0 {
				return
			}
			message = message[n:]
		case 1, 5: // eight or four bytes
			size := 8
			if tag&7 == 5 {
				size = 4
			}
			if len(message) < size {
				return
			}
			message = message[size:]
		case 2:
			size, n := binary.Uvarint(message)
			if n <= 0 || size > uint64(len(message)-n) {
				return
			}
			u.values++
			u.hugeNumber = u.hugeNumber || isHugeNumber(message[n:n+int(size)])
			u.scanMessage(message[n:n+int(size)], depth+1)
			message = message[n+int(size):]
		case 3, 4: // the beginning and the end of a group, which decoders skip
			u.values++
		default:
			return
		}
	}
}
