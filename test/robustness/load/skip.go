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

package load

import (
	"bufio"
	"io"
	"net/http"
	"sync/atomic"
)

// Skip returns a wrapper that drops the n-th event of all watches, as a server with a defect would.
func Skip(n int64) func(http.RoundTripper) http.RoundTripper {
	skip := &skip{}
	skip.left.Store(n)
	return func(next http.RoundTripper) http.RoundTripper { return skipping{skip, next} }
}

type skip struct{ left atomic.Int64 }

type skipping struct {
	*skip
	next http.RoundTripper
}

// RoundTrip filters the events of watches.
func (s skipping) RoundTrip(request *http.Request) (*http.Response, error) {
	response, err := s.next.RoundTrip(request)
	if err != nil || request.URL.Query().Get("watch") == "" {
		return response, err
	}
	reader, writer := io.Pipe()
	body := response.Body
	go func() {
		for lines := bufio.NewReader(body); ; {
			line, err := lines.ReadBytes('\n')
			if s.left.Add(-1) != 0 {
				if _, err := writer.Write(line); err != nil {
					return // the watch is closed
				}
			}
			if err != nil {
				_ = writer.CloseWithError(err)
				return
			}
		}
	}()
	response.Body = both{reader, body}
	return response, nil
}

// both is a body whose end closes the original one, too.
type both struct {
	*io.PipeReader
	body io.Closer
}

func (b both) Close() error {
	_ = b.PipeReader.Close() // it has no error
	return b.body.Close()
}
