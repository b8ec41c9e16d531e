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

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"k8s.io/client-go/rest"
)

const (
	writers = 8
	// perWriter is the number of objects that a writer cycles through.
	perWriter = 20
	// requestTimeout is the client's timeout of a request.
	requestTimeout = 5 * time.Second
	path           = "/api/v1/namespaces/default/configmaps"
)

// load writes, and reads what it has written, until it is stopped.
type load struct {
	model *model
	seen  *seen
	// size is the size of the value of an object in bytes.
	size int
	// config is that of the running server; nil while there is none.
	config atomic.Pointer[rest.Config]
	// deletesOnly makes writers free space.
	deletesOnly atomic.Bool

	stop    context.CancelFunc
	running sync.WaitGroup
}

func startLoad(ctx context.Context, size int) *load {
	l := &load{model: newModel(), seen: newSeen(), size: size}
	ctx, l.stop = context.WithCancel(ctx)
	for i := range writers {
		l.running.Go(func() { l.write(ctx, i) })
	}
	l.running.Go(func() { l.arrive(ctx) })
	return l
}

// arrive simulates new clients, which need a connection for each read.
func (l *load) arrive(ctx context.Context) {
	for ctx.Err() == nil {
		pause(ctx, 200*time.Millisecond)
		config := l.config.Load()
		if config == nil {
			continue
		}
		secure, err := rest.TLSConfigFor(config)
		if err != nil {
			panic(err)
		}
		transport := &http.Transport{TLSClientConfig: secure, DisableKeepAlives: true}
		began := time.Now()
		code, _, err := send(&http.Client{Transport: transport, Timeout: requestTimeout}, http.MethodGet, config.Host+"/version", "")
		l.seen.add(http.MethodGet, began, code, err)
	}
}

// end returns when no request is in flight.
func (l *load) end() {
	l.stop()
	l.running.Wait()
}

func (l *load) write(ctx context.Context, number int) {
	var client *http.Client
	var of *rest.Config
	for n := 0; ctx.Err() == nil; n++ {
		config := l.config.Load()
		if config == nil {
			pause(ctx, 20*time.Millisecond)
			continue
		}
		if config != of {
			var err error
			if client, err = httpClient(config); err != nil {
				panic(err)
			}
			of = config
		}
		name := fmt.Sprintf("w%d-%d", number, n/3%perWriter)
		// For every other object each third write is a delete.
		l.step(client, config.Host, name, fmt.Sprintf("%d-%s", n, strings.Repeat("x", l.size)), n%3 == 2 && n/3%2 == 0)
		if !l.seen.ok() {
			pause(ctx, 50*time.Millisecond) // do not spin while the server is down
		}
	}
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// step sends the next write of an object, and reads the object if the write was acknowledged.
func (l *load) step(client *http.Client, host, name, value string, remove bool) {
	exists, certain := l.model.exists(name)
	if !certain {
		l.read(client, host, name)
	}
	method, at, state := http.MethodPost, host+path, value
	switch {
	case l.deletesOnly.Load() && !exists:
		return
	case exists && (remove || l.deletesOnly.Load()):
		method, at, state = http.MethodDelete, host+path+"/"+name, absent
	case exists:
		method, at = http.MethodPut, host+path+"/"+name
	}
	body := fmt.Sprintf(`{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":%q},"data":{"value":%q}}`, name, state)
	if method == http.MethodDelete {
		body = "{}"
	}
	began := time.Now()
	code, _, err := send(client, method, at, body)
	l.seen.add(method, began, code, err)
	switch {
	case err == nil && code < 300:
		l.model.acknowledge(name, state)
		l.read(client, host, name)
	case err == nil && code >= 400 && code < 500:
		// A certain refusal: 404 and 409 state whether the object exists, and a read verifies it.
		l.read(client, host, name)
	default:
		l.model.uncertain(name, state)
	}
}

// read compares the response of the server with the model. The writer waits for it, so no write runs
// meanwhile, except for earlier requests without a response.
func (l *load) read(client *http.Client, host, name string) {
	began := time.Now()
	code, body, err := send(client, http.MethodGet, host+path+"/"+name, "")
	l.seen.add(http.MethodGet, began, code, err)
	switch {
	case err != nil:
	case code == http.StatusNotFound:
		l.model.saw(name, absent)
	case code == http.StatusOK:
		l.model.saw(name, valueOf(body))
	}
}

type configMap struct {
	Metadata struct{ Name string }
	Data     map[string]string
}

func valueOf(body []byte) string {
	var object configMap
	if err := json.Unmarshal(body, &object); err != nil {
		return err.Error()
	}
	return object.Data["value"]
}

// stored reads all objects in the end.
func stored(config *rest.Config) (map[string]string, error) {
	client, err := httpClient(config)
	if err != nil {
		return nil, err
	}
	client.Timeout = time.Minute
	code, body, err := send(client, http.MethodGet, config.Host+path, "")
	if err != nil || code != http.StatusOK {
		return nil, fmt.Errorf("the list of everything: %d %w", code, err)
	}
	var list struct{ Items []configMap }
	if err := json.Unmarshal(body, &list); err != nil {
		return nil, err
	}
	all := map[string]string{}
	for _, item := range list.Items {
		all[item.Metadata.Name] = item.Data["value"]
	}
	return all, nil
}

func httpClient(config *rest.Config) (*http.Client, error) {
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		return nil, err
	}
	client.Timeout = requestTimeout
	return client, nil
}

func send(client *http.Client, method, url, body string) (int, []byte, error) {
	request, err := http.NewRequest(method, url, bytes.NewReader([]byte(body))) // the client has a timeout
	if err != nil {
		return 0, nil, err
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := client.Do(request)
	if err != nil {
		return 0, nil, err
	}
	defer func() { _ = response.Body.Close() }()
	content, err := io.ReadAll(response.Body)
	if err != nil {
		return 0, nil, err
	}
	return response.StatusCode, content, nil
}

// outcome is the result of a request in a word.
func outcome(code int, err error) string {
	var timeout interface{ Timeout() bool }
	switch {
	case err == nil:
		return fmt.Sprint(code)
	case errors.As(err, &timeout) && timeout.Timeout():
		return "no answer"
	}
	return "no connection"
}
