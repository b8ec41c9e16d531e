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

package ui

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"k8s.io/client-go/rest"
)

// Owner is the user that a session reads as.
type Owner struct {
	// Key identifies the user in the bounds of Sessions.
	Key string
	// Server is the address of the API server, and Transport adds the credentials of the user.
	Server    *url.URL
	Transport http.RoundTripper
	// Identity returns the user.
	Identity func(context.Context) (Identity, error)
	// Check returns an error once the credentials with which the link was made are no longer valid; nil
	// for no check.
	Check func(context.Context) error
	// Ended is called when the session ends, or the link without a session; nil for nothing.
	Ended func()
}

func (o Owner) ended() {
	if o.Ended != nil {
		o.Ended()
	}
}

// Identity is a user as the API server recognises it.
type Identity struct {
	User   string   `json:"user"`
	Groups []string `json:"groups"`
}

// OwnerOf returns the owner of a client configuration.
func OwnerOf(config *rest.Config) (Owner, error) {
	transport, err := rest.TransportFor(config)
	if err != nil {
		return Owner{}, err
	}
	server, _, err := rest.DefaultServerUrlFor(config)
	if err != nil {
		return Owner{}, err
	}
	owner := Owner{Server: server, Transport: transport}
	owner.Identity = owner.reviewSelf
	return owner, nil
}

// userAgent is that of every request to the API server.
const userAgent = "gatehouse-ui"

// request sends a request to the API server. It has no header of the browser. A redirect is a response
// like others.
func (o Owner) request(ctx context.Context, method, path, query, accept string, body []byte) (*http.Response, error) {
	target := *o.Server
	target.Path, target.RawPath = strings.TrimSuffix(target.Path, "/")+path, ""
	target.RawQuery = query
	request, err := http.NewRequestWithContext(ctx, method, target.String(), bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Accept", accept)
	request.Header.Set("User-Agent", userAgent)
	if body == nil {
		request.Body, request.GetBody, request.ContentLength = nil, nil, 0
	} else {
		request.Header.Set("Content-Type", mediaJSON)
	}
	response, err := o.Transport.RoundTrip(request)
	if err != nil {
		return nil, &url.Error{Op: "Read", URL: o.Server.String(), Err: err}
	}
	return response, nil
}

// mediaJSON is the media type of everything but the assets and the stream.
const mediaJSON = "application/json"

// read decodes the response to a request. Its size is bounded.
func (o Owner) read(ctx context.Context, method, path string, body []byte, into any) error {
	response, err := o.request(ctx, method, path, "", mediaJSON, body)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	content, err := io.ReadAll(io.LimitReader(response.Body, longestError))
	if err != nil {
		return err
	}
	if response.StatusCode >= http.StatusMultipleChoices {
		return statusOf(response.StatusCode, content)
	}
	return json.Unmarshal(content, into)
}

// reviewSelf returns the user as whom the API server recognises the transport.
func (o Owner) reviewSelf(ctx context.Context) (Identity, error) {
	var review struct {
		Status struct {
			UserInfo struct {
				Username string   `json:"username"`
				Groups   []string `json:"groups"`
			} `json:"userInfo"`
		} `json:"status"`
	}
	body := []byte(`{"apiVersion":"authentication.k8s.io/v1","kind":"SelfSubjectReview"}`)
	err := o.read(ctx, http.MethodPost, "/apis/authentication.k8s.io/v1/selfsubjectreviews", body, &review)
	user := review.Status.UserInfo
	return Identity{User: user.Username, Groups: user.Groups}, err
}

// version returns the version of the API server; empty if it does not tell.
func (o Owner) version(ctx context.Context) string {
	var version struct {
		GitVersion string `json:"gitVersion"`
	}
	if err := o.read(ctx, http.MethodGet, "/version", nil, &version); err != nil {
		return ""
	}
	return version.GitVersion
}

// status is an error of the API server.
type status struct {
	Code    int    `json:"code"`
	Reason  string `json:"reason"`
	Message string `json:"message"`
}

// Error implements error.
func (s status) Error() string { return s.Message }

// Bounds of what is read and shown of an error, in bytes.
const (
	longestError   = 64 << 10
	longestMessage = 1 << 10
)

// statusOf returns the error in a response, which may be no Status.
func statusOf(code int, content []byte) status {
	s := status{}
	if json.Unmarshal(content, &s) != nil || s.Message == "" {
		s.Message = fmt.Sprintf("the API server answered %d %s", code, http.StatusText(code))
	}
	if s.Code = code; s.Reason == "" {
		s.Reason = strings.ReplaceAll(http.StatusText(code), " ", "")
	}
	return s.bounded()
}

func (s status) bounded() status {
	if len(s.Message) > longestMessage {
		s.Message = strings.ToValidUTF8(s.Message[:longestMessage], "") + "..."
	}
	return s
}
