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

package harness

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"k8s.io/apimachinery/pkg/watch"
)

// EtcdClient returns a client of the embedded etcd of the data directory. Close it before
// the server stops, or the client logs errors.
func EtcdClient(t *testing.T, dataDir string) *clientv3.Client {
	t.Helper()
	client, err := clientv3.New(clientv3.Config{
		Endpoints: []string{"unix://" + filepath.Join(dataDir, "etcd", "etcd.sock")},
		Logger:    zap.NewNop(),
	})
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// History reads from etcd all changes of instances after a revision, up to another.
func History(ctx context.Context, client *clientv3.Client, after, upTo uint64) ([]Change, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	const prefix = "/registry/fleet.gatehouse.dev/instances/"
	var changes []Change
	for response := range client.Watch(clientv3.WithRequireLeader(ctx), prefix, clientv3.WithPrefix(), clientv3.WithRev(int64(after)+1)) {
		if err := response.Err(); err != nil {
			return nil, err
		}
		for _, event := range response.Events {
			kind := watch.Deleted
			switch {
			case event.IsCreate():
				kind = watch.Added
			case event.IsModify():
				kind = watch.Modified
			}
			version := uint64(event.Kv.ModRevision)
			if version > upTo {
				return changes, nil
			}
			key := string(event.Kv.Key)
			changes = append(changes, Change{Version: version, Kind: kind, Name: key[strings.LastIndexByte(key, '/')+1:]})
			if version == upTo {
				return changes, nil
			}
		}
	}
	return nil, fmt.Errorf("etcd's watch ended after %d events: %w", len(changes), ctx.Err())
}
