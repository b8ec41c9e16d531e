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

package cluster

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// etcdStatus is the response of an external member.
type etcdStatus struct {
	Header struct {
		MemberID string `json:"member_id"`
	} `json:"header"`
	Leader string `json:"leader"`
}

// etcdStatus returns the status of an external member, and an error if the member has no leader.
func (n *Node) etcdStatus(ctx context.Context) (*etcdStatus, error) {
	var status etcdStatus
	if err := n.Etcd(ctx, "/v3/maintenance/status", map[string]any{}, &status); err != nil {
		return nil, err
	}
	if status.Leader == "" || status.Leader == "0" {
		return nil, fmt.Errorf("%s has no leader", n.Name)
	}
	return &status, nil
}

// Etcd calls a function of an external member by its gateway for JSON.
func (n *Node) Etcd(ctx context.Context, path string, content, into any) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	encoded, err := json.Marshal(content)
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, n.URL+path, bytes.NewReader(encoded))
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s: %s", n.Name, path, response.Status)
	}
	return json.NewDecoder(response.Body).Decode(into)
}

// Leader returns the member that leads. A lone member leads.
func (c *Cluster) Leader(ctx context.Context) (*Node, error) {
	if len(c.Storage) == 1 {
		return c.Storage[0], nil
	}
	for {
		for _, n := range c.Storage {
			if !n.Running() {
				continue
			}
			if c.leads(ctx, n) {
				return n, nil
			}
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("no member leads: %w", ctx.Err())
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// leads reports whether a member is the leader.
func (c *Cluster) leads(ctx context.Context, n *Node) bool {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	if c.Replicas == 0 {
		metrics, err := c.read(ctx, n, "/metrics")
		return err == nil && strings.Contains(metrics, "\netcd_server_is_leader 1\n")
	}
	status, err := n.etcdStatus(ctx)
	return err == nil && status.Leader == status.Header.MemberID
}
