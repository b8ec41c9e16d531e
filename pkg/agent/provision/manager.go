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

package provision

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/klog/v2"
	"k8s.io/utils/clock"

	"github.com/gatehouse-dev/gatehouse/pkg/agent/runtime"
	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/pkg/files"
)

const (
	// requestTimeout is the time limit of a request to the server. A container waits for it, also
	// after a reboot without the server.
	requestTimeout = 3 * time.Second
	// awayTime is the time for which no request is sent to a server that did not answer: containers
	// then start without delay, with what the host has saved.
	awayTime = 10 * time.Second
)

var errAway = errors.New("the server does not answer")

// Options are the settings of a Manager.
type Options struct {
	// StateDir keeps the directories of volumes and the saved configurations. It is on a disk, so that
	// they survive a reboot.
	StateDir string
	// RunDir keeps tokens and the files of ConfigMaps and Secrets. It is in memory, so that they do not.
	RunDir string
	// ServerHost, ServerPort and CA are where and how programs in containers reach the API.
	ServerHost, ServerPort string
	CA                     []byte
	// Clock is the real one if nil.
	Clock clock.PassiveClock
}

// Server is what a Manager requests of the API, for instances that are bound to the host. An error
// with the status of a response is an answer; with any other the server is away.
type Server interface {
	Configuration(ctx context.Context, namespace, name string) (*v1alpha1.InstanceConfiguration, error)
	Token(ctx context.Context, namespace, name string, uid types.UID) (*Token, error)
}

// Manager implements runtime.Provider.
type Manager struct {
	options Options
	server  Server
	clock   clock.PassiveClock
	// mountMemory and unmount are those of the system, except in tests.
	mountMemory func(path string, size int64) error
	unmount     func(path string) error

	mu sync.Mutex
	// away is the time until which the server counts as away.
	away time.Time
	// tokens are the tokens that are renewed, by instance.
	tokens map[types.UID]*issued
	// busy locks instances: the files of one are prepared by one goroutine at a time.
	busy map[types.UID]*sync.Mutex
}

var _ runtime.Provider = &Manager{}

// New creates the directories of a Manager, and takes over what an earlier process has prepared.
func New(server Server, options Options) (*Manager, error) {
	m := &Manager{
		options: options, server: server, clock: options.Clock, mountMemory: mountMemory, unmount: unmount,
		tokens: map[types.UID]*issued{}, busy: map[types.UID]*sync.Mutex{},
	}
	if m.clock == nil {
		m.clock = clock.RealClock{}
	}
	for _, dir := range []string{m.volumesDir(), m.configurationsDir(), m.filesDir(), m.tokensDir()} {
		if err := files.MakeDirectory(dir); err != nil {
			return nil, err
		}
	}
	return m, m.loadTokens()
}

func (m *Manager) volumesDir() string { return filepath.Join(m.options.StateDir, "volumes") }
func (m *Manager) configurationsDir() string {
	return filepath.Join(m.options.StateDir, "configurations")
}
func (m *Manager) filesDir() string  { return filepath.Join(m.options.RunDir, "volumes") }
func (m *Manager) tokensDir() string { return filepath.Join(m.options.RunDir, "tokens") }

// Provide implements runtime.Provider.
func (m *Manager) Provide(ctx context.Context, instance *v1alpha1.Instance, container *v1alpha1.Container) (*runtime.Provision, error) {
	defer m.lock(instance.UID)()
	config, err := m.configuration(ctx, instance)
	if err != nil {
		return nil, err
	}
	env, err := m.environment(container, config)
	if err != nil {
		return nil, err
	}
	mounts, err := m.mounts(instance, container, config)
	if err != nil {
		return nil, err
	}
	token, err := m.tokenMount(ctx, instance, container)
	if err != nil {
		return nil, err
	}
	return &runtime.Provision{Env: env, Mounts: append(mounts, token...)}, nil
}

// Provided implements runtime.Provider.
func (m *Manager) Provided() ([]types.UID, error) {
	uids := sets.New[types.UID]()
	var errs []error
	for _, dir := range []string{m.volumesDir(), m.filesDir(), m.tokensDir(), m.configurationsDir()} {
		entries, err := os.ReadDir(dir)
		errs = append(errs, err)
		for _, entry := range entries {
			if uid, ok := uidOf(entry.Name()); ok {
				uids.Insert(uid)
			}
		}
	}
	return uids.UnsortedList(), errors.Join(errs...)
}

// uidOf returns the instance of a file or directory of a Manager. Names with a dot at the beginning
// are temporary files.
func uidOf(name string) (types.UID, bool) {
	name = name[:len(name)-len(filepath.Ext(name))]
	return types.UID(name), name != ""
}

// Release implements runtime.Provider.
func (m *Manager) Release(uid types.UID) error {
	if err := checkUID(uid); err != nil {
		return err
	}
	defer m.lock(uid)()
	m.mu.Lock()
	delete(m.tokens, uid)
	delete(m.busy, uid)
	m.mu.Unlock()
	// A mount inside would be emptied instead of removed.
	memory := filepath.Join(m.filesDir(), string(uid))
	entries, err := os.ReadDir(memory)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	for _, entry := range entries {
		path := filepath.Join(memory, entry.Name())
		if mounted, err := isMounted(path); err != nil {
			return err
		} else if mounted {
			if err := m.unmount(path); err != nil {
				return fmt.Errorf("unmounting %s: %w", path, err)
			}
		}
	}
	return errors.Join(
		os.RemoveAll(memory),
		os.RemoveAll(filepath.Join(m.volumesDir(), string(uid))),
		os.RemoveAll(filepath.Join(m.tokensDir(), string(uid))),
		removeFile(m.tokenRecord(uid)),
		removeFile(m.savedConfiguration(uid)),
	)
}

func removeFile(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// checkUID refuses a UID that is no name of a directory. The server makes UIDs, but paths must not
// depend on it.
func checkUID(uid types.UID) error {
	if name := string(uid); name == "" || name[0] == '.' || filepath.Base(name) != name {
		return fmt.Errorf("%q is not the UID of an instance", uid)
	}
	return nil
}

// lock locks an instance and returns the function that unlocks it.
func (m *Manager) lock(uid types.UID) func() {
	m.mu.Lock()
	own := m.busy[uid]
	if own == nil {
		own = &sync.Mutex{}
		m.busy[uid] = own
	}
	m.mu.Unlock()
	own.Lock()
	return own.Unlock
}

// ask sends a request, unless the server did not answer a moment ago.
func (m *Manager) ask(ctx context.Context, request func(ctx context.Context) error) error {
	m.mu.Lock()
	away := m.clock.Now().Before(m.away)
	m.mu.Unlock()
	if away {
		return errAway
	}
	bounded, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	err := request(bounded)
	if err == nil || answered(err) {
		return err
	}
	m.mu.Lock()
	m.away = m.clock.Now().Add(awayTime)
	m.mu.Unlock()
	klog.FromContext(ctx).V(2).Info("Server does not answer", "err", err)
	return fmt.Errorf("%w: %w", errAway, err)
}
