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

package apiserver

import (
	"context"
	"errors"
	"fmt"
	"testing"

	utilerrors "k8s.io/apimachinery/pkg/util/errors"

	"github.com/gatehouse-dev/gatehouse/pkg/authentication/origin"
)

func TestOnlyFailuresOfTheAuthenticatorThatAcceptedAWatchKeepItOpen(t *testing.T) {
	busy := fmt.Errorf("the service: %w", context.DeadlineExceeded)
	of := func(by string, err error) error { return &origin.Error{By: by, Err: err} }
	all := func(errs ...error) error { return utilerrors.NewAggregate(errs) }
	refused := errors.New("refused")
	for _, tc := range []struct {
		name string
		err  error
		by   string
		want bool
	}{
		{"its own failure", of("webhook", busy), "webhook", true},
		{"its own refusal", of("webhook", refused), "webhook", false},
		{"the failure of another", of("webhook", busy), "oidc", false},
		{"its refusal beside the failure of another", all(all(of("oidc", refused), of("webhook", busy))), "oidc", false},
		{"its failure beside the refusal of another", fmt.Errorf("short: %w", all(all(of("oidc", refused), of("webhook", busy)))), "webhook", true},
		{"its failure as a list", of("webhook", all(refused, busy)), "webhook", true},
		{"the failure of another as a list", of("webhook", all(refused, busy)), "oidc", false},
		{"any failure of a watch without a name", all(of("webhook", busy)), "", true},
		{"a failure without a name", all(busy), "oidc", true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := isTransient(tc.err, tc.by); got != tc.want {
				t.Errorf("got %v", got)
			}
		})
	}
}
