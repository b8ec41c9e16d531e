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

package server

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	genericapiserver "k8s.io/apiserver/pkg/server"

	"github.com/gatehouse-dev/gatehouse/pkg/apiserver"
	backupcontroller "github.com/gatehouse-dev/gatehouse/pkg/controller/backup"
	"github.com/gatehouse-dev/gatehouse/pkg/controller/manager"
	"github.com/gatehouse-dev/gatehouse/pkg/files"
	"github.com/gatehouse-dev/gatehouse/pkg/readiness"
	"github.com/gatehouse-dev/gatehouse/pkg/storage"
	"github.com/gatehouse-dev/gatehouse/pkg/storage/backup"
	"github.com/gatehouse-dev/gatehouse/pkg/version"
)

// backupNotesPath is the path whose readers see why a backup has failed.
const backupNotesPath = "/readyz/backup"

// NewBackup returns the schedule of the backups, or nil if the server makes none, and writes the settings that the
// commands read.
func NewBackup(in Inputs) (*backup.Schedule, error) {
	etcd := in.Etcd.External()
	if in.Local != nil {
		etcd = storage.Connection{Endpoints: in.Local.Endpoints()}
	}
	settings, err := backup.NewSettings(in.Backups, in.DataDir, etcd, in.Etcd.EncryptionProviderConfigFilepath)
	if err == nil {
		err = settings.Save(in.DataDir)
	}
	if err != nil {
		return nil, files.Flag("data-dir", err)
	}
	if !in.MakesBackups() {
		return nil, nil
	}
	if err := files.MakeDirectory(settings.Dir); err != nil {
		return nil, files.Flag("backup-dir", err)
	}
	return backup.NewSchedule(settings.Maker(in.DataDir, version.Product(), loadDecoder), in.Backups), nil
}

// loadDecoder is a backup.LoadDecoder.
func loadDecoder(ctx context.Context, encryptionConfig string) (backup.Decoder, error) {
	return apiserver.LoadStoredObjects(ctx, encryptionConfig)
}

// backupJob adapts a schedule to the controller that runs it; nil for none.
func backupJob(s *backup.Schedule) backupcontroller.Job {
	if s == nil {
		return nil
	}
	return func(ctx context.Context, report func(backupcontroller.Result)) error {
		return s.Run(ctx, func(a backup.Attempt) {
			result := backupcontroller.Result{Member: a.Member, Err: a.Err}
			_, result.Damaged = errors.AsType[*backup.DamagedError](a.Err)
			if a.Made != nil {
				result.Message = fmt.Sprintf("%s has %d objects, and all were decoded", a.Made.Name, a.Made.Manifest.Total())
			}
			report(result)
		})
	}
}

// aggregatedBackups runs the backups of a server behind a kube-apiserver, which has no other controllers and is the only
// replica of an embedded etcd.
func aggregatedBackups(s *backup.Schedule) manager.Runners {
	if s == nil {
		return nil
	}
	return manager.Runners{silent{s}}
}

// silent runs a schedule without events.
type silent struct{ schedule *backup.Schedule }

// Run implements manager.Runner.
func (s silent) Run(ctx context.Context) error { return s.schedule.Run(ctx, func(backup.Attempt) {}) }

// applyBackup adds a note to /readyz?verbose while the last backup is a failure: the server serves without backups.
func applyBackup(in Inputs, generic *genericapiserver.Config) {
	if in.Backup == nil {
		return
	}
	build := generic.BuildHandlerChainFunc
	generic.BuildHandlerChainFunc = func(handler http.Handler, c *genericapiserver.Config) http.Handler {
		return build(readiness.WithNotes(handler, backupNotesPath, readiness.MayGet(c.Authorization.Authorizer, backupNotesPath), func() []readiness.Note {
			last := in.Backup.Last()
			if last == nil || last.Err == nil {
				return nil
			}
			return []readiness.Note{{Name: "backup", Text: fmt.Sprintf("the last one failed %s ago: %v", time.Since(last.Time).Round(time.Second), last.Err)}}
		}), c)
	}
}
