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

package limits

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/endpoints/handlers/responsewriters"
	"k8s.io/apiserver/pkg/endpoints/request"
)

// Names of the flags of the bounds.
const (
	PerUserFlag = "max-watches-per-user"
	AllFlag     = "max-watches"
)

// Refused clients retry after a random time between these, in seconds, so that they do not all
// retry at once.
const retryFrom, retryTo = 5, 15

// Watches bounds the number of long-running requests: each holds memory, and flow control does
// not limit a watch after its start.
type Watches struct {
	// PerUser and All are the bounds; 0 for none.
	PerUser, All int
	// Exempt users are counted and not refused.
	Exempt func(user.Info) bool

	mu     sync.Mutex
	byUser map[string]int
	all    int
}

// Wrap wraps the innermost handler of the chain, where the context has the user and the request
// info.
func (l *Watches) Wrap(handler http.Handler, long request.LongRunningRequestCheck, serializer runtime.NegotiatedSerializer) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		info, ok := request.RequestInfoFrom(r.Context())
		if !ok || !long(r, info) {
			handler.ServeHTTP(w, r)
			return
		}
		caller, ok := request.UserFrom(r.Context())
		if !ok {
			caller = &user.DefaultInfo{}
		}
		if err := l.begin(caller); err != nil {
			version := schema.GroupVersion{Group: info.APIGroup, Version: info.APIVersion}
			responsewriters.ErrorNegotiated(err, serializer, version, w, r)
			return
		}
		defer l.end(caller.GetName())
		handler.ServeHTTP(w, r)
	})
}

// begin counts a request, or returns the error of a bound.
func (l *Watches) begin(caller user.Info) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	name := caller.GetName()
	if l.Exempt == nil || !l.Exempt(caller) {
		if l.PerUser > 0 && l.byUser[name] >= l.PerUser {
			watchesRefused.WithLabelValues("user").Inc()
			return tooMany("user %q has %d watches open, the limit of a user (--%s): close some, or have the flag raised", name, l.byUser[name], PerUserFlag)
		}
		if l.All > 0 && l.all >= l.All {
			watchesRefused.WithLabelValues("server").Inc()
			return tooMany("%d watches are open, the limit of the server (--%s): try again later, or have the flag raised", l.all, AllFlag)
		}
	}
	if l.byUser == nil {
		l.byUser = map[string]int{}
	}
	l.byUser[name]++
	l.all++
	return nil
}

func tooMany(format string, args ...any) error {
	return apierrors.NewTooManyRequests(fmt.Sprintf(format, args...), retryFrom+rand.IntN(retryTo-retryFrom+1))
}

func (l *Watches) end(name string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all--
	if l.byUser[name]--; l.byUser[name] == 0 {
		delete(l.byUser, name)
	}
}

// numbers returns the number of watches, and the largest number of one user with its name.
func (l *Watches) numbers() (all, most int, busiest string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for name, count := range l.byUser {
		if count > most {
			most, busiest = count, name
		}
	}
	return l.all, most, busiest
}
