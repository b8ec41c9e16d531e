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

// Package systemd tells the service manager that started the process about its state, by the
// protocol of sd_notify: a unit of Type=notify counts as started when the process is ready, and not
// when it runs. Read FromEnvironment first.
package systemd

import (
	"errors"
	"fmt"
	"net"
	"os"

	"k8s.io/klog/v2"
)

const socketVariable = "NOTIFY_SOCKET"

// Manager is the service manager of the process. The zero value is none, and receives nothing.
type Manager struct{ socket string }

// FromEnvironment returns the service manager that NOTIFY_SOCKET names, and removes the variable: the
// server of k8s.io/apiserver would report that it is ready as soon as it listens, before its watch
// caches are filled.
func FromEnvironment() Manager {
	m := Manager{os.Getenv(socketVariable)}
	_ = os.Unsetenv(socketVariable) // fails for an empty name only
	return m
}

// Ready reports that the process serves. The status is the line that "systemctl status" shows.
func (m Manager) Ready(status string) { m.notify("READY=1\nSTATUS=" + status) }

// Stopping reports that an orderly stop has begun.
func (m Manager) Stopping() { m.notify("STOPPING=1") }

// notify logs an error, because a process serves without its manager, too.
func (m Manager) notify(state string) {
	if m.socket == "" {
		return
	}
	if err := m.send(state); err != nil {
		klog.ErrorS(err, "Notifying the service manager failed")
	}
}

func (m Manager) send(state string) error {
	connection, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: m.socket, Net: "unixgram"})
	if err == nil {
		_, err = connection.Write([]byte(state))
		err = errors.Join(err, connection.Close())
	}
	if err != nil {
		return fmt.Errorf("%s=%s: %w", socketVariable, m.socket, err)
	}
	return nil
}
