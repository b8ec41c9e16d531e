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
	"encoding/json"
	"strconv"
)

const (
	// MaxDigits is how many digits the text of an amount may have before its exponent or suffix.
	MaxDigits = 1000
	// maxExponent bounds exponents in both directions. An amount is at most 2^63 and at least 10^-9.
	maxExponent = 999
	// maxPlainDigits bounds the digits before a larger positive exponent. With so few digits the result
	// is rejected as too large without computing it, and the short hash of a commit, such as 3e59871,
	// has this form.
	maxPlainDigits = 15
)

// isHugeNumber reports whether resource.ParseQuantity would need minutes and gigabytes for the text: it
// computes ten to the power of the exponent ("1e-99999999"), and its arithmetic on long numbers is
// quadratic. Text that only begins with a number counts as one if it has too many digits.
func isHugeNumber(text []byte) bool {
	rest := bytes.TrimLeft(text, "+-")
	unit := bytes.TrimLeft(rest, "0123456789.")
	if len(rest)-len(unit) > MaxDigits {
		return true
	}
	if len(rest) == len(unit) || len(unit) == 0 || unit[0] != 'e' && unit[0] != 'E' {
		return false
	}
	exponent, err := strconv.ParseInt(string(unit[1:]), 10, 64)
	if err != nil {
		return false // not a number: a uid may begin with digits and an e
	}
	// ParseQuantity keeps 32 bits of it, so that a large exponent may become negative.
	switch kept := int32(exponent); {
	case kept < -maxExponent:
		return true
	case kept > maxExponent:
		return len(rest)-len(unit) > maxPlainDigits
	}
	return false
}

// isHugeLiteral does the same for a JSON string, without its quotation marks. It decodes escapes if the
// text could be a number: patches are decoded before amounts are parsed.
func isHugeLiteral(text []byte) bool {
	if isHugeNumber(text) {
		return true
	}
	if rest := bytes.TrimLeft(text, "+-.0123456789eE"); len(rest) == 0 || rest[0] != '\\' {
		return false
	}
	var plain string
	if err := json.Unmarshal(append(append([]byte{'"'}, text...), '"'), &plain); err != nil {
		return false
	}
	return isHugeNumber([]byte(plain))
}
