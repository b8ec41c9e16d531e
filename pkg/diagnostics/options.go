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

package diagnostics

import (
	"fmt"

	"github.com/spf13/pflag"
)

// Mode selects the requests that are kept.
type Mode string

// The modes.
const (
	All      Mode = "all"
	Refusals Mode = "refusals"
	Off      Mode = "off"
)

// The bounds of Options.Kept. A record takes about 2 kB, and three rings keep Kept records and up to 1024
// forgotten ones each, so the default takes up to 20 MB, and the largest 250 MB.
const (
	defaultKept = 2048
	leastKept   = 16
	mostKept    = 32768
)

// Options are the flags of request traces.
type Options struct {
	// Mode selects the requests that are kept.
	Mode Mode
	// Kept is the number of requests of each class that are kept.
	Kept int
}

// NewOptions returns the options with their defaults.
func NewOptions() Options { return Options{Mode: All, Kept: defaultKept} }

// AddFlags adds the flags.
func (o *Options) AddFlags(fs *pflag.FlagSet) {
	fs.StringVar((*string)(&o.Mode), "request-traces", string(o.Mode), "Which requests are kept in memory with what each gate of the server said about them (kubectl gatehouse why): all, refusals, or off.")
	fs.IntVar(&o.Kept, "request-traces-kept", o.Kept, "Number of requests that --request-traces keeps of each class: allowed ones, refused ones, and those without a valid identity. A request takes about 2 kB.")
}

// Validate returns an error for each invalid flag.
func (o Options) Validate() []error {
	var errs []error
	switch o.Mode {
	case All, Refusals, Off:
	default:
		errs = append(errs, fmt.Errorf("--request-traces=%s is unknown: use all, refusals or off", o.Mode))
	}
	if o.Kept < leastKept || o.Kept > mostKept {
		errs = append(errs, fmt.Errorf("--request-traces-kept=%d is not a number from %d to %d: use a number in this range, or --request-traces=off", o.Kept, leastKept, mostKept))
	}
	return errs
}
