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

package manager

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"
	"testing"

	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"github.com/gatehouse-dev/gatehouse/pkg/controller/leader"
)

// leaseServer stores one Lease.
type leaseServer struct {
	mu      sync.Mutex
	lease   *coordinationv1.Lease
	version int
}

func (s *leaseServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	switch r.Method {
	case http.MethodPost, http.MethodPut:
		lease := &coordinationv1.Lease{}
		_ = json.NewDecoder(r.Body).Decode(lease)
		s.version++
		lease.ResourceVersion = strconv.Itoa(s.version)
		s.lease = lease
	}
	if s.lease == nil {
		w.WriteHeader(http.StatusNotFound)
		_ = json.NewEncoder(w).Encode(metav1.Status{TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}, Status: metav1.StatusFailure, Reason: metav1.StatusReasonNotFound, Code: http.StatusNotFound})
		return
	}
	s.lease.TypeMeta = metav1.TypeMeta{Kind: "Lease", APIVersion: "coordination.k8s.io/v1"}
	_ = json.NewEncoder(w).Encode(s.lease)
}

func (s *leaseServer) holder() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lease == nil || s.lease.Spec.HolderIdentity == nil {
		return ""
	}
	return *s.lease.Spec.HolderIdentity
}

// A replica that kept the lease after a failure would keep other replicas from working.
func TestAFailedTermReturnsItsErrorAndReleasesTheLease(t *testing.T) {
	server := &leaseServer{}
	serving := httptest.NewServer(server)
	t.Cleanup(serving.Close)
	failure := errors.New("no informers")
	held := ""
	works := Runners{runnerFunc(func(context.Context) error { held = server.holder(); return failure })}
	for name, first := range map[string]Runners{"a controller fails": works, "the next term cannot be constructed": nil} {
		t.Run(name, func(t *testing.T) {
			replica := &elected{election: leader.Config{
				Client:    &rest.Config{Host: serving.URL, ContentConfig: rest.ContentConfig{ContentType: "application/json"}},
				Namespace: LeaseNamespace, LeaseName: "controllers", Identity: "this", LeaseDuration: leaseDuration, RenewDeadline: renewDeadline, RetryPeriod: retryPeriod,
			}, first: first, construct: func() (Runners, error) { held = server.holder(); return nil, failure }}
			if err := replica.Run(t.Context()); !errors.Is(err, failure) {
				t.Errorf("got %v", err)
			}
			if held != "this" || server.holder() != "" {
				t.Errorf("%q held the lease, and %q does afterwards", held, server.holder())
			}
		})
	}
}
