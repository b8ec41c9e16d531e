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
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/gatehouse-dev/gatehouse/test/robustness/cluster"
)

// joining bounds a join that is disturbed.
const joining = time.Minute

// joinsKilled has two members join a lone one. During each join one of the processes is killed and
// started again.
func joinsKilled(r *run) error {
	r.strike("killed: ")
	for range 2 {
		inviting := r.Storage[0]
		joiner, err := r.Join(r.ctx, inviting, "invite")
		if err != nil {
			return err
		}
		victim := []*cluster.Node{inviting, joiner}[r.random.IntN(2)]
		after := time.Duration(r.random.IntN(2500)) * time.Millisecond
		r.detail += fmt.Sprintf("%s %v after the start of %s, ", victim.Name, after, joiner.Name)
		time.Sleep(after)
		if err := victim.Kill(); err != nil {
			return err
		}
		if err := errors.Join(victim.Launch(), inviting.WaitReady(r.ctx), r.joined(joiner)); err != nil {
			return err
		}
	}
	return nil
}

// joined waits until a joiner is ready. If its inviter ends at the wrong moment, a joiner ends with
// an error, and is started again with the same flags, as its message says.
func (r *run) joined(joiner *cluster.Node) error {
	for deadline := time.Now().Add(joining); ; {
		err := joiner.WaitReady(r.ctx)
		if err == nil || joiner.Running() || time.Now().After(deadline) {
			return err
		}
		if err := joiner.Launch(); err != nil {
			return err
		}
	}
}

// healthyMember returns a running member other than n.
func (r *run) healthyMember(n *cluster.Node) *cluster.Node {
	return r.Storage[slices.IndexFunc(r.Storage, func(other *cluster.Node) bool { return other != n && other.Running() })]
}

// replaced kills a member for good, and has another one take its place.
func replaced(r *run) error {
	n := r.pick(r.Storage)
	r.strike("%s", n.Name)
	if err := n.Kill(); err != nil {
		return err
	}
	r.hold(2 * time.Second)
	var fresh *cluster.Node
	// Without a leader no member can be invited.
	err := r.retry("the replacement is invited", func(ctx context.Context) (err error) {
		fresh, err = r.Join(ctx, r.healthyMember(n), "replace", n.Name)
		return err
	})
	if err != nil {
		return err
	}
	r.Forget(n)
	return r.joined(fresh)
}

// retry repeats an action until it has no error.
func (r *run) retry(what string, act func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(r.ctx, joining)
	defer cancel()
	for {
		err := act(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting until %s: %w", what, err)
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// damagedPage overwrites a page of a stopped member's database. The member either refuses to start,
// or does not need the page.
func damagedPage(r *run) error {
	return r.damage(func(n *cluster.Node) (string, error) {
		path := filepath.Join(n.EtcdDir(), "member", "snap", "db")
		file, err := os.OpenFile(path, os.O_RDWR, 0)
		if err != nil {
			return "", err
		}
		defer func() { _ = file.Close() }()
		info, err := file.Stat()
		if err != nil {
			return "", err
		}
		const pageSize, metaPages, leafPage, branchPage = 4096, 2, 2, 1
		header := make([]byte, 16)
		for {
			page := metaPages + r.random.Int64N(info.Size()/pageSize-metaPages)
			if _, err := file.ReadAt(header, page*pageSize); err != nil {
				return "", err
			}
			if flags := binary.LittleEndian.Uint16(header[8:]); flags != leafPage && flags != branchPage {
				continue
			}
			garbage := make([]byte, pageSize)
			for i := range garbage {
				garbage[i] = byte(r.random.Uint32())
			}
			_, err := file.WriteAt(garbage, page*pageSize)
			return fmt.Sprintf("page %d", page), err
		}
	})
}

// truncatedLog cuts the newest log of a stopped member somewhere in what is written.
func truncatedLog(r *run) error {
	return r.damage(func(n *cluster.Node) (string, error) {
		files, err := n.LogFiles()
		if err != nil {
			return "", err
		}
		newest := files[len(files)-1]
		content, err := os.ReadFile(newest)
		if err != nil {
			return "", err
		}
		written := len(content)
		for written > 0 && content[written-1] == 0 {
			written--
		}
		size := int64(r.random.IntN(written) + 1)
		return fmt.Sprintf("%s has %d of %d bytes", filepath.Base(newest), size, written), os.Truncate(newest, size)
	})
}

// damage damages the files of a member that was killed, and starts it. If it ends, a lone member gets
// its files back, and one of several comes back with new ones.
func (r *run) damage(act func(*cluster.Node) (string, error)) error {
	n := r.pick(r.Storage)
	r.strike("%s", n.Name)
	if err := n.Kill(); err != nil {
		return err
	}
	files, sound := filepath.Join(n.EtcdDir(), "member"), filepath.Join(r.dir, "sound")
	if err := os.CopyFS(sound, os.DirFS(files)); err != nil {
		return err
	}
	what, err := act(n)
	if err != nil {
		return err
	}
	r.detail += ": " + what
	if err := n.Start(r.ctx); err == nil || n.Running() {
		r.detail += "; it goes on"
		return err
	}
	r.detail += fmt.Sprintf("; it refuses to start: %s", n.LastLine())
	if r.Members == 1 {
		if err := errors.Join(os.RemoveAll(files), os.Rename(sound, files), cluster.Private(files)); err != nil {
			return err
		}
		return n.Start(r.ctx)
	}
	if _, err := r.Run(r.ctx, "member", "reset", "--data-dir", n.DataDir); err != nil {
		return err
	}
	err = r.retry("the member is invited again", func(ctx context.Context) error { return r.Rejoin(ctx, r.healthyMember(n), n) })
	if err != nil {
		return err
	}
	return r.joined(n)
}

// rotationKilled rotates the key of encryption and kills the server or the command meanwhile. Then
// the command ends what was interrupted.
func rotationKilled(r *run) error {
	n := r.Storage[0]
	file := filepath.Join(r.dir, "keys", "config.yaml")
	if _, err := r.Run(r.ctx, "encryption", "init", file); err != nil {
		return err
	}
	n.Args = append(n.Args, "--encryption-provider-config", file)
	if err := errors.Join(n.Terminate(), n.Start(r.ctx)); err != nil {
		return err
	}
	if err := r.interrupted(2500*time.Millisecond, n, "encryption", "rotate", file, "--data-dir", n.DataDir); err != nil {
		return err
	}
	_, err := r.Run(r.ctx, "encryption", "rotate", file, "--resume", "--data-dir", n.DataDir)
	return err
}
