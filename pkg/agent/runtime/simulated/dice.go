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

package simulated

import (
	"hash/fnv"
	"strconv"
	"time"
)

// dice make the random decisions of one host. A throw depends on the seed, the host and the words
// that describe the decision, and on nothing else: neither on the order of decisions nor on their
// number, so that runs are repeatable and a restart changes nothing.
type dice struct {
	seed int64
	host string
}

// throw returns a number in [0, 1).
func (d dice) throw(words ...string) float64 {
	hash := fnv.New64a()
	for _, word := range append([]string{strconv.FormatInt(d.seed, 10), d.host}, words...) {
		_, _ = hash.Write([]byte(word))
		_, _ = hash.Write([]byte{0}) // distinguishes "ab","c" from "a","bc"
	}
	// FNV gives similar hashes to words that differ at their end; mixing spreads them.
	x := hash.Sum64()
	x ^= x >> 33
	x *= 0xff51afd7ed558ccd
	x ^= x >> 33
	x *= 0xc4ceb9fe1a85ec53
	x ^= x >> 33
	return float64(x>>11) / (1 << 53)
}

// around returns a time between half of the mean and one and a half times the mean.
func (d dice) around(mean time.Duration, words ...string) time.Duration {
	return time.Duration(float64(mean) * (0.5 + d.throw(words...)))
}
