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

package streams

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet"
	"github.com/gatehouse-dev/gatehouse/pkg/tunnel"
)

const (
	// maxHeader bounds the header of an agent's response, in bytes.
	maxHeader = 16 << 10
	// headerTimeout bounds the time until an agent has begun its response.
	headerTimeout = 30 * time.Second
	// retryAfter is the number of seconds after which a client may try a host again that has no tunnel.
	retryAfter = 2
)

// Dialer opens streams to the agents of hosts. The error wraps tunnel.ErrNotConnected if a host is connected to no server.
type Dialer interface {
	Dial(ctx context.Context, host string) (net.Conn, error)
}

// Config has what the endpoints of instances need.
type Config struct {
	Instances, Leases rest.Getter
	Hosts             Dialer
	Authorizer        authorizer.Authorizer
}

// found is an instance and the container that a request is for.
type found struct {
	*fleet.Instance
	container string
}

// find returns the instance, which must be bound to a host, and its container; container may be empty if there is one.
func (c *Config) find(ctx context.Context, name, container string) (*found, error) {
	instance, err := c.instance(ctx, name)
	if err != nil {
		return nil, err
	}
	names := make([]string, 0, len(instance.Spec.Containers))
	for i := range instance.Spec.Containers {
		names = append(names, instance.Spec.Containers[i].Name)
	}
	switch {
	case container == "" && len(names) != 1:
		return nil, apierrors.NewBadRequest(fmt.Sprintf("a container name must be specified for instance %s, choose one of: [%s]", name, strings.Join(names, " ")))
	case container == "":
		container = names[0]
	case !slices.Contains(names, container):
		return nil, apierrors.NewBadRequest(fmt.Sprintf("container %s is not valid for instance %s, choose one of: [%s]", container, name, strings.Join(names, " ")))
	}
	return &found{instance, container}, nil
}

// instance returns an instance that is bound to a host.
func (c *Config) instance(ctx context.Context, name string) (*fleet.Instance, error) {
	obj, err := c.Instances.Get(ctx, name, &metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	instance, ok := obj.(*fleet.Instance)
	if !ok {
		return nil, apierrors.NewInternalError(fmt.Errorf("%T is no Instance", obj))
	}
	if instance.Spec.HostName == "" {
		return nil, apierrors.NewBadRequest(fmt.Sprintf("instance %s is not bound to a host yet: its condition Scheduled has the reason", name))
	}
	return instance, nil
}

// location returns the URL at the agent; see package streaming of the agent. The host is only for readers of messages: the
// transport reaches no other.
func location(instance *fleet.Instance, query url.Values, path ...string) *url.URL {
	base := &url.URL{Scheme: "http", Host: instance.Spec.HostName, Path: "/v1/instances"}
	u := base.JoinPath(append([]string{instance.Namespace, instance.Name, string(instance.UID)}, path...)...)
	u.RawQuery = query.Encode()
	return u
}

// transport returns a transport whose connections are streams to the host. They end with the request: with the connection of
// the client, and when its credentials or rights are withdrawn. The first stream is open already, so that a host that is not
// reached is the response: later, a failure to dial would reach users as an internal error by the library's reader of logs.
func (c *Config) transport(ctx context.Context, host string) (*http.Transport, error) {
	first, err := c.Hosts.Dial(ctx, host)
	if err != nil {
		return nil, c.unreachable(ctx, host, err)
	}
	var unused atomic.Pointer[net.Conn]
	unused.Store(&first)
	return &http.Transport{
		DisableKeepAlives: true, DisableCompression: true, MaxResponseHeaderBytes: maxHeader, ResponseHeaderTimeout: headerTimeout,
		DialContext: func(context.Context, string, string) (net.Conn, error) {
			if conn := unused.Swap(nil); conn != nil {
				return *conn, nil
			}
			return c.Hosts.Dial(ctx, host)
		},
	}, nil
}

// unreachable returns the response for a host that no server reaches.
func (c *Config) unreachable(ctx context.Context, host string, cause error) error {
	text := fmt.Sprintf("host %s cannot be reached: %v (%s)", host, cause, c.lastSeen(ctx, host))
	if errors.Is(cause, tunnel.ErrNotConnected) {
		text = fmt.Sprintf("host %s is connected to no server (%s)", host, c.lastSeen(ctx, host))
	}
	err := apierrors.NewServiceUnavailable(text)
	err.ErrStatus.Details = &metav1.StatusDetails{RetryAfterSeconds: retryAfter}
	return err
}

// lastSeen describes the last heartbeat of a host.
func (c *Config) lastSeen(ctx context.Context, host string) string {
	obj, err := c.Leases.Get(ctx, host, &metav1.GetOptions{})
	if lease, ok := obj.(*fleet.HostLease); err == nil && ok && lease.Spec.RenewTime != nil {
		return fmt.Sprintf("last seen %s ago", time.Since(lease.Spec.RenewTime.Time).Round(time.Second))
	}
	return "it was never seen"
}

// mayCreate demands the verb create, whatever the method: a client opens a WebSocket by GET, for which the verb is get. See
// kubernetes/kubernetes#133515.
func (c *Config) mayCreate(ctx context.Context) error {
	info, ok := request.RequestInfoFrom(ctx)
	caller, known := request.UserFrom(ctx)
	if !ok || !known {
		return apierrors.NewInternalError(errors.New("a request without its description or its user"))
	}
	if info.Verb == "create" {
		return nil // the filter has asked
	}
	decision, reason, err := c.Authorizer.Authorize(ctx, authorizer.AttributesRecord{
		User: caller, Verb: "create", Namespace: info.Namespace, APIGroup: info.APIGroup, APIVersion: info.APIVersion,
		Resource: info.Resource, Subresource: info.Subresource, Name: info.Name, ResourceRequest: true, Path: info.Path,
	})
	if decision == authorizer.DecisionAllow {
		return nil
	}
	if err != nil {
		return apierrors.NewInternalError(err)
	}
	return apierrors.NewForbidden(fleet.Resource(info.Resource+"/"+info.Subresource), info.Name,
		fmt.Errorf("user %q needs the verb create, whatever the HTTP method %s", caller.GetName(), reason))
}
