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

package doctor

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/gatehouse-dev/gatehouse/pkg/storage/backup"
	"github.com/gatehouse-dev/gatehouse/pkg/storage/backup/target"
	"github.com/gatehouse-dev/gatehouse/pkg/storage/cluster"
)

func (s *Standalone) backups(ctx context.Context) []Finding {
	settings, err := backup.ReadSettings(s.DataDir)
	if err != nil {
		return []Finding{broken("start the server, which writes it again", "backup.json, which names the directory of the backups, is damaged")}
	}
	if s.BackupAge == 0 {
		return []Finding{ok("not checked: --backup-age is 0")}
	}
	names, err := backup.Names(ctx, target.Directory(settings.Dir))
	if err != nil {
		return []Finding{broken("run this command as the user of the server", "the backups in %s cannot be listed: %v", settings.Dir, err)}
	}
	var found []Finding
	if public, err := backup.Recipient(s.DataDir); err != nil {
		found = append(found, broken("run \"gatehouse backup init --replace\"", "recovery-key.pub is damaged, so backups fail"))
	} else if public == "" {
		found = append(found, warning("run \"gatehouse backup init\", and keep the key that it prints elsewhere", "backups have no certificates and keys, because there is no recovery key"))
	}
	var newest, damaged *backup.Name
	for _, name := range names {
		which := &newest
		if name.Damaged {
			which = &damaged
		}
		if *which == nil || name.Time.After((*which).Time) {
			*which = &name
		}
	}
	if damaged != nil && (newest == nil || damaged.Time.After(newest.Time)) {
		found = append(found, broken("see which objects cannot be read with \"gatehouse backup verify "+filepath.Join(settings.Dir, damaged.String())+"\", and repair them (docs/damaged-data.md)",
			"the newest backup, %s, has objects that cannot be decoded", damaged))
	}
	if newest == nil {
		return append(found, s.noBackup(settings.Dir)...)
	}
	return append(found, s.newest(ctx, filepath.Join(settings.Dir, newest.String()), *newest)...)
}

// noBackup is the finding without a sound backup on this machine. The first one is made some minutes after the first start.
func (s *Standalone) noBackup(dir string) []Finding {
	switch state, _ := cluster.Load(s.DataDir); {
	case len(s.external().Endpoints) > 0:
		return []Finding{ok("there is none in %s: for an external etcd, the server makes none without --backup-dir", dir)}
	case state != nil:
		return []Finding{ok("there is none in %s: the member that leads the controllers makes them", dir)}
	}
	if info, err := os.Stat(filepath.Join(s.certificateDir(), "ca.crt")); err == nil {
		if since := s.Clock.Since(info.ModTime()); since < time.Hour {
			return []Finding{ok("none yet, %s after the first start", age(since))}
		}
	}
	return []Finding{broken("", "there is no backup in %s", dir)}
}

// newest verifies the newest backup.
func (s *Standalone) newest(ctx context.Context, path string, name backup.Name) []Finding {
	old := s.Clock.Since(name.Time)
	manifest, err := backup.Check(ctx, path)
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return []Finding{warning("run \"gatehouse backup verify "+path+"\", or this command with a longer --timeout", "the newest backup, of %s ago, could not be read as a whole in time", age(old))}
	case err != nil:
		return []Finding{broken("run \"gatehouse backup now\", and find out what has damaged the file: the disk may fail", "%v", err)}
	}
	text := fmt.Sprintf("the newest is %s old, has %d objects, and every byte of it is as it was written", age(old), manifest.Total())
	if state, _ := cluster.Load(s.DataDir); old > s.BackupAge && state == nil {
		return []Finding{warning("", "%s; it should not be older than %s", text, age(s.BackupAge))}
	}
	return []Finding{ok("%s", text)}
}
