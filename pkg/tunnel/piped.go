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

package tunnel

import (
	"io"
	"net"
	"sync"
)

// newPiped returns one end of a stream as a connection. It has deadlines, which net/http needs to take a
// connection over, and a stream has none: so bytes pass through net.Pipe.
func newPiped(from io.ReadCloser, to io.WriteCloser, ended func()) net.Conn {
	near, far := net.Pipe()
	var ends sync.WaitGroup
	ends.Go(func() {
		_, _ = io.Copy(far, from)
		_ = far.Close()
		_ = to.Close()
	})
	ends.Go(func() {
		_, _ = io.Copy(to, far)
		_ = to.Close()
		_ = from.Close()
	})
	go func() {
		ends.Wait()
		ended()
	}()
	return near
}
