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
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/pkg/authentication/revocation"
	"github.com/gatehouse-dev/gatehouse/pkg/controller/manager"
	"github.com/gatehouse-dev/gatehouse/pkg/generated/clientset/versioned"
	"github.com/gatehouse-dev/gatehouse/pkg/server/options"
)

// gatehouseHost runs gatehouse host, which must succeed, and returns its notes.
func gatehouseHost(t *testing.T, args ...string) (notes string) {
	t.Helper()
	cmd := newHostCommand()
	cmd.SetArgs(args)
	var said strings.Builder
	cmd.SetErr(&said)
	if err := cmd.ExecuteContext(t.Context()); err != nil {
		t.Fatalf("gatehouse host %s: %v", strings.Join(args, " "), err)
	}
	return said.String()
}

// revokeAndReadNotes revokes a host and checks whether the notes report that there is none of that name.
func revokeAndReadNotes(t *testing.T, dataDir, name string, unknown bool) {
	t.Helper()
	notes := gatehouseHost(t, "revoke", name, "--data-dir", dataDir)
	if strings.Contains(notes, "No host "+name+" is registered: check the name") != unknown {
		t.Errorf("the notes about host %s are %q; it is unknown: %t", name, notes, unknown)
	}
}

// kubeconfigClient returns a client with a kubeconfig.
func kubeconfigClient(t *testing.T, path string) versioned.Interface {
	t.Helper()
	config, err := clientcmd.BuildConfigFromFlags("", path)
	if err != nil {
		t.Fatal(err)
	}
	config.QPS = -1
	client, err := versioned.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// watchOwn opens a watch of a host.
func watchOwn(t *testing.T, client versioned.Interface, name string) watch.Interface {
	t.Helper()
	own := metav1.ListOptions{FieldSelector: "spec.hostName=" + name}
	list, err := client.FleetV1alpha1().Instances("").List(t.Context(), own)
	if err != nil {
		t.Fatal(err)
	}
	own.ResourceVersion = list.ResourceVersion
	w, err := client.FleetV1alpha1().Instances("").Watch(t.Context(), own)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Stop)
	return w
}

// ends waits for the end of a watch without events.
func ends(t *testing.T, w watch.Interface) {
	t.Helper()
	select {
	case event, ok := <-w.ResultChan():
		if ok {
			t.Errorf("the watch has an event: %v", event)
		}
	case <-time.After(time.Minute):
		t.Error("the watch of a revoked host stays open for a minute")
	}
}

func getHost(ctx context.Context, client versioned.Interface, name string) error {
	_, err := client.FleetV1alpha1().Hosts().Get(ctx, name, metav1.GetOptions{})
	return err
}

func TestARevocationOfAHostThatIsNotRegisteredIsNoted(t *testing.T) {
	o, _, _ := startStandaloneBy(t, Run)
	revokeAndReadNotes(t, o.DataDir, "edge-11", true)
}

func TestARevokedHostIsAcceptedWithANewCertificateOnly(t *testing.T) {
	o, ready, users := startStandaloneBy(t, Run)
	dir := t.TempDir()
	stolen, others, fresh := filepath.Join(dir, "stolen"), filepath.Join(dir, "others"), filepath.Join(dir, "fresh")
	gatehouseHost(t, "add", "edge-1", "--data-dir", o.DataDir, "--out", stolen)
	gatehouseHost(t, "add", "edge-2", "--data-dir", o.DataDir, "--out", others)
	thief, other := kubeconfigClient(t, stolen), kubeconfigClient(t, others)
	admin := clientOf(t, o, ready, users, "admin", "system:masters")
	host := func(name string) *v1alpha1.Host { return &v1alpha1.Host{ObjectMeta: metav1.ObjectMeta{Name: name}} }
	for name, client := range map[string]versioned.Interface{"edge-1": thief, "edge-2": other} {
		if _, err := client.FleetV1alpha1().Hosts().Create(t.Context(), host(name), metav1.CreateOptions{}); err != nil {
			t.Fatalf("%s cannot register: %v", name, err)
		}
	}
	watched, watchedByOther := watchOwn(t, thief, "edge-1"), watchOwn(t, other, "edge-2")

	// The operator revokes a stolen key.
	revokeAndReadNotes(t, o.DataDir, "edge-1", false)
	if err := admin.FleetV1alpha1().Hosts().Delete(t.Context(), "edge-1", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	ends(t, watched)
	if _, err := thief.FleetV1alpha1().Hosts().Create(t.Context(), host("edge-1"), metav1.CreateOptions{}); !apierrors.IsUnauthorized(err) {
		t.Errorf("the stolen key registers the host again: %v", err)
	}
	if err := getHost(t.Context(), admin, "edge-1"); !apierrors.IsNotFound(err) {
		t.Errorf("the host that was deleted: %v", err)
	}
	if err := getHost(t.Context(), other, "edge-2"); err != nil {
		t.Errorf("the other host is refused: %v", err)
	}
	select {
	case event, ok := <-watchedByOther.ResultChan():
		t.Errorf("the watch of the other host: %v, %t", event, ok)
	default:
	}

	// The next command issues a certificate that is valid.
	gatehouseHost(t, "add", "edge-1", "--data-dir", o.DataDir, "--out", fresh)
	owner := kubeconfigClient(t, fresh)
	if _, err := owner.FleetV1alpha1().Hosts().Create(t.Context(), host("edge-1"), metav1.CreateOptions{}); err != nil {
		t.Errorf("the new certificate: %v", err)
	}
	if err := getHost(t.Context(), thief, "edge-1"); !apierrors.IsUnauthorized(err) {
		t.Errorf("the stolen key beside the new certificate: %v", err)
	}
	// An administrator that impersonates the host is not affected.
	passing, err := clientcmd.BuildConfigFromFlags("", o.KubeconfigFile())
	if err != nil {
		t.Fatal(err)
	}
	passing.Impersonate = rest.ImpersonationConfig{UserName: "system:host:edge-1", Groups: []string{"system:hosts"}}
	client, err := versioned.NewForConfig(passing)
	if err != nil {
		t.Fatal(err)
	}
	if err := getHost(t.Context(), client, "edge-1"); err != nil {
		t.Errorf("an administrator that impersonates the host: %v", err)
	}
}

// A manual entry that cannot be parsed is a revocation nevertheless.
func TestARevocationThatCannotBeReadRefusesTheHost(t *testing.T) {
	o, ready, users := startStandaloneBy(t, Run)
	edge := clientOf(t, o, ready, users, "system:host:edge-1", "system:hosts")
	config, err := clientcmd.BuildConfigFromFlags("", o.KubeconfigFile())
	if err != nil {
		t.Fatal(err)
	}
	admin, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	watched := watchOwn(t, edge, "edge-1")
	if _, err := admin.CoreV1().ConfigMaps(revocation.Namespace).Create(t.Context(), &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Name: revocation.ConfigMap}, Data: map[string]string{"edge-1": "yesterday"},
	}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	ends(t, watched)
	if err := getHost(t.Context(), edge, "edge-1"); !apierrors.IsUnauthorized(err) {
		t.Errorf("got %v", err)
	}
}

// From the first open port on: the list must be read before a host is accepted.
func TestARevokedHostIsRefusedAfterARestartFromTheFirstMomentOn(t *testing.T) {
	dir, err := os.MkdirTemp("", "gatehouse-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	stolen := filepath.Join(dir, "stolen")
	var dataDir string
	for restart := range 5 {
		address, stop := startHere(t, filepath.Join(dir, "data"), restart == 0, func(o options.CompletedOptions) {
			dataDir = o.DataDir
			gatehouseHost(t, "add", "edge-1", "--data-dir", dataDir, "--out", stolen)
			gatehouseHost(t, "revoke", "edge-1", "--data-dir", dataDir)
		})
		if restart > 0 {
			config, err := clientcmd.BuildConfigFromFlags("", stolen)
			if err != nil {
				t.Fatal(err)
			}
			config.Host, config.QPS = "https://"+address, -1
			client, err := versioned.NewForConfig(config)
			if err != nil {
				t.Fatal(err)
			}
			for {
				err := getHost(t.Context(), client, "edge-1")
				var answer apierrors.APIStatus
				if errors.As(err, &answer) && apierrors.IsUnauthorized(err) {
					break
				}
				if err == nil || errors.As(err, &answer) && !apierrors.IsServiceUnavailable(err) {
					t.Fatalf("restart %d: the stolen key is answered with %v", restart, err)
				}
			}
		}
		stop()
	}
}

// startHere starts a server in a directory. It returns when the port is open, or, if the
// server must be ready, when it is.
func startHere(t *testing.T, dataDir string, awaitReady bool, then func(options.CompletedOptions)) (address string, stop func()) {
	t.Helper()
	o := options.NewOptions()
	o.Mode, o.DataDir, o.Controllers = options.ModeStandalone, dataDir, manager.ClusterControllers()
	var err error
	if o.Serving.Listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	completed, err := o.Complete()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ready, stopped := make(chan Ready, 1), make(chan error, 1)
	go func() { stopped <- Run(ctx, completed, Observer{Ready: func(r Ready) { ready <- r }}) }()
	stop = func() {
		t.Helper()
		cancel()
		if err := <-stopped; err != nil {
			t.Errorf("the server did not stop in order: %v", err)
		}
	}
	if awaitReady {
		select {
		case <-ready:
			then(completed)
		case err := <-stopped:
			stopped <- nil
			t.Fatalf("the server did not start: %v", err)
		}
	}
	return o.Serving.Listener.Addr().String(), stop
}

func TestInTheAggregatedModeTheClusterHasTheListOfRevokedHosts(t *testing.T) {
	cluster, o, ready, users := startAggregated(t)
	edge := clientOf(t, o, ready, users, "system:host:edge-1", "system:hosts")
	other := clientOf(t, o, ready, users, "system:host:edge-2", "system:hosts")
	watched := watchOwn(t, edge, "edge-1")
	cluster.mu.Lock()
	cluster.revoked = map[string]string{"edge-1": time.Now().UTC().Format(time.RFC3339)}
	cluster.mu.Unlock()
	ends(t, watched)
	if err := getHost(t.Context(), edge, "edge-1"); !apierrors.IsUnauthorized(err) {
		t.Errorf("the revoked host is answered with %v", err)
	}
	if err := getHost(t.Context(), other, "edge-2"); !apierrors.IsNotFound(err) {
		t.Errorf("the other host is answered with %v", err)
	}
}

func TestWithApprovalAHostIsRegisteredByAnOperatorOnly(t *testing.T) {
	o, ready, users := startStandaloneBy(t, func(ctx context.Context, o options.CompletedOptions, observe Observer) error {
		o.HostRegistration = options.ApprovedRegistration
		return Run(ctx, o, observe)
	})
	edge := clientOf(t, o, ready, users, "system:host:edge-1", "system:hosts").FleetV1alpha1().Hosts()
	admin := clientOf(t, o, ready, users, "admin", "system:masters").FleetV1alpha1().Hosts()
	host := &v1alpha1.Host{ObjectMeta: metav1.ObjectMeta{Name: "edge-1"}}
	apply := func() error {
		return clientOf(t, o, ready, users, "system:host:edge-1", "system:hosts").FleetV1alpha1().RESTClient().
			Patch("application/apply-patch+yaml").Resource("hosts").Name("edge-1").Param("fieldManager", "edge").
			Body([]byte(`{"apiVersion":"fleet.gatehouse.dev/v1alpha1","kind":"Host","metadata":{"name":"edge-1","labels":{"zone":"a"}}}`)).Do(t.Context()).Error()
	}
	refused := func(when string) {
		t.Helper()
		if _, err := edge.Create(t.Context(), host, metav1.CreateOptions{}); !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), "--host-registration=approve") {
			t.Errorf("%s: a create is answered with %v", when, err)
		}
		if err := apply(); !apierrors.IsForbidden(err) {
			t.Errorf("%s: an apply is answered with %v", when, err)
		}
		if _, err := edge.Update(t.Context(), host, metav1.UpdateOptions{}); !apierrors.IsNotFound(err) && !apierrors.IsForbidden(err) {
			t.Errorf("%s: a put is answered with %v", when, err)
		}
	}
	refused("before an operator has created it")
	if _, err := admin.Create(t.Context(), host, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := apply(); err != nil {
		t.Errorf("an approved host labels itself: %v", err)
	}
	if err := admin.Delete(t.Context(), "edge-1", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	refused("after an operator has deleted it")
}
