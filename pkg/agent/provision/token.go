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

package provision

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/klog/v2"
	"k8s.io/utils/ptr"

	"github.com/gatehouse-dev/gatehouse/pkg/agent/runtime"
	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/pkg/files"
)

const (
	// tokenPath is where client-go looks for the token in a container.
	tokenPath = "/var/run/secrets/kubernetes.io/serviceaccount"
	// renewInterval is the time between looks for tokens to renew.
	renewInterval = 10 * time.Second
	// refusedPause is the time after which a token is requested again that the server refused, such as
	// that of an account that does not exist.
	refusedPause = time.Minute
)

// issued is the token of an instance, without its value, as it is recorded in RunDir: the next process
// of the agent renews it.
type issued struct {
	UID       types.UID `json:"uid"`
	Namespace string    `json:"namespace"`
	Name      string    `json:"name"`
	// Renew is the time of the next request: after 80 % of the token's life.
	Renew time.Time `json:"renew"`
}

func (m *Manager) tokenRecord(uid types.UID) string {
	return filepath.Join(m.tokensDir(), string(uid)+".json")
}

// loadTokens reads the records of an earlier process.
func (m *Manager) loadTokens() error {
	entries, err := os.ReadDir(m.tokensDir())
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if filepath.Ext(entry.Name()) != ".json" || entry.Name()[0] == '.' {
			continue
		}
		record := &issued{}
		data, err := files.ReadFile(filepath.Join(m.tokensDir(), entry.Name()))
		if err = errors.Join(err, json.Unmarshal(data, record)); err != nil || checkUID(record.UID) != nil {
			continue // the next start of a container writes it again
		}
		m.tokens[record.UID] = record
	}
	return nil
}

// tokenMount returns the mount of the token of the service account, unless the instance has none or
// the container mounts something else there. A container does not wait for a token: while the server
// is away or refuses, the file is absent, and Run writes it later.
func (m *Manager) tokenMount(ctx context.Context, instance *v1alpha1.Instance, container *v1alpha1.Container) ([]runtime.Mount, error) {
	if !ptr.Deref(instance.Spec.AutomountServiceAccountToken, true) {
		return nil, nil
	}
	for i := range container.VolumeMounts {
		if path.Clean(container.VolumeMounts[i].MountPath) == tokenPath {
			return nil, nil
		}
	}
	m.mu.Lock()
	record := m.tokens[instance.UID]
	m.mu.Unlock()
	dir := filepath.Join(m.tokensDir(), string(instance.UID))
	if record == nil || !m.clock.Now().Before(record.Renew) || !exists(filepath.Join(dir, "token")) {
		if err := makeDir(dir, 0o755); err != nil {
			return nil, err
		}
		if err := m.renew(ctx, &issued{UID: instance.UID, Namespace: instance.Namespace, Name: instance.Name}); err != nil {
			return nil, err
		}
	}
	return []runtime.Mount{{HostPath: dir, ContainerPath: tokenPath, ReadOnly: true}}, nil
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// renew requests a token and writes its files. It is called with the instance locked. The error is
// one of the disk; that of the server is logged, and the record has the time of the next try.
func (m *Manager) renew(ctx context.Context, record *issued) error {
	next := *record
	now, content := m.clock.Now(), map[string]file{
		"namespace": {data: []byte(record.Namespace), mode: 0o644},
	}
	if len(m.options.CA) > 0 {
		content["ca.crt"] = file{data: m.options.CA, mode: 0o644}
	}
	var token *Token
	err := m.ask(ctx, func(ctx context.Context) (err error) {
		token, err = m.server.Token(ctx, record.Namespace, record.Name, record.UID)
		return err
	})
	dir := filepath.Join(m.tokensDir(), string(record.UID))
	switch {
	case err == nil:
		content["token"] = file{data: []byte(token.Value), mode: 0o644}
		next.Renew = now.Add(token.Expires.Sub(now) * 8 / 10)
	case errors.Is(err, errAway):
		next.Renew = now.Add(renewInterval)
	default:
		next.Renew = now.Add(refusedPause)
		if !apierrors.IsNotFound(err) && !apierrors.IsForbidden(err) {
			klog.FromContext(ctx).Error(err, "Requesting a token failed, retrying", "instance", klog.KRef(record.Namespace, record.Name))
		} else {
			klog.FromContext(ctx).Info("Token was refused, retrying", "instance", klog.KRef(record.Namespace, record.Name), "err", err)
		}
	}
	if err == nil || !exists(filepath.Join(dir, "token")) {
		// An old token stays until there is another: it is valid for a while.
		if err := writeFiles(dir, content); err != nil {
			return fmt.Errorf("writing the token of the instance failed: %w", err)
		}
	}
	data, err := json.Marshal(&next)
	if err != nil {
		return err
	}
	if err := files.Replace(m.tokenRecord(record.UID), data, 0o600); err != nil {
		return err
	}
	m.mu.Lock()
	m.tokens[record.UID] = &next
	m.mu.Unlock()
	return nil
}

// Run renews tokens until the context ends.
func (m *Manager) Run(ctx context.Context) {
	ticker := time.NewTicker(renewInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			m.renewDue(ctx)
		}
	}
}

// renewDue renews the tokens that are due.
func (m *Manager) renewDue(ctx context.Context) {
	m.mu.Lock()
	var due []types.UID
	for uid, record := range m.tokens {
		if !m.clock.Now().Before(record.Renew) {
			due = append(due, uid)
		}
	}
	m.mu.Unlock()
	for _, uid := range due {
		m.renewOne(ctx, uid)
	}
}

func (m *Manager) renewOne(ctx context.Context, uid types.UID) {
	defer m.lock(uid)()
	m.mu.Lock()
	record := m.tokens[uid]
	m.mu.Unlock()
	if record == nil || ctx.Err() != nil {
		return // released meanwhile
	}
	if err := m.renew(ctx, record); err != nil {
		klog.FromContext(ctx).Error(err, "Renewing a token failed, retrying", "instance", klog.KRef(record.Namespace, record.Name))
	}
}
