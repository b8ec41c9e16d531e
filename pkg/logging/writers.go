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

package logging

import (
	"bytes"
	"io"
	"sync"
)

// Locked serializes calls of Write from several goroutines.
type Locked struct {
	To io.Writer

	mu sync.Mutex
}

// Write implements io.Writer.
func (w *Locked) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.To.Write(p)
}

// WarningsOnly drops klog's informational lines and passes warnings and errors. klog's text
// format begins each line with its severity. Warnings of etcd, about a slow disk for example,
// are informational lines with severity="warn", and pass as well.
type WarningsOnly struct{ io.Writer }

// Write implements io.Writer.
func (w WarningsOnly) Write(line []byte) (int, error) {
	if len(line) > 0 && line[0] == 'I' && !bytes.Contains(line, []byte(`severity="warn"`)) {
		return len(line), nil
	}
	return w.Writer.Write(line)
}
