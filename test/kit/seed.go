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

package kit

import (
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
)

// SeedVariable is the environment variable that sets the seed of every random test. It is read when a test
// begins, and has no effect on the product.
const SeedVariable = "GATEHOUSE_TEST_SEED"

// maxSeed bounds seeds that are chosen at random, so that they are short enough to type.
const maxSeed = 1_000_000

// Seed returns the seed of the test's random numbers: that of the environment, or another one with every run. It logs
// the setting that repeats the run.
func Seed(t testing.TB) uint64 {
	t.Helper()
	return SeedOr(t, rand.Uint64N(maxSeed))
}

// SeedOr returns the seed of the environment, or the given one, for tests that are the same with every run. It logs the
// setting that repeats the run.
func SeedOr(t testing.TB, fixed uint64) uint64 {
	t.Helper()
	seed := fixed
	if text := os.Getenv(SeedVariable); text != "" {
		var err error
		if seed, err = strconv.ParseUint(text, 10, 63); err != nil {
			t.Fatalf("%s: want a number from 0 to 2^63-1: %v", SeedVariable, err)
		}
	}
	t.Logf("%s=%d repeats this", SeedVariable, seed)
	return seed
}
