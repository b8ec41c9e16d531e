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

// Package api is a client of config maps by plain HTTP. It sends every request once: client-go
// would repeat some of them, and a request that was sent twice may have happened twice.
package api

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/gatehouse-dev/gatehouse/test/robustness/watches"
)

// collection is where the objects of the clients are. Other config maps of the namespace, such as
// the published authority, have no label.
const (
	collection = "/api/v1/namespaces/default/configmaps"
	label      = "robustness"
	selector   = "?labelSelector=" + label
)

// dialTimeout bounds a connection to a server that is stopped.
const dialTimeout = time.Second

// Client sends requests to one server.
type Client struct {
	// Name is the name of the server.
	Name string
	url  string
	http *http.Client
}

// TLS reads the credentials of a kubeconfig.
func TLS(path string) (*tls.Config, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var kubeconfig struct {
		Clusters []struct {
			Cluster struct {
				Authority string `json:"certificate-authority-data"`
			} `json:"cluster"`
		} `json:"clusters"`
		Users []struct {
			User struct {
				Certificate string `json:"client-certificate-data"`
				Key         string `json:"client-key-data"`
			} `json:"user"`
		} `json:"users"`
	}
	if err := yaml.Unmarshal(content, &kubeconfig); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if len(kubeconfig.Clusters) == 0 || len(kubeconfig.Users) == 0 {
		return nil, fmt.Errorf("%s has no cluster or no user", path)
	}
	var parts [3][]byte
	for i, text := range []string{kubeconfig.Clusters[0].Cluster.Authority, kubeconfig.Users[0].User.Certificate, kubeconfig.Users[0].User.Key} {
		if parts[i], err = base64.StdEncoding.DecodeString(text); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
	}
	pair, err := tls.X509KeyPair(parts[1], parts[2])
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(parts[0]) {
		return nil, fmt.Errorf("%s has no certificate of an authority", path)
	}
	return &tls.Config{RootCAs: roots, Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}, nil
}

// New returns a client with connections of its own. wrap, if not nil, stands between client and
// server: see plants.
func New(name, url string, config *tls.Config, wrap func(http.RoundTripper) http.RoundTripper) *Client {
	dialer := &net.Dialer{Timeout: dialTimeout}
	var transport http.RoundTripper = &http.Transport{
		TLSClientConfig: config.Clone(), DialContext: dialer.DialContext, ForceAttemptHTTP2: true,
		TLSHandshakeTimeout: dialTimeout, IdleConnTimeout: time.Minute,
	}
	if wrap != nil {
		transport = wrap(transport)
	}
	return &Client{Name: name, url: url, http: &http.Client{Transport: transport}}
}

// Close ends the connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// StatusError is a response other than success.
type StatusError struct {
	Code            int
	Reason, Message string
}

func (e *StatusError) Error() string {
	message := e.Message
	if len(message) > 160 {
		message = message[:160] + "..."
	}
	return fmt.Sprintf("%d %s: %s", e.Code, e.Reason, message)
}

// NotSent reports whether the server cannot have received the request of the error.
func NotSent(err error) bool {
	var dial *net.OpError
	return errors.As(err, &dial) && dial.Op == "dial"
}

// configMap is the part of a ConfigMap, Status or bookmark that the clients use.
type configMap struct {
	Kind     string `json:"kind,omitempty"`
	Version  string `json:"apiVersion,omitempty"`
	Metadata struct {
		Name            string            `json:"name,omitempty"`
		ResourceVersion string            `json:"resourceVersion,omitempty"`
		Labels          map[string]string `json:"labels,omitempty"`
	} `json:"metadata"`
	Data map[string]string `json:"data,omitempty"`

	Code    int    `json:"code,omitempty"`
	Reason  string `json:"reason,omitempty"`
	Message string `json:"message,omitempty"`
}

func (m *configMap) object() watches.Object {
	revision, _ := strconv.ParseInt(m.Metadata.ResourceVersion, 10, 64)
	return watches.Object{Key: m.Metadata.Name, Value: m.Data["value"], Basis: m.Data["basis"], Revision: revision}
}

// body returns an object with a value, its basis and some ballast.
func body(o watches.Object, ballast string) *configMap {
	m := &configMap{Kind: "ConfigMap", Version: "v1", Data: map[string]string{"value": o.Value, "basis": o.Basis, "ballast": ballast}}
	m.Metadata.Name = o.Key
	m.Metadata.Labels = map[string]string{label: "true"}
	if o.Revision != 0 {
		m.Metadata.ResourceVersion = strconv.FormatInt(o.Revision, 10)
	}
	return m
}

// Create creates an object.
func (c *Client) Create(ctx context.Context, o watches.Object, ballast string) (watches.Object, error) {
	return c.one(ctx, http.MethodPost, collection, body(o, ballast))
}

// Update replaces an object if its resource version is that of o.
func (c *Client) Update(ctx context.Context, o watches.Object, ballast string) (watches.Object, error) {
	return c.one(ctx, http.MethodPut, collection+"/"+o.Key, body(o, ballast))
}

// Delete deletes an object if its resource version is that of o.
func (c *Client) Delete(ctx context.Context, o watches.Object) error {
	options := map[string]any{
		"kind": "DeleteOptions", "apiVersion": "v1",
		"preconditions": map[string]string{"resourceVersion": strconv.FormatInt(o.Revision, 10)},
	}
	_, err := c.one(ctx, http.MethodDelete, collection+"/"+o.Key, options)
	return err
}

// Get reads an object.
func (c *Client) Get(ctx context.Context, key string) (watches.Object, error) {
	return c.one(ctx, http.MethodGet, collection+"/"+key, nil)
}

func (c *Client) one(ctx context.Context, method, path string, content any) (watches.Object, error) {
	var answer configMap
	if err := c.do(ctx, method, path, content, &answer); err != nil {
		return watches.Object{}, err
	}
	return answer.object(), nil
}

// List reads all objects, and returns the resource version of the list.
func (c *Client) List(ctx context.Context) (map[string]watches.Object, int64, error) {
	var list struct {
		Metadata struct {
			ResourceVersion string `json:"resourceVersion"`
		} `json:"metadata"`
		Items []configMap `json:"items"`
	}
	if err := c.do(ctx, http.MethodGet, collection+selector, nil, &list); err != nil {
		return nil, 0, err
	}
	revision, err := strconv.ParseInt(list.Metadata.ResourceVersion, 10, 64)
	if err != nil {
		return nil, 0, fmt.Errorf("the list has no resource version: %w", err)
	}
	objects := map[string]watches.Object{}
	for _, item := range list.Items {
		objects[item.Metadata.Name] = item.object()
	}
	return objects, revision, nil
}

// Read returns the content of a path, such as /readyz, and an error unless its code is 200.
func (c *Client) Read(ctx context.Context, path string) (string, error) {
	response, err := c.send(ctx, http.MethodGet, path, nil)
	if err != nil {
		return "", err
	}
	defer drain(response)
	if err := statusOf(response); err != nil {
		return "", err
	}
	content, err := io.ReadAll(response.Body)
	return string(content), err
}

// do sends a request once, and decodes the response.
func (c *Client) do(ctx context.Context, method, path string, content, into any) error {
	response, err := c.send(ctx, method, path, content)
	if err != nil {
		return err
	}
	defer drain(response)
	if err := statusOf(response); err != nil {
		return err
	}
	if err := json.NewDecoder(response.Body).Decode(into); err != nil {
		return fmt.Errorf("the response ended early: %w", err)
	}
	return nil
}

func (c *Client) send(ctx context.Context, method, path string, content any) (*http.Response, error) {
	var reader io.Reader
	if content != nil {
		encoded, err := json.Marshal(content)
		if err != nil {
			return nil, err
		}
		reader = bytes.NewReader(encoded)
	}
	request, err := http.NewRequestWithContext(ctx, method, c.url+path, reader)
	if err != nil {
		return nil, err
	}
	request.GetBody = nil // without it no transport can send a body again
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Accept", "application/json")
	return c.http.Do(request)
}

// statusOf returns nil for success, and a *StatusError otherwise.
func statusOf(response *http.Response) error {
	if response.StatusCode < 300 {
		return nil
	}
	text, err := io.ReadAll(io.LimitReader(response.Body, 64<<10))
	if err != nil {
		return err
	}
	var status configMap
	if json.Unmarshal(text, &status) != nil {
		status.Message = string(text)
	}
	return &StatusError{Code: response.StatusCode, Reason: status.Reason, Message: status.Message}
}

func drain(response *http.Response) {
	_, _ = io.CopyN(io.Discard, response.Body, 1<<20) // the connection can be used again
	_ = response.Body.Close()
}
