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
	"fmt"
	"net/http"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/klog/v2"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet"
	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/pkg/tunnel"
)

// TunnelREST is hosts/tunnel: the agent of the host opens its tunnel there.
type TunnelREST struct {
	hosts   rest.Getter
	tunnels *tunnel.Registry
}

var _ rest.Connecter = &TunnelREST{}

// NewTunnelREST returns the endpoint, which reads hosts from a storage.
func NewTunnelREST(hosts rest.Getter, tunnels *tunnel.Registry) *TunnelREST {
	return &TunnelREST{hosts: hosts, tunnels: tunnels}
}

// New implements rest.Storage.
func (r *TunnelREST) New() runtime.Object { return &fleet.HostTunnelOptions{} }

// Destroy implements rest.Storage. The storage of hosts is destroyed by itself.
func (r *TunnelREST) Destroy() {}

// NewConnectOptions implements rest.Connecter.
func (r *TunnelREST) NewConnectOptions() (runtime.Object, bool, string) {
	return &fleet.HostTunnelOptions{}, false, ""
}

// ConnectMethods implements rest.Connecter.
func (r *TunnelREST) ConnectMethods() []string { return []string{http.MethodPost} }

// Connect takes the connection of the host's agent over. No role suffices: the caller is the host, and the Host exists.
func (r *TunnelREST) Connect(ctx context.Context, name string, _ runtime.Object, responder rest.Responder) (http.Handler, error) {
	caller, ok := request.UserFrom(ctx)
	if !ok || caller.GetName() != v1alpha1.HostUserPrefix+name {
		return nil, apierrors.NewForbidden(fleet.Resource("hosts/tunnel"), name, fmt.Errorf("only the agent of host %q opens its tunnel", name))
	}
	if _, err := r.hosts.Get(ctx, name, &metav1.GetOptions{}); err != nil {
		return nil, err
	}
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		conn, err := tunnel.Accept(w, req)
		if err != nil {
			responder.Error(err)
			return
		}
		err = r.tunnels.Hold(req.Context(), name, conn)
		klog.FromContext(req.Context()).V(2).Info("Tunnel of a host has ended", "host", name, "cause", err)
	}), nil
}
