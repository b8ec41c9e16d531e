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
	"net/http"
	"testing"
	"time"

	utilerrors "k8s.io/apimachinery/pkg/util/errors"

	"github.com/gatehouse-dev/gatehouse/pkg/authentication/origin"
)

func TestASlowAuthenticatorDelaysTheChecksOfItsOwnWatchesOnly(t *testing.T) {
	release, checked := make(chan struct{}), make(chan string, 1)
	l := newLanes(func(o *openWatch) {
		if o.by == "slow" {
			<-release
			return
		}
		checked <- o.by
	})
	defer l.close()
	defer close(release)
	full := false
	for range recheckQueue + recheckWorkers + 1 {
		full = !l.offer(&openWatch{by: "slow"}) || full
	}
	if !full {
		t.Error("the queue has no bound")
	}
	if !l.offer(&openWatch{by: "fast"}) {
		t.Fatal("the queue of another authenticator is full")
	}
	if got := <-checked; got != "fast" {
		t.Errorf("checked %q", got)
	}
}

func TestATimeoutKeepsAWatchOpenOnlyIfItsOwnAuthenticatorIsSlow(t *testing.T) {
	for _, tc := range []struct {
		name, by string
		ends     bool
	}{
		{"a watch of the webhook that is slow", "token-webhook", false},
		{"a watch of a removed issuer, whose token reaches the webhook", "oidc", true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			k := &identity{name: "alice", code: http.StatusOK}
			w, now, watch := openWatches(t, k, nil, time.Time{})
			k.err = utilerrors.NewAggregate([]error{errors.New("no certificate"), &origin.Error{By: "token-webhook", Err: context.DeadlineExceeded}})
			now.Step(time.Minute)
			ctx, cancel := context.WithTimeout(t.Context(), 0)
			defer cancel()
			for _, o := range w.pass(now.Now()) {
				o.by = tc.by
				w.recheck(ctx, o)
			}
			if ended := watch.Err() != nil; ended != tc.ends {
				t.Errorf("ended: %v", ended)
			}
		})
	}
}
