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

package transports

import (
	"io"
	"net/http"
)

// Bounded returns a transport with which more than limit bytes of a response cannot be read: the error is
// tooLarge. Clients read responses whole.
func Bounded(inner http.RoundTripper, limit int64, tooLarge error) http.RoundTripper {
	return &bounded{inner, limit, tooLarge}
}

type bounded struct {
	http.RoundTripper
	limit    int64
	tooLarge error
}

// RoundTrip implements http.RoundTripper.
func (t *bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := t.RoundTripper.RoundTrip(r)
	if err == nil {
		response.Body = BoundedBody(response.Body, t.limit, t.tooLarge)
	}
	return response, err
}

// WrappedRoundTripper implements net.RoundTripperWrapper, which closes idle connections.
func (t *bounded) WrappedRoundTripper() http.RoundTripper { return t.RoundTripper }

// BoundedBody returns a body of which more than limit bytes cannot be read: the error is tooLarge. It fails
// at the limit, unlike io.LimitReader: a truncated response must not be used.
func BoundedBody(body io.ReadCloser, limit int64, tooLarge error) io.ReadCloser {
	return &boundedBody{body, limit, tooLarge}
}

type boundedBody struct {
	io.ReadCloser
	left     int64
	tooLarge error
}

// Read implements io.Reader.
func (b *boundedBody) Read(p []byte) (int, error) {
	if b.left < 0 {
		return 0, b.tooLarge
	}
	if int64(len(p)) > b.left+1 {
		p = p[:b.left+1]
	}
	n, err := b.ReadCloser.Read(p)
	if b.left -= int64(n); b.left < 0 {
		return 0, b.tooLarge
	}
	return n, err
}
