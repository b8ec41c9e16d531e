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

package members

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"

	"github.com/gatehouse-dev/gatehouse/pkg/storage/cluster"
	"github.com/gatehouse-dev/gatehouse/test/binary"
	"github.com/gatehouse-dev/gatehouse/test/kit"
)

func tokenRequest() *authenticationv1.TokenRequest { return &authenticationv1.TokenRequest{} }

// userOf returns the user that a server takes a token for.
func userOf(t *testing.T, server *binary.Server, token string) string {
	t.Helper()
	config := rest.AnonymousClientConfig(server.Config)
	config.BearerToken = token
	review, err := kubernetes.NewForConfigOrDie(config).AuthenticationV1().SelfSubjectReviews().Create(t.Context(), &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{})
	if err != nil {
		return err.Error()
	}
	return review.Status.UserInfo.Username
}

// leader returns the index of the server whose etcd leads.
func leader(t *testing.T, c *binary.Cluster) int {
	t.Helper()
	found := -1
	kit.EventuallyState(t, "one of the members leads", func(ctx context.Context) (bool, string) {
		for i, server := range c.Servers {
			if strings.Contains(metricsOf(ctx, server), "\netcd_server_is_leader 1\n") {
				found = i
				return true, ""
			}
		}
		return false, ""
	})
	return found
}

// send sends one request, as no client does that repeats requests, and returns the code, Retry-After, and the begin of
// the response.
func send(t *testing.T, server *binary.Server, method, path, body string) (code int, retryAfter, answer string) {
	t.Helper()
	sender, err := rest.HTTPClientFor(server.Config)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), kit.Patience)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, method, server.URL+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	began := time.Now()
	response, err := sender.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	read := make([]byte, 4<<10)
	n, _ := io.ReadAtLeast(response.Body, read, 64) // a watch has no end
	t.Logf("%s %s: %d after %v", method, path, response.StatusCode, time.Since(began).Round(time.Millisecond))
	return response.StatusCode, response.Header.Get("Retry-After"), string(read[:n])
}

func metricsOf(ctx context.Context, server *binary.Server) string {
	data, err := client(server).CoreV1().RESTClient().Get().AbsPath("/metrics").Do(ctx).Raw()
	if err != nil {
		return ""
	}
	return string(data)
}

// without returns the servers besides one.
func without(c *binary.Cluster, index int) []*binary.Server {
	return slices.Concat(c.Servers[:index:index], c.Servers[index+1:])
}

// stateOf returns what a member keeps between starts.
func stateOf(t *testing.T, server *binary.Server) *cluster.State {
	t.Helper()
	state, err := cluster.Load(server.DataDir)
	if err != nil || state == nil {
		t.Fatalf("%v has no state of a member: %v", server, err)
	}
	return state
}

// damage overwrites the middle of the database.
func damage(t *testing.T, server *binary.Server) {
	t.Helper()
	path := filepath.Join(server.DataDir, "etcd", "member", "snap", "db")
	database, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer database.Close()
	if _, err := database.WriteAt(bytes.Repeat([]byte{0xa5}, 64<<10), 8<<10); err != nil {
		t.Fatal(err)
	}
}

// start starts the server of a member again, at its address.
func start(t *testing.T, stopped *binary.Server, args ...string) *binary.Server {
	t.Helper()
	return binary.Start(t, stopped.DataDir, append([]string{"--listen", stopped.Address(t)}, args...)...)
}

// follower is an informer, as every controller has: it resumes a watch that ends.
type follower struct {
	mu    sync.Mutex
	added map[string]int
}

func follow(t *testing.T, server *binary.Server) *follower {
	t.Helper()
	f := &follower{added: map[string]int{}}
	listWatch := cache.NewListWatchFromClient(client(server).CoreV1().RESTClient(), "configmaps", "default", fields.Everything())
	informer := cache.NewSharedInformer(listWatch, &corev1.ConfigMap{}, 0)
	if _, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{AddFunc: func(object any) {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.added[object.(*corev1.ConfigMap).Name]++
	}}); err != nil {
		t.Fatal(err)
	}
	go informer.RunWithContext(t.Context())
	kit.Eventually(t, "the informer has synced", func(context.Context) bool { return informer.HasSynced() })
	return f
}

// sees waits until each of the names was added once.
func (f *follower) sees(t *testing.T, names ...string) {
	t.Helper()
	kit.EventuallyState(t, "the informer has each object once", func(context.Context) (bool, string) {
		f.mu.Lock()
		defer f.mu.Unlock()
		for _, name := range names {
			if f.added[name] != 1 {
				return false, fmt.Sprintf("%s was added %d times", name, f.added[name])
			}
		}
		return true, ""
	})
}
