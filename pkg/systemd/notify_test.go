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

package systemd

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestTheServiceManagerReceivesEachState(t *testing.T) {
	path := filepath.Join(t.TempDir(), "notify")
	socket, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = socket.Close() })
	t.Setenv(socketVariable, path)
	manager := FromEnvironment()
	if left := os.Getenv(socketVariable); left != "" {
		t.Errorf("the library would notify %s before the server is ready", left)
	}
	for _, step := range []struct {
		name string
		send func()
		want string
	}{
		{"a process that is ready", func() { manager.Ready("serving") }, "READY=1\nSTATUS=serving"},
		{"a process that stops", manager.Stopping, "STOPPING=1"},
	} {
		step.send()
		got := make([]byte, 256)
		n, err := socket.Read(got)
		if err != nil || string(got[:n]) != step.want {
			t.Errorf("%s: got %q, %v, want %q", step.name, got[:n], err, step.want)
		}
	}
}

func TestAServiceManagerThatIsGoneIsAnErrorThatNamesTheVariable(t *testing.T) {
	t.Setenv(socketVariable, filepath.Join(t.TempDir(), "gone"))
	if err := FromEnvironment().send("READY=1"); err == nil || !strings.Contains(err.Error(), socketVariable) {
		t.Errorf("got %v", err)
	}
}

func TestWithoutAServiceManagerNothingIsSent(t *testing.T) {
	t.Setenv(socketVariable, "")
	FromEnvironment().Ready("serving")
	Manager{}.Stopping()
}
