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
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/iotest"

	utilnet "k8s.io/apimachinery/pkg/util/net"
)

func TestABodyIsReadUpToItsLimit(t *testing.T) {
	tooLarge := errors.New("too large")
	for _, tc := range []struct {
		name  string
		bytes int
		want  error
	}{
		{"empty", 0, nil},
		{"smaller", 9, nil},
		{"as large", 10, nil},
		{"a byte larger", 11, tooLarge},
		{"far larger", 10_000, tooLarge},
	} {
		for kind, read := range map[string]func(io.Reader) io.Reader{"whole": func(r io.Reader) io.Reader { return r }, "by bytes": iotest.OneByteReader} {
			t.Run(tc.name+", read "+kind, func(t *testing.T) {
				content := strings.Repeat("x", tc.bytes)
				body := BoundedBody(io.NopCloser(read(strings.NewReader(content))), 10, tooLarge)
				got, err := io.ReadAll(body)
				if !errors.Is(err, tc.want) || err == nil && string(got) != content || len(got) > 10 {
					t.Errorf("got %d bytes, %v", len(got), err)
				}
				if n, err := body.Read(make([]byte, 1)); n != 0 || err == nil || tc.want != nil && !errors.Is(err, tc.want) {
					t.Errorf("a further read returns %d, %v", n, err)
				}
			})
		}
	}
}

func TestATransportBoundsEveryResponse(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, strings.Repeat("x", len(r.URL.Path)))
	}))
	t.Cleanup(server.Close)
	tooLarge := errors.New("too large")
	transport := Bounded(http.DefaultTransport, 5, tooLarge)
	for path, want := range map[string]error{"/four": nil, "/fiver": tooLarge} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		response, err := transport.RoundTrip(request)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadAll(response.Body); !errors.Is(err, want) {
			t.Errorf("%s: %v", path, err)
		}
		_ = response.Body.Close()
	}
	if wrapper, ok := transport.(utilnet.RoundTripperWrapper); !ok || wrapper.WrappedRoundTripper() != http.DefaultTransport {
		t.Error("idle connections of the inner transport are not closed")
	}
}

func TestARedirectIsAnError(t *testing.T) {
	followed := false
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/second" {
			followed = true
		}
		http.Redirect(w, r, "/second", http.StatusPermanentRedirect)
	}))
	t.Cleanup(server.Close)
	client := &http.Client{Transport: WithoutRedirects(http.DefaultTransport)}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL, strings.NewReader("secret"))
	if err != nil {
		t.Fatal(err)
	}
	response, err := client.Do(request)
	if err == nil {
		_ = response.Body.Close()
	}
	if err == nil || !strings.Contains(err.Error(), "the service redirects (code 308)") || followed {
		t.Errorf("got %v, followed %v", err, followed)
	}
}
