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

package security

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/rest"
)

// answersAfterStart is the number of correct responses to each question that AskDuringStart waits for.
const answersAfterStart = 3

// Question is a request that AskDuringStart repeats. Want is the only correct code.
type Question struct {
	Name   string
	Config *rest.Config
	// Path is requested by GET, or by POST if Body is set.
	Path, Body string
	Want       int

	client *http.Client
	// answered counts responses with the expected code.
	answered atomic.Int64

	mu    sync.Mutex
	codes map[int]int
	wrong []string
}

// AskDuringStart repeats all questions without a pause, beginning before the start of a server, until
// each has had its correct response three times after the start. It fails the test if a response is
// neither correct nor 503 with Retry-After. There are no responses before the port is open.
func AskDuringStart(ctx context.Context, t *testing.T, questions []*Question, start func()) {
	t.Helper()
	life, endLife := context.WithCancel(ctx)
	defer endLife()
	var asking sync.WaitGroup
	for _, q := range questions {
		if q.client == nil {
			client, err := rest.HTTPClientFor(q.Config)
			if err != nil {
				t.Fatal(err)
			}
			q.client, q.codes = client, map[int]int{}
		}
		q.answered.Store(0)
		asking.Go(func() { q.ask(life) })
	}
	start()
	for _, q := range questions {
		if err := wait.PollUntilContextCancel(ctx, time.Millisecond, true, func(context.Context) (bool, error) { return q.answered.Load() >= answersAfterStart, nil }); err != nil {
			t.Errorf("%s: no more than %d answers after the start: %v", q.Name, q.answered.Load(), err)
		}
	}
	endLife()
	asking.Wait()
	for _, q := range questions {
		for _, wrong := range q.takeWrong() {
			t.Errorf("%s: %s", q.Name, wrong)
		}
	}
}

// Codes returns the number of responses of each code.
func (q *Question) Codes() string {
	q.mu.Lock()
	defer q.mu.Unlock()
	return fmt.Sprint(q.codes)
}

// ask repeats the request until the context ends. A refused or broken connection is not counted.
func (q *Question) ask(ctx context.Context) {
	_ = wait.PollUntilContextCancel(ctx, time.Millisecond, true, func(ctx context.Context) (bool, error) {
		code, retryAfter, answer, err := q.send(ctx)
		if err != nil {
			return false, nil
		}
		q.mu.Lock()
		defer q.mu.Unlock()
		q.codes[code]++
		switch {
		case code == q.Want:
			q.answered.Add(1)
		case code != http.StatusServiceUnavailable, retryAfter == "":
			if wrong := fmt.Sprintf("answered with %d and Retry-After %q, not %d: %.300s", code, retryAfter, q.Want, answer); len(q.wrong) < 3 {
				q.wrong = append(q.wrong, wrong)
			}
		}
		return false, nil
	})
}

func (q *Question) send(ctx context.Context) (code int, retryAfter, answer string, err error) {
	method := http.MethodGet
	if q.Body != "" {
		method = http.MethodPost
	}
	request, err := http.NewRequestWithContext(ctx, method, q.Config.Host+q.Path, strings.NewReader(q.Body))
	if err != nil {
		return 0, "", "", err
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := q.client.Do(request)
	if err != nil {
		return 0, "", "", err
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return 0, "", "", err
	}
	return response.StatusCode, response.Header.Get("Retry-After"), string(body), nil
}

func (q *Question) takeWrong() []string {
	q.mu.Lock()
	defer q.mu.Unlock()
	wrong := q.wrong
	q.wrong = nil
	return wrong
}
