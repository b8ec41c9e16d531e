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

package encryption

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/rest"
)

// loadPoll is the interval at which replicas are asked; they read the file every five seconds.
const loadPoll = time.Second

var (
	// hashMetric is k8s.io/apiserver's metric of the configuration that a server has loaded.
	hashMetric = regexp.MustCompile(`(?m)^apiserver_encryption_config_controller_last_config_info\{[^}]*\bhash="([^"]*)"`)
	kmsFailed  = []byte("\ngatehouse_encryption_kms_healthy 0\n")
)

// replica is a server of the same data.
type replica struct {
	url    string
	client rest.Interface
}

// state is what a replica has loaded.
type state struct {
	// hash is that of its file; empty if it runs without one.
	hash      string
	kmsFailed bool
}

// replicas returns the servers of the URLs, or the one of the configuration.
func replicas(config *rest.Config, urls []string) ([]replica, error) {
	if len(urls) == 0 {
		urls = []string{config.Host}
	}
	var all []replica
	for _, url := range urls {
		c := rest.CopyConfig(config)
		c.Host = url
		c.Timeout = 30 * time.Second
		client, err := discovery.NewDiscoveryClientForConfig(c)
		if err != nil {
			return nil, fmt.Errorf("--replica=%s: %w", url, err)
		}
		all = append(all, replica{url, client.RESTClient()})
	}
	return all, nil
}

// state reads the metrics of the replica.
func (r replica) state(ctx context.Context) (state, error) {
	text, err := r.client.Get().AbsPath("/metrics").SetHeader("Accept", "text/plain").DoRaw(ctx)
	switch {
	case apierrors.IsUnauthorized(err):
		return state{}, &refusedError{fmt.Errorf("%s does not accept the credentials of the kubeconfig: name another one with --kubeconfig: %w", r.url, err)}
	case apierrors.IsForbidden(err):
		return state{}, &refusedError{fmt.Errorf("%s: the user of the kubeconfig must not read /metrics, which has what the server has loaded: grant the verb get of the nonResourceURL /metrics, or name an administrator with --kubeconfig: %w", r.url, err)}
	case err != nil:
		return state{}, fmt.Errorf("%s: /metrics cannot be read: %w", r.url, err)
	}
	s := state{kmsFailed: bytes.Contains(text, kmsFailed)}
	if match := hashMetric.FindSubmatch(text); match != nil {
		s.hash = string(match[1])
	}
	return s, nil
}

// refusedError is the answer of a server to a user without the right, for which waiting is no cure.
type refusedError struct{ error }

// waiting returns why the replica does not use the content of that hash, or nil if it does.
func (r replica) waiting(ctx context.Context, hash string) error {
	s, err := r.state(ctx)
	switch {
	case err != nil:
		return err
	case s.hash == "":
		return fmt.Errorf("%s runs without --encryption-provider-config", r.url)
	case s.hash != hash:
		return fmt.Errorf("%s has loaded another content: copy the file to its machine; a server without --encryption-provider-config-automatic-reload loads it at its next start", r.url)
	}
	return nil
}

// waitLoaded returns when all replicas have loaded the file.
func waitLoaded(ctx context.Context, all []replica, file *File, timeout time.Duration, notes io.Writer) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	var reported string
	for {
		var missing []string
		for _, r := range all {
			why := r.waiting(ctx, file.Hash)
			if refused := (*refusedError)(nil); errors.As(why, &refused) {
				return why
			}
			if why != nil {
				missing = append(missing, why.Error())
			}
		}
		if len(missing) == 0 {
			fmt.Fprintf(notes, "loaded by %d of %d servers\n", len(all), len(all))
			return nil
		}
		if text := strings.Join(missing, "; "); text != reported && ctx.Err() == nil {
			fmt.Fprintf(notes, "waiting: %s\n", text)
			reported = text
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("not every server has loaded %s: %s; run the command again when it has, or wait longer with --timeout", file.Path, reported)
		case <-time.After(loadPoll):
		}
	}
}
