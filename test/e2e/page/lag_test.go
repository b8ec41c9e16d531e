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

package page

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"k8s.io/client-go/rest"

	"github.com/gatehouse-dev/gatehouse/test/binary"
	"github.com/gatehouse-dev/gatehouse/test/kit"
)

const (
	ballast     = 400_000 // bytes of one object
	mostBallast = 60      // objects, more than the buffers of a connection
)

// watchUnread opens a watch as a user, whose response is not read before the test ends or the body is closed.
func watchUnread(t *testing.T, server *binary.Server, user, path string) io.Closer {
	t.Helper()
	config := rest.CopyConfig(server.Config)
	config.Impersonate.UserName = user
	config.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := (&net.Dialer{}).DialContext(ctx, network, address)
		if err == nil {
			err = conn.(*net.TCPConn).SetReadBuffer(4096)
		}
		return conn, err
	}
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		t.Fatal(err)
	}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+path+"?watch=1", nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := client.Do(request)
	if err != nil || response.StatusCode != http.StatusOK {
		t.Fatalf("the watch does not begin: %+v, %v", response, err)
	}
	t.Cleanup(func() { _ = response.Body.Close() })
	return response.Body
}

func TestAWatcherThatDoesNotReadIsShownFirst(t *testing.T) {
	server := start(t)
	b := newTab(t, 1280, 640)
	b.run("open the link", chromedp.Navigate(link(t, kubeconfig(server))))
	b.visit("watches", "Watches")
	b.shows(".title .note", "0 blocked")
	watcher := watchUnread(t, server, "carol", configMaps)
	b.shows("tbody td", "carol")
	created := 0
	kit.EventuallyState(t, "the watcher is blocked", func(context.Context) (bool, string) {
		if created < mostBallast {
			created++
			body := fmt.Sprintf(`{"metadata":{"name":"ballast-%d"},"data":{"x":%q}}`, created, strings.Repeat("x", ballast))
			if code := send(t, server, "", http.MethodPost, configMaps, body); code != http.StatusCreated {
				t.Fatalf("the create has the code %d", code)
			}
		}
		return get[bool](b, "document.querySelector('.title .note').innerText.includes('1 blocked')"), fmt.Sprintf("%d objects", created)
	})
	first := get[string](b, "document.querySelector('tbody tr').innerText.split(/\\s+/).join(' ')")
	if !strings.HasPrefix(first, "Blocked carol configmaps shop ") {
		t.Errorf("the first watch is %q", first)
	}
	b.wait("document.querySelector('tbody tr.decided td.n').innerText !== ''")
	b.shows("nav a[href='#watches'] .badge", "1")
	b.picture("ui-watches", "light")

	// After the end, the view says why.
	if err := watcher.Close(); err != nil {
		t.Fatal(err)
	}
	b.shows("tbody td", "Ended: Client blocked")
	b.shows(".title .note", "0 blocked")
	b.wait("document.querySelector(\"nav a[href='#watches'] .badge\").hidden")
	b.clean()
}
