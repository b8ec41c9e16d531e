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

package app

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apiserver/pkg/authorization/authorizer"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/pkg/apiserver"
	"github.com/gatehouse-dev/gatehouse/pkg/certificates"
	"github.com/gatehouse-dev/gatehouse/pkg/controller/manager"
	"github.com/gatehouse-dev/gatehouse/pkg/generated/clientset/versioned"
	"github.com/gatehouse-dev/gatehouse/pkg/server/options"
)

// pause is an authorizer that holds back an allowed request of a host until the test continues: it
// extends the time between the decision and the storage.
type pause struct {
	authorizer.Authorizer

	mu sync.Mutex
	// decided is closed at the next decision about an instance for a host, which then waits for
	// goOn; nil if no decision waits.
	decided, goOn chan struct{}
}

func (p *pause) Authorize(ctx context.Context, a authorizer.Attributes) (authorizer.Decision, string, error) {
	decision, reason, err := p.Authorizer.Authorize(ctx, a)
	p.keep(a)
	return decision, reason, err
}

func (p *pause) ConditionsAwareAuthorize(ctx context.Context, a authorizer.Attributes) authorizer.ConditionsAwareDecision {
	decision := p.Authorizer.ConditionsAwareAuthorize(ctx, a)
	p.keep(a)
	return decision
}

func (p *pause) keep(a authorizer.Attributes) {
	if a.GetResource() != "instances" || !slices.Contains(a.GetUser().GetGroups(), "system:hosts") {
		return
	}
	p.mu.Lock()
	decided, goOn := p.decided, p.goOn
	p.decided, p.goOn = nil, nil
	p.mu.Unlock()
	if decided != nil {
		close(decided)
		<-goOn
	}
}

// next holds back the next decision.
func (p *pause) next() (decided <-chan struct{}, goOn func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.decided, p.goOn = make(chan struct{}), make(chan struct{})
	return p.decided, sync.OnceFunc(func(c chan struct{}) func() { return func() { close(c) } }(p.goOn))
}

// run is Run with the pause around the authorizer.
func (p *pause) run(ctx context.Context, o options.CompletedOptions, observe Observer) error {
	return run(ctx, o, &startup{observe: observe, change: func(config *apiserver.Config) {
		p.Authorizer = config.Generic.Authorization.Authorizer
		config.Generic.Authorization.Authorizer = p
	}})
}

// startStandaloneBy runs a standalone server until the test ends.
func startStandaloneBy(t *testing.T, run func(context.Context, options.CompletedOptions, Observer) error) (options.CompletedOptions, Ready, *certificates.Bundle) {
	t.Helper()
	dir, err := os.MkdirTemp("", "gatehouse-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	o := options.NewOptions()
	o.Mode, o.DataDir, o.Controllers = options.ModeStandalone, filepath.Join(dir, "data"), manager.ClusterControllers()
	if o.Serving.Listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	completed, err := o.Complete()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ready, stopped := make(chan Ready, 1), make(chan error, 1)
	go func() { stopped <- run(ctx, completed, Observer{Ready: func(r Ready) { ready <- r }}) }()
	t.Cleanup(func() {
		cancel()
		if err := <-stopped; err != nil {
			t.Errorf("the server did not stop in order: %v", err)
		}
	})
	select {
	case r := <-ready:
		bundle, err := certificates.Ensure(completed.CertificateDir(), completed.CertificateOptions())
		if err != nil {
			t.Fatal(err)
		}
		return completed, r, bundle
	case err := <-stopped:
		stopped <- nil
		t.Fatalf("the server did not start: %v", err)
	case <-time.After(time.Minute):
		t.Fatal("the server did not become ready within a minute")
	}
	panic("unreachable")
}

func TestWhatWasDecidedAboutAnInstanceIsNotDoneToTheOneThatTakesItsPlace(t *testing.T) {
	t.Run("standalone", func(t *testing.T) {
		p := &pause{}
		o, ready, users := startStandaloneBy(t, p.run)
		tryRaces(t, p, o, ready, users)
	})
	t.Run("aggregated", func(t *testing.T) {
		p := &pause{}
		_, o, ready, users := startAggregatedBy(t, p.run)
		tryRaces(t, p, o, ready, users)
	})
}

// tryRaces sends a request of a host for its own instance, and replaces the instance by one of another host
// after the authorizer has allowed the request.
func tryRaces(t *testing.T, p *pause, o options.CompletedOptions, ready Ready, users *certificates.Bundle) {
	t.Helper()
	admin := clientOf(t, o, ready, users, "admin", "system:masters").FleetV1alpha1()
	edge := clientOf(t, o, ready, users, "system:host:edge-1", "system:hosts")
	for _, name := range []string{"edge-1", "edge-2"} {
		if _, err := admin.Hosts().Create(t.Context(), &v1alpha1.Host{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	now := int64(0)
	put := func(host string) *v1alpha1.Instance {
		t.Helper()
		instances := admin.Instances("default")
		if err := instances.Delete(t.Context(), "web", metav1.DeleteOptions{GracePeriodSeconds: &now}); err != nil && !apierrors.IsNotFound(err) {
			t.Fatal(err)
		}
		if _, err := instances.Create(t.Context(), &v1alpha1.Instance{
			ObjectMeta: metav1.ObjectMeta{Name: "web"},
			Spec:       v1alpha1.InstanceSpec{Containers: []v1alpha1.Container{{Name: "web", Image: "web:1"}}},
		}, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		if _, err := instances.Bind(t.Context(), "web", &v1alpha1.Binding{Target: v1alpha1.BindingTarget{Kind: "Host", Name: host}}, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		got, err := instances.Get(t.Context(), "web", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	for name, operation := range raceOperations(edge) {
		t.Run(name, func(t *testing.T) {
			put("edge-1")
			decided, goOn := p.next()
			defer goOn()
			answer := make(chan error, 1)
			go func() { answer <- operation(t.Context()) }()
			select {
			case <-decided:
			case err := <-answer:
				t.Fatalf("answered before it was decided: %v", err)
			}
			other := put("edge-2")
			goOn()
			if err := <-answer; !apierrors.IsForbidden(err) {
				t.Errorf("got %v, want a 403", err)
			}
			after, err := admin.Instances("default").Get(t.Context(), "web", metav1.GetOptions{})
			if err != nil || after.UID != other.UID || after.ResourceVersion != other.ResourceVersion {
				t.Errorf("the instance of the other host is %+v (%v)", after, err)
			}
		})
	}
}

// raceOperations are all requests that a host may send for one instance.
func raceOperations(edge versioned.Interface) map[string]func(context.Context) error {
	now := int64(0)
	instances := edge.FleetV1alpha1().Instances("default")
	status := []byte(`{"status":{"phase":"Failed"}}`)
	return map[string]func(context.Context) error{
		"get": func(ctx context.Context) error {
			_, err := instances.Get(ctx, "web", metav1.GetOptions{})
			return err
		},
		"get from the cache": func(ctx context.Context) error {
			// A cache that is behind has the host's own instance, which is harmless.
			got, err := instances.Get(ctx, "web", metav1.GetOptions{ResourceVersion: "0"})
			if err == nil && got.Spec.HostName == "edge-1" {
				return apierrors.NewForbidden(v1alpha1.Resource("instances"), "web", errors.New("its own of before"))
			}
			return err
		},
		"get of the status": func(ctx context.Context) error {
			return edge.FleetV1alpha1().RESTClient().Get().Namespace("default").Resource("instances").Name("web").SubResource("status").Do(ctx).Error()
		},
		"patch of the status": func(ctx context.Context) error {
			_, err := instances.Patch(ctx, "web", types.MergePatchType, status, metav1.PatchOptions{}, "status")
			return err
		},
		"patch that depends on the stored object": func(ctx context.Context) error {
			_, err := instances.Patch(ctx, "web", types.JSONPatchType, []byte(`[{"op":"test","path":"/spec/hostName","value":"edge-3"}]`), metav1.PatchOptions{}, "status")
			return err
		},
		"apply of the status": func(ctx context.Context) error {
			force := true
			_, err := instances.Patch(ctx, "web", types.ApplyYAMLPatchType, []byte(`{"apiVersion":"fleet.gatehouse.dev/v1alpha1","kind":"Instance","metadata":{"name":"web"},"status":{"phase":"Failed"}}`), metav1.PatchOptions{FieldManager: "edge", Force: &force}, "status")
			return err
		},
		"delete": func(ctx context.Context) error {
			return instances.Delete(ctx, "web", metav1.DeleteOptions{GracePeriodSeconds: &now})
		},
		"token": func(ctx context.Context) error {
			request := &authenticationv1.TokenRequest{TypeMeta: metav1.TypeMeta{APIVersion: "authentication.k8s.io/v1", Kind: "TokenRequest"}}
			return edge.FleetV1alpha1().RESTClient().Post().Namespace("default").Resource("instances").Name("web").SubResource("token").Body(request).Do(ctx).Error()
		},
	}
}
