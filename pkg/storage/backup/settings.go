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

package backup

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"time"

	"github.com/spf13/pflag"

	"github.com/gatehouse-dev/gatehouse/pkg/files"
	"github.com/gatehouse-dev/gatehouse/pkg/storage"
	"github.com/gatehouse-dev/gatehouse/pkg/storage/backup/target"
)

const (
	// DefaultInterval loses at most an hour of writes, for half a second of the disk per hour and 80 MB of data.
	DefaultInterval = time.Hour
	// minInterval keeps backups from following each other.
	minInterval = time.Minute

	// directoryName is the default directory of backups, in the data directory.
	directoryName = "backups"
	settingsName  = "backup.json"
)

// Options are the flags of a server.
type Options struct {
	// Dir is the directory of the backups; empty for the default.
	Dir string
	// Interval is the time between two backups; 0 for none.
	Interval time.Duration
}

// NewOptions returns the defaults.
func NewOptions() Options { return Options{Interval: DefaultInterval} }

// AddFlags adds the flags to a set.
func (o *Options) AddFlags(fs *pflag.FlagSet) {
	AddDirFlag(fs, &o.Dir, "Directory for backups, preferably on another disk. Where empty, backups in the data directory; with --etcd-servers, no backups are made then.")
	fs.DurationVar(&o.Interval, "backup-interval", o.Interval, "Time between two backups of objects and keys, of which the newest of 24 hours, 7 days and 4 weeks are kept. If 0, none is made but by \"gatehouse backup now\".")
}

// AddDirFlag adds --backup-dir to a set.
func AddDirFlag(fs *pflag.FlagSet, dir *string, usage string) {
	fs.StringVar(dir, "backup-dir", *dir, usage)
}

// Validate returns an error for each invalid flag.
func (o *Options) Validate() []error {
	if o.Interval != 0 && o.Interval < minInterval {
		return []error{fmt.Errorf("--backup-interval=%s is too short: use %s or more, or 0 for no backups", o.Interval, minInterval)}
	}
	return nil
}

// Enabled reports whether a server makes backups by itself. The operator of an external etcd may have others.
func (o *Options) Enabled(embeddedEtcd bool) bool {
	return o.Interval > 0 && (embeddedEtcd || o.Dir != "")
}

// DefaultDir is the directory of backups where none is named.
func DefaultDir(dataDir string) string { return filepath.Join(dataDir, directoryName) }

// Settings are what a server writes to its data directory for the commands, so that they need no flags.
type Settings struct {
	// Dir is the directory of the backups.
	Dir string `json:"dir"`
	// Etcd is the etcd of the server.
	Etcd storage.Connection `json:"etcd"`
	// EncryptionConfig is the path of the encryption configuration; empty for none.
	EncryptionConfig string `json:"encryptionProviderConfig,omitempty"`
}

// NewSettings returns the settings of a server with absolute paths.
func NewSettings(o Options, dataDir string, etcd storage.Connection, encryptionConfig string) (Settings, error) {
	s := Settings{Dir: o.Dir, Etcd: etcd, EncryptionConfig: encryptionConfig}
	if s.Dir == "" {
		s.Dir = DefaultDir(dataDir)
	}
	for _, path := range []*string{&s.Dir, &s.EncryptionConfig, &s.Etcd.CAFile, &s.Etcd.CertFile, &s.Etcd.KeyFile} {
		if *path == "" {
			continue
		}
		absolute, err := filepath.Abs(*path)
		if err != nil {
			return s, err
		}
		*path = absolute
	}
	return s, nil
}

// Save writes the settings to a data directory.
func (s Settings) Save(dataDir string) error {
	data, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	return files.Replace(filepath.Join(dataDir, settingsName), append(data, '\n'), fileMode)
}

// ReadSettings reads the settings of a data directory. Without a server that has written any, they are the defaults, with
// no etcd.
func ReadSettings(dataDir string) (Settings, error) {
	path := filepath.Join(dataDir, settingsName)
	data, err := files.ReadTrusted(path)
	if errors.Is(err, fs.ErrNotExist) {
		return Settings{Dir: DefaultDir(dataDir)}, nil
	} else if err != nil {
		return Settings{}, err
	}
	var s Settings
	if err := json.Unmarshal(data, &s); err != nil || s.Dir == "" {
		return Settings{}, fmt.Errorf("%s is damaged: start the server, which writes it again", path)
	}
	return s, nil
}

// Maker returns a maker of backups with the settings.
func (s Settings) Maker(dataDir, version string, load LoadDecoder) *Maker {
	return &Maker{
		Etcd: s.Etcd, DataDir: dataDir, EncryptionConfig: s.EncryptionConfig, Work: s.Dir, Target: target.Directory(s.Dir), Load: load, Version: version,
	}
}
