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
	// Bucket gets a copy of every backup.
	Bucket BucketOptions
}

// BucketOptions are the flags of a bucket of S3.
type BucketOptions struct {
	// URL is empty for no bucket.
	URL string `json:"url,omitempty"`
	// Region is that of the signatures.
	Region string `json:"region,omitempty"`
	// CredentialsFile has the access key.
	CredentialsFile string `json:"credentialsFile,omitempty"`
}

// AddFlags adds the flags to a set.
func (b *BucketOptions) AddFlags(fs *pflag.FlagSet) {
	fs.StringVar(&b.URL, "backup-s3-url", b.URL, "URL of a bucket, or of a prefix in it, of a server with the API of S3, such as https://s3.eu-central-1.amazonaws.com/bucket/prefix. It gets a copy of every backup.")
	fs.StringVar(&b.Region, "backup-s3-region", b.Region, "Region of the bucket.")
	fs.StringVar(&b.CredentialsFile, "backup-s3-credentials-file", b.CredentialsFile, "File with aws_access_key_id and aws_secret_access_key, in the format of AWS' shared credentials.")
}

// Validate returns an error for each invalid flag.
func (b *BucketOptions) Validate() []error {
	if b.URL == "" {
		if b.CredentialsFile != "" {
			return []error{fmt.Errorf("--backup-s3-credentials-file has no effect without --backup-s3-url: name the bucket, or leave it out")}
		}
		return nil
	}
	var errs []error
	if err := b.target().Validate(); err != nil {
		errs = append(errs, fmt.Errorf("--backup-s3-url: %w", err))
	}
	if b.Region == "" {
		errs = append(errs, fmt.Errorf("--backup-s3-region must not be empty: servers besides AWS take %s", DefaultRegion))
	}
	if b.CredentialsFile == "" {
		return append(errs, fmt.Errorf("--backup-s3-credentials-file is required with --backup-s3-url"))
	}
	return append(errs, files.ValidateFlag("backup-s3-credentials-file", b.CredentialsFile)...)
}

func (b *BucketOptions) target() target.S3 {
	return target.S3{URL: b.URL, Region: b.Region, CredentialsFile: b.CredentialsFile}
}

// Target returns the bucket; nil for none.
func (b *BucketOptions) Target() target.Target {
	if b.URL == "" {
		return nil
	}
	return b.target()
}

// DefaultRegion is the region that servers besides AWS usually take.
const DefaultRegion = "us-east-1"

// NewOptions returns the defaults.
func NewOptions() Options {
	return Options{Interval: DefaultInterval, Bucket: BucketOptions{Region: DefaultRegion}}
}

// AddFlags adds the flags to a set.
func (o *Options) AddFlags(fs *pflag.FlagSet) {
	AddDirFlag(fs, &o.Dir, "Directory for backups, preferably on another disk. Where empty, backups in the data directory; with --etcd-servers, no backups are made then.")
	o.Bucket.AddFlags(fs)
	fs.DurationVar(&o.Interval, "backup-interval", o.Interval, "Time between two backups of objects and keys, of which the newest of 24 hours, 7 days and 4 weeks are kept. If 0, none is made but by \"gatehouse backup now\".")
}

// AddDirFlag adds --backup-dir to a set.
func AddDirFlag(fs *pflag.FlagSet, dir *string, usage string) {
	fs.StringVar(dir, "backup-dir", *dir, usage)
}

// Validate returns an error for each invalid flag.
func (o *Options) Validate() []error {
	errs := o.Bucket.Validate()
	if o.Interval != 0 && o.Interval < minInterval {
		errs = append(errs, fmt.Errorf("--backup-interval=%s is too short: use %s or more, or 0 for no backups", o.Interval, minInterval))
	}
	return errs
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
	// Bucket gets a copy of every backup.
	Bucket BucketOptions `json:"s3,omitzero"`
	// Etcd is the etcd of the server.
	Etcd storage.Connection `json:"etcd"`
	// EncryptionConfig is the path of the encryption configuration; empty for none.
	EncryptionConfig string `json:"encryptionProviderConfig,omitempty"`
}

// NewSettings returns the settings of a server with absolute paths.
func NewSettings(o Options, dataDir string, etcd storage.Connection, encryptionConfig string) (Settings, error) {
	s := Settings{Dir: o.Dir, Etcd: etcd, EncryptionConfig: encryptionConfig}
	if o.Bucket.URL != "" {
		s.Bucket = o.Bucket
	}
	if s.Dir == "" {
		s.Dir = DefaultDir(dataDir)
	}
	for _, path := range []*string{&s.Dir, &s.EncryptionConfig, &s.Etcd.CAFile, &s.Etcd.CertFile, &s.Etcd.KeyFile, &s.Bucket.CredentialsFile} {
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

// Target returns where backups are kept: the directory, and the bucket if there is one.
func (s Settings) Target() target.Target {
	if bucket := s.Bucket.Target(); bucket != nil {
		return target.Copies{Directory: target.Directory(s.Dir), Other: bucket}
	}
	return target.Directory(s.Dir)
}

// Maker returns a maker of backups with the settings.
func (s Settings) Maker(dataDir, version string, load LoadDecoder) *Maker {
	return &Maker{
		Etcd: s.Etcd, DataDir: dataDir, EncryptionConfig: s.EncryptionConfig, Work: s.Dir, Target: s.Target(), Load: load, Version: version,
	}
}
