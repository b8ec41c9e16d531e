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

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/gatehouse-dev/gatehouse/test/robustness/cluster"
	"github.com/gatehouse-dev/gatehouse/test/robustness/machine"
)

// interrupted starts a command of gatehouse and kills the command or the server, if there is one,
// after a random time.
func (r *run) interrupted(within time.Duration, n *cluster.Node, args ...string) error {
	command, err := machine.Start(r.Log("command"), r.Storage[0].Program, args, nil)
	if err != nil {
		return err
	}
	after := time.Duration(r.random.Int64N(int64(within)))
	time.Sleep(after)
	if n == nil || r.random.IntN(2) == 0 {
		r.strike("the command, after %v", after)
		return command.Kill()
	}
	r.strike("%s, after %v", n.Name, after)
	err = errors.Join(n.Kill(), n.Start(r.ctx))
	<-command.Exited()
	return err
}

// backupKilled interrupts a backup. The next one succeeds, and every file that counts as a backup can
// be read.
func backupKilled(r *run) error {
	n := r.Storage[0]
	if err := r.interrupted(400*time.Millisecond, n, "backup", "now", "--data-dir", n.DataDir); err != nil {
		return err
	}
	_, err := r.backup(n)
	return err
}

// backup makes a backup, verifies all, and returns the newest.
func (r *run) backup(n *cluster.Node) (string, error) {
	if _, err := r.Run(r.ctx, "backup", "now", "--data-dir", n.DataDir); err != nil {
		return "", err
	}
	files, err := filepath.Glob(filepath.Join(n.DataDir, "backups", "*.tar.zst"))
	if err != nil || len(files) == 0 {
		return "", errors.Join(errors.New("there is no backup"), err)
	}
	for _, file := range files {
		if _, err := r.Run(r.ctx, "backup", "verify", file); err != nil {
			return "", err
		}
	}
	return files[len(files)-1], nil
}

// restoreKilled restores a backup of the present state, after an attempt that is killed, and starts
// the server on the result.
func restoreKilled(r *run) error {
	n := r.Storage[0]
	key, restored := filepath.Join(r.dir, "recovery.key"), filepath.Join(r.dir, "restored")
	if _, err := r.Run(r.ctx, "backup", "init", "--data-dir", n.DataDir, "--out", key); err != nil {
		return err
	}
	r.load.Pause() // a later write would not be in the backup
	defer r.load.Resume()
	file, err := r.backup(n)
	if err != nil {
		return err
	}
	if err := n.Kill(); err != nil {
		return err
	}
	restore := []string{"restore", file, "--data-dir", restored, "--recovery-key-file", key}
	if err := r.interrupted(150*time.Millisecond, nil, restore...); err != nil {
		return err
	}
	if _, err := os.Stat(restored); errors.Is(err, os.ErrNotExist) {
		if _, err := r.Run(r.ctx, restore...); err != nil {
			return err
		}
	}
	if err := errors.Join(os.RemoveAll(n.DataDir), os.Rename(restored, n.DataDir)); err != nil {
		return err
	}
	return n.Start(r.ctx)
}

// spaceKilled compacts the history and defragments the members, one after the other. A member is
// killed meanwhile.
func spaceKilled(r *run) error {
	victim := r.pick(r.Storage)
	r.strike("")
	for _, command := range []string{"compact", "defrag"} {
		if err := r.interrupted(600*time.Millisecond, victim, "storage", command, "--data-dir", victim.DataDir); err != nil {
			return err
		}
	}
	for _, n := range r.Storage {
		err := r.retry(fmt.Sprintf("%s is defragmented", n.Name), func(ctx context.Context) error {
			_, err := r.Run(ctx, "storage", "defrag", "--data-dir", n.DataDir)
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}
