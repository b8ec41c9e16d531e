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

package policies

import (
	"context"
	"slices"
	"strings"
	"sync"
)

// Outcome is what a plugin decided about a policy.
type Outcome struct {
	// Evaluated is true if its matchConditions were all true.
	Evaluated bool
	// Condition is the name of the first matchCondition that was false; empty for none.
	Condition string
	// Failed is true if a matchCondition could not be evaluated, and failurePolicy is Ignore.
	Failed bool
	// Paths are the fields that a mutating policy changed, as JSON pointers.
	Paths []string
}

// Outcomes are the outcomes of one run of a plugin. Its methods are safe for concurrent use.
type Outcomes struct {
	mu  sync.Mutex
	all map[string]*Outcome
}

type outcomesKey struct{}

// WithOutcomes returns a context in which the plugins report outcomes.
func WithOutcomes(ctx context.Context) (context.Context, *Outcomes) {
	outcomes := &Outcomes{}
	return context.WithValue(ctx, outcomesKey{}, outcomes), outcomes
}

func outcomesFrom(ctx context.Context) *Outcomes {
	outcomes, _ := ctx.Value(outcomesKey{}).(*Outcomes)
	return outcomes
}

// Of returns the outcome of POLICY/BINDING. A validating policy has one for all its bindings, because its
// matchConditions do not depend on them. ok is false if the plugin did not come to the policy.
func (o *Outcomes) Of(by string) (outcome Outcome, ok bool) {
	if o == nil {
		return Outcome{}, false
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	found := o.all[by]
	if found == nil {
		policy, _, _ := strings.Cut(by, "/")
		found = o.all[policy]
	}
	if found == nil {
		return Outcome{}, false
	}
	return Outcome{found.Evaluated, found.Condition, found.Failed, slices.Clone(found.Paths)}, true
}

// note changes the outcome of a policy. A policy with several parameters is evaluated for each of them.
func (o *Outcomes) note(by string, change func(*Outcome)) {
	if o == nil {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.all == nil {
		o.all = map[string]*Outcome{}
	}
	if o.all[by] == nil {
		o.all[by] = &Outcome{}
	}
	change(o.all[by])
}
