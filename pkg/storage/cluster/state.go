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

package cluster

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/gatehouse-dev/gatehouse/pkg/files"
	"github.com/gatehouse-dev/gatehouse/pkg/storage/embedded"
)

// StateName is the name of the file in the data directory that makes its etcd a member of a cluster.
const StateName = "cluster.json"

// State is what a member keeps between starts.
type State struct {
	// Name is unique in the cluster.
	Name string `json:"name"`
	// PeerURL is the address for other members, and PeerListen that of the listener, if it differs.
	PeerURL    string `json:"peerURL"`
	PeerListen string `json:"peerListen,omitempty"`
	// Invitation is the ID of the invitation by which the member has joined; empty for the first member.
	Invitation string `json:"invitation,omitempty"`
	// Peers are the URLs of the other members until the first start has succeeded.
	Peers []string `json:"peers,omitempty"`
}

// Joining reports whether the member has never been a voter.
func (s *State) Joining() bool { return len(s.Peers) > 0 }

// Member returns the configuration of etcd.
func (s *State) Member() *embedded.Member {
	if s == nil {
		return nil
	}
	return &embedded.Member{Name: s.Name, PeerURL: s.PeerURL, Listen: s.PeerListen, Peers: s.Peers}
}

// Load returns the state in a data directory; nil for a lone member.
func Load(dataDir string) (*State, error) {
	path := filepath.Join(dataDir, StateName)
	data, err := files.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	state := &State{}
	if err := json.Unmarshal(data, state); err != nil || state.Name == "" || state.PeerURL == "" {
		return nil, fmt.Errorf("%s is damaged (%w): restore it from a backup, or run \"gatehouse member reset\" and join again", path, errors.Join(err, errIncomplete))
	}
	return state, nil
}

var errIncomplete = errors.New("it needs name and peerURL")

// Save writes the state to a data directory. It is on the disk when Save returns.
func (s *State) Save(dataDir string) error {
	data, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	return files.Replace(filepath.Join(dataDir, StateName), append(data, '\n'), 0o600)
}

// Reset makes a data directory one that can join a cluster: it removes the state, and puts the data of etcd
// aside. It returns the directory of the old data; empty if there was none. The caller holds the lock of the
// data directory. Certificates and keys stay.
func Reset(dataDir, etcdDir string) (aside string, err error) {
	// The data goes first: a state without data is a joiner that starts again, and data without the state would
	// be a lone member with old data.
	aside = etcdDir + ".removed"
	if err := os.RemoveAll(aside); err != nil {
		return "", err
	}
	if err := os.Rename(etcdDir, aside); err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			return "", err
		}
		aside = ""
	}
	if err := os.Remove(filepath.Join(dataDir, StateName)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return aside, err
	}
	return aside, files.SyncDirectory(dataDir)
}
