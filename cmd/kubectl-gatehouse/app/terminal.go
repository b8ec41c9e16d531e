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

package app

import (
	"context"
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/term"
	"k8s.io/client-go/tools/remotecommand"
)

// resizeInterval is the time between looks at the size of the terminal. Not all systems announce a change.
const resizeInterval = 250 * time.Millisecond

// terminal is the standard input in raw mode: the terminal of the container interprets the keys. It implements
// remotecommand.TerminalSizeQueue.
type terminal struct {
	ctx   context.Context
	fd    int
	state *term.State
	last  remotecommand.TerminalSize
}

var _ remotecommand.TerminalSizeQueue = &terminal{}

// openTerminal returns nil if the input is not a terminal.
func openTerminal(ctx context.Context, in io.Reader) (*terminal, error) {
	file, ok := in.(*os.File)
	if !ok || !term.IsTerminal(int(file.Fd())) {
		return nil, nil
	}
	state, err := term.MakeRaw(int(file.Fd()))
	if err != nil {
		return nil, fmt.Errorf("the terminal cannot be set to raw mode: %w", err)
	}
	return &terminal{ctx: ctx, fd: int(file.Fd()), state: state}, nil
}

func (t *terminal) restore() { _ = term.Restore(t.fd, t.state) }

// Next implements remotecommand.TerminalSizeQueue: it waits for a new size.
func (t *terminal) Next() *remotecommand.TerminalSize {
	for {
		width, height, err := term.GetSize(t.fd)
		size := remotecommand.TerminalSize{Width: uint16(width), Height: uint16(height)}
		if err == nil && size != t.last {
			t.last = size
			return &size
		}
		select {
		case <-t.ctx.Done():
			return nil
		case <-time.After(resizeInterval):
		}
	}
}
