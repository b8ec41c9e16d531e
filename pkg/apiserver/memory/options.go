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

package memory

import (
	"fmt"
	"io/fs"

	"github.com/spf13/pflag"
	"k8s.io/apimachinery/pkg/api/resource"
)

// minLimit is the memory that a server with a few thousand objects needs, in bytes.
const minLimit = 128 << 20

// Options are the flags of the memory limit.
type Options struct {
	// Limit is the memory that the process may use, as a quantity; the limit of its control group
	// if empty, and none if 0.
	Limit string
}

// AddFlags adds the flag to a set.
func (o *Options) AddFlags(fs *pflag.FlagSet) {
	fs.StringVar(&o.Limit, "memory-limit", o.Limit, "Maximum memory of the process, as a quantity such as 2Gi. Requests that need much memory are refused with 429 while not enough is free, and the garbage collector runs more often near the limit and less often under load far below it, unless the environment variable GOGC is set. If empty, the memory limit of the process's control group, if it has one. 0 means no limit.")
}

// Validate returns an error for each invalid flag.
func (o *Options) Validate() []error {
	if o.Limit == "" {
		return nil
	}
	limit, err := resource.ParseQuantity(o.Limit)
	switch {
	case err != nil:
		return []error{fmt.Errorf("--memory-limit=%s is not a quantity: give bytes such as 512Mi or 2Gi", o.Limit)}
	case limit.Sign() != 0 && limit.Cmp(*resource.NewQuantity(minLimit, resource.BinarySI)) < 0:
		return []error{fmt.Errorf("--memory-limit=%s is less than 128Mi, which the server needs for itself: give more, or 0 for no limit", o.Limit)}
	}
	return nil
}

// Bytes returns the memory that the process may use: the flag, or the limit of the control group
// below root; 0 for no limit. The flag must be valid.
func (o *Options) Bytes(root fs.FS) int64 {
	if o.Limit == "" {
		limit, _ := CgroupLimit(root)
		return limit
	}
	limit := resource.MustParse(o.Limit)
	return limit.Value()
}

// Budget returns the budget of the process and applies its limit to the runtime; nil without a limit.
func (o *Options) Budget(root fs.FS) *Budget {
	register() // without a limit, too: its gauge is 0 then
	limit := o.Bytes(root)
	if limit == 0 {
		return nil
	}
	budget := NewBudget(limit, Live)
	budget.Apply()
	return budget
}
