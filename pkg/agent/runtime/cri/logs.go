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

package cri

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	criv1 "k8s.io/cri-api/pkg/apis/runtime/v1"
	"k8s.io/klog/v2"
)

const (
	// maxLogSize is the size in bytes from which on a log is rotated; maxLogFiles is the number of files
	// of a container, with the current one.
	maxLogSize  = 10 << 20
	maxLogFiles = 5
)

// within reports whether a path is in a directory.
func within(dir, path string) bool {
	relative, err := filepath.Rel(dir, path)
	return err == nil && filepath.IsLocal(relative) && relative != "."
}

// rotateLogs renames logs that are too large, and lets the runtime open new ones.
func (r *Runtime) rotateLogs(ctx context.Context) {
	r.mu.Lock()
	logs := map[string]string{}
	for _, p := range r.pods {
		for id, c := range p.containers {
			if c.state == criv1.ContainerState_CONTAINER_RUNNING && within(r.options.LogDir, c.LogPath) {
				logs[id] = c.LogPath
			}
		}
	}
	r.mu.Unlock()
	for id, path := range logs {
		if info, err := os.Stat(path); err != nil || info.Size() < maxLogSize {
			continue
		}
		if err := r.rotateLog(ctx, id, path); err != nil {
			klog.FromContext(ctx).Error(err, "Rotating a log failed, retrying", "path", path)
		}
	}
}

// rotateLog renames a log. If the runtime cannot open a new one, the old one keeps its name: the
// runtime still writes to it.
func (r *Runtime) rotateLog(ctx context.Context, id, path string) error {
	rotated := path + "." + r.clock.Now().UTC().Format(rotatedFormat)
	if err := os.Rename(path, rotated); err != nil {
		return err
	}
	if err := r.cri.ReopenContainerLog(ctx, id); err != nil {
		_ = os.Rename(rotated, path)
		return err
	}
	old := RotatedLogs(path)
	for _, file := range old[:max(0, len(old)-(maxLogFiles-1))] {
		_ = os.Remove(file)
	}
	return nil
}

// RotatedLogs returns the rotated files of a log, the oldest first.
func RotatedLogs(path string) []string {
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		return nil
	}
	var files []string
	for _, entry := range entries {
		if suffix, ok := strings.CutPrefix(entry.Name(), filepath.Base(path)+"."); ok {
			if _, err := time.Parse(rotatedFormat, suffix); err == nil {
				files = append(files, filepath.Join(filepath.Dir(path), entry.Name()))
			}
		}
	}
	slices.Sort(files)
	return files
}

// removeLogs removes a log and its rotated files.
func removeLogs(path string) {
	for _, file := range append(RotatedLogs(path), path) {
		_ = os.Remove(file)
	}
}
