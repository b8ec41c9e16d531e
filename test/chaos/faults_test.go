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

package chaos

import (
	"bytes"
	"hash/fnv"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// throw returns a number in [0, 1) that depends only on the seed and the words.
func throw(seed int64, words ...string) float64 {
	hash := fnv.New64a()
	for _, word := range append([]string{strconv.FormatInt(seed, 10)}, words...) {
		_, _ = hash.Write([]byte(word))
		_, _ = hash.Write([]byte{0})
	}
	// FNV gives similar hashes to words that differ at their end; mixing spreads them.
	x := hash.Sum64()
	x ^= x >> 33
	x *= 0xff51afd7ed558ccd
	x ^= x >> 33
	return float64(x>>11) / (1 << 53)
}

// fault is what happens to a request.
type fault string

const (
	fine        fault = ""
	conflict    fault = "409"
	tooMany     fault = "429"
	internal    fault = "500"
	unavailable fault = "503"
	expired     fault = "410"
	// unsent requests never reach the server.
	unsent fault = "reset before"
	// unanswered requests reach the server, but their response is lost.
	unanswered fault = "reset after"
	// slow requests reach the server late, perhaps after the sender has stopped.
	slow fault = "slow"
	// cut ends the watch that the request opened.
	cut fault = "cut"
)

// odds are the probabilities of faults, in order.
type odds []struct {
	fault fault
	share float64
}

var (
	writes  = odds{{conflict, 0.04}, {tooMany, 0.01}, {internal, 0.02}, {unavailable, 0.02}, {unsent, 0.02}, {unanswered, 0.04}, {slow, 0.05}}
	reads   = odds{{tooMany, 0.01}, {internal, 0.02}, {unavailable, 0.02}, {unsent, 0.03}, {unanswered, 0.02}}
	watches = odds{{tooMany, 0.01}, {internal, 0.03}, {expired, 0.05}, {unsent, 0.05}}
	// An event recorder waits for ten seconds if it gets no response at all.
	events = odds{{conflict, 0.05}, {internal, 0.05}}
)

const (
	// cutShare of all watches are cut, after at most cutReads reads.
	cutShare = 0.7
	cutReads = 60
	// latest is the maximum delay of slow requests. It is less than the rest of a lease when its
	// holder stops at the latest, because a later request would violate leader election.
	latest = 300 * time.Millisecond
)

func (o odds) pick(x float64) fault {
	for _, one := range o {
		if x -= one.share; x < 0 {
			return one.fault
		}
	}
	return fine
}

// kind is what requests have in common: the sender, the method and the resource. Names are omitted,
// because the server generates some.
type kind struct{ who, method, resource string }

func kindOf(request *http.Request) kind {
	path := strings.Split(strings.Trim(request.URL.Path, "/"), "/")
	if path[0] == "api" {
		path = path[min(2, len(path)):] // api, version
	} else {
		path = path[min(3, len(path)):] // apis, group, version
	}
	if len(path) > 2 && path[0] == "namespaces" {
		path = path[2:]
	}
	k := kind{who: request.UserAgent(), method: request.Method}
	if len(path) > 0 {
		k.resource = path[0]
	}
	if len(path) > 2 {
		k.resource += "/" + path[2]
	}
	if request.URL.Query().Get("watch") == "true" {
		k.method = "WATCH"
	}
	return k
}

func (k kind) odds() odds {
	switch {
	case k.resource == "events":
		return events
	case k.method == "WATCH":
		return watches
	case k.method == http.MethodGet:
		return reads
	}
	return writes
}

// faults is the state that all transports share: the seed, whether faults are on, and their counts.
type faults struct {
	seed int64

	mu   sync.Mutex
	calm bool
	did  map[fault]int
}

// next decides the fault of the nth request of its kind on a transport.
func (w *faults) next(transport string, k kind, n int) fault {
	x := throw(w.seed, transport, k.who, k.method, k.resource, strconv.Itoa(n))
	f := k.odds().pick(x)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.calm {
		return fine
	}
	w.did[f]++
	return f
}

// cutAfter returns the number of reads after which a watch is cut; 0 for never.
func (w *faults) cutAfter(transport string, k kind, n int) int {
	if throw(w.seed, "cut", transport, k.who, k.resource, strconv.Itoa(n)) >= cutShare {
		return 0
	}
	return 1 + int(throw(w.seed, "when", transport, k.who, k.resource, strconv.Itoa(n))*cutReads)
}

// cuts reports whether watches are still cut, and counts the cut.
func (w *faults) cuts() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.calm {
		w.did[cut]++
	}
	return !w.calm
}

func (w *faults) stop() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.calm = true
}

func (w *faults) count() map[fault]int {
	w.mu.Lock()
	defer w.mu.Unlock()
	count := map[fault]int{}
	for f, n := range w.did {
		count[f] = n
	}
	return count
}

// reset returns the error of a client with a broken connection.
func reset() error {
	return &net.OpError{Op: "read", Net: "tcp", Err: os.NewSyscallError("read", syscall.ECONNRESET)}
}

// status returns an error response in place of the server's.
func (f fault) status(request *http.Request) *http.Response {
	code, _ := strconv.Atoi(string(f))
	reason := map[fault]metav1.StatusReason{
		conflict: metav1.StatusReasonConflict, tooMany: metav1.StatusReasonTooManyRequests, internal: metav1.StatusReasonInternalError,
		unavailable: metav1.StatusReasonServiceUnavailable, expired: metav1.StatusReasonExpired,
	}[f]
	body := []byte(`{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"chaos says ` + string(f) + `","reason":"` + string(reason) + `","code":` + string(f) + `}`)
	response := &http.Response{
		StatusCode: code, Status: string(f) + " " + http.StatusText(code), Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(bytes.NewReader(body)), ContentLength: int64(len(body)), Request: request,
	}
	if f == tooMany {
		response.Header.Set("Retry-After", "1")
	}
	return response
}
