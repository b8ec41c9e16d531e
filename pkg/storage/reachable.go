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

package storage

import (
	"context"
	"errors"
	"net"
	"net/url"
	"strings"
	"time"
)

// dialTimeout is how long one endpoint has to take a connection.
const dialTimeout = 3 * time.Second

// CheckReachable returns an error unless at least one endpoint takes a connection: the
// etcd client would try for twenty seconds and then name neither the endpoint nor the
// reason. It proves no more than that; what TLS and etcd say comes later.
func CheckReachable(ctx context.Context, endpoints []string) error {
	var reasons []string
	for _, endpoint := range endpoints {
		network, address, err := dialAddress(endpoint)
		if err != nil {
			reasons = append(reasons, err.Error())
			continue
		}
		conn, err := (&net.Dialer{Timeout: dialTimeout}).DialContext(ctx, network, address)
		if err == nil {
			return conn.Close()
		}
		reasons = append(reasons, endpoint+": "+err.Error())
	}
	return errors.New(strings.Join(reasons, "; "))
}

// dialAddress is what a dialer makes of an endpoint's URL; etcd's port is 2379 unless said.
func dialAddress(endpoint string) (network, address string, err error) {
	u, err := url.Parse(endpoint)
	switch {
	case err != nil:
		return "", "", err
	case u.Scheme == "unix":
		return "unix", u.Host + u.Path, nil
	case u.Port() == "":
		return "tcp", net.JoinHostPort(u.Hostname(), "2379"), nil
	}
	return "tcp", u.Host, nil
}
