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
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"github.com/gatehouse-dev/gatehouse/pkg/storage/embedded"
)

// instanceKey returns the etcd key of an instance.
func instanceKey(name string) string {
	return "/registry/fleet.gatehouse.dev/instances/" + namespace + "/" + name
}

func newEtcdClient(endpoint string) (*clientv3.Client, error) {
	return clientv3.New(clientv3.Config{Endpoints: []string{endpoint}, DialTimeout: 5 * time.Second, Logger: zap.NewNop()})
}

// storedValue returns the stored value of an instance, from the server's own etcd.
func storedValue(ctx context.Context, s *server, name string) (string, error) {
	client, err := newEtcdClient(s.etcdEndpoint())
	if err != nil {
		return "", err
	}
	defer func() { _ = client.Close() }()
	response, err := client.Get(ctx, instanceKey(name))
	if err != nil {
		return "", err
	}
	if len(response.Kvs) != 1 {
		return "", fmt.Errorf("the server's etcd has nothing at %s", instanceKey(name))
	}
	value := string(response.Kvs[0].Value)
	if !strings.HasPrefix(value, "k8s\x00") {
		return "", fmt.Errorf("%s is not stored as protobuf", name)
	}
	return value, nil
}

func storedSize(ctx context.Context, s *server, name string) (int, error) {
	value, err := storedValue(ctx, s, name)
	return len(value), err
}

// rawEtcd is the same embedded etcd as the server's, in this process and without a server.
type rawEtcd struct {
	server *embedded.Server
	client *clientv3.Client
}

func startRawEtcd(ctx context.Context, dir string) (*rawEtcd, error) {
	server, err := embedded.Start(ctx, embedded.Config{DataDir: dir})
	if err != nil {
		return nil, err
	}
	client, err := newEtcdClient(server.Endpoints()[0])
	if err != nil {
		return nil, errors.Join(err, server.Close())
	}
	return &rawEtcd{server, client}, nil
}

func (e *rawEtcd) close() error {
	return errors.Join(e.client.Close(), e.server.Close())
}

// create writes as the API server does: only if the key does not exist.
func (e *rawEtcd) create(ctx context.Context, name, value string) error {
	key := instanceKey(name)
	response, err := e.client.Txn(ctx).
		If(clientv3.Compare(clientv3.ModRevision(key), "=", 0)).
		Then(clientv3.OpPut(key, value)).
		Else(clientv3.OpGet(key)).
		Commit()
	if err == nil && !response.Succeeded {
		err = fmt.Errorf("%s exists already", key)
	}
	return err
}
