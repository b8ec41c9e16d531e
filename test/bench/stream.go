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
	"bytes"
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"net/url"
	"sync/atomic"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"k8s.io/client-go/rest"
)

// window is the flow control window in bytes, too large to be exhausted.
const window = 1 << 30

// event is the arrival of an event at a watch.
type event struct {
	watch int
	at    time.Time
}

// messages counts the events of a watch: each follows four bytes of length.
type messages struct {
	watch int
	// missing is the number of bytes that are still missing of the current event.
	missing int
}

// take returns the number of events that are complete with this data. The length itself is never split:
// the server passes it to HTTP/2 together with the event, and no frame is that short.
func (m *messages) take(data []byte) (int, error) {
	complete := 0
	for len(data) > 0 {
		if m.missing == 0 {
			if len(data) < 4 {
				return complete, fmt.Errorf("watch %d: an event begins with %d bytes", m.watch, len(data))
			}
			m.missing = int(binary.BigEndian.Uint32(data))
			data = data[4:]
		}
		read := min(m.missing, len(data))
		m.missing -= read
		data = data[read:]
		if m.missing == 0 {
			complete++
		}
	}
	return complete, nil
}

// stream is one HTTP/2 connection with many watches. It reads frames and decodes no events: a
// decoding client would cost more than the server under measurement.
type stream struct {
	conn   *tls.Conn
	framer *http2.Framer
	// watches are by the ID of their HTTP/2 stream.
	watches map[uint32]*messages
	events  chan<- event
	// opened gets a value for each watch with the response code 200.
	opened  chan struct{}
	closing atomic.Bool
	// done is closed when reading ends; err has the reason.
	done chan struct{}
	err  error
}

// openStream connects and opens a watch at each path; it returns when all have a response.
// firstWatch is the number of the first of them in events.
func openStream(ctx context.Context, config *rest.Config, firstWatch int, paths []string, events chan<- event) (*stream, error) {
	tlsConfig, err := rest.TLSConfigFor(config)
	if err != nil {
		return nil, err
	}
	tlsConfig.NextProtos = []string{http2.NextProtoTLS}
	host, err := url.Parse(config.Host)
	if err != nil {
		return nil, err
	}
	dialer := &tls.Dialer{Config: tlsConfig}
	conn, err := dialer.DialContext(ctx, "tcp", host.Host)
	if err != nil {
		return nil, err
	}
	s := &stream{
		conn:    conn.(*tls.Conn),
		framer:  http2.NewFramer(conn, conn),
		watches: make(map[uint32]*messages, len(paths)),
		events:  events,
		opened:  make(chan struct{}, len(paths)),
		done:    make(chan struct{}),
	}
	s.framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	if err := s.request(host.Host, firstWatch, paths); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	go s.read()
	for range paths {
		select {
		case <-s.opened:
		case <-s.done:
			return nil, errors.Join(s.err, conn.Close())
		case <-ctx.Done():
			return nil, errors.Join(ctx.Err(), conn.Close())
		}
	}
	return s, nil
}

// request sends the preface and all requests, before anything is read.
func (s *stream) request(authority string, firstWatch int, paths []string) error {
	if _, err := s.conn.Write([]byte(http2.ClientPreface)); err != nil {
		return err
	}
	if err := s.framer.WriteSettings(http2.Setting{ID: http2.SettingEnablePush, Val: 0}, http2.Setting{ID: http2.SettingInitialWindowSize, Val: window}); err != nil {
		return err
	}
	if err := s.framer.WriteWindowUpdate(0, window); err != nil {
		return err
	}
	var block bytes.Buffer
	encoder := hpack.NewEncoder(&block)
	id := uint32(1)
	for i, path := range paths {
		block.Reset()
		for _, field := range []hpack.HeaderField{
			{Name: ":method", Value: "GET"},
			{Name: ":scheme", Value: "https"},
			{Name: ":authority", Value: authority},
			{Name: ":path", Value: path},
			{Name: "accept", Value: "application/vnd.kubernetes.protobuf;stream=watch"},
			{Name: "user-agent", Value: "gatehouse-bench"},
		} {
			if err := encoder.WriteField(field); err != nil {
				return err
			}
		}
		s.watches[id] = &messages{watch: firstWatch + i}
		if err := s.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: block.Bytes(), EndStream: true, EndHeaders: true}); err != nil {
			return err
		}
		id += 2
	}
	return nil
}

func (s *stream) read() {
	defer close(s.done)
	for {
		frame, err := s.framer.ReadFrame()
		if err == nil {
			err = s.handle(frame)
		}
		if err != nil {
			if !s.closing.Load() {
				s.err = err
			}
			return
		}
	}
}

func (s *stream) handle(frame http2.Frame) error {
	now := time.Now()
	switch f := frame.(type) {
	case *http2.DataFrame:
		m := s.watches[f.StreamID]
		if m == nil || f.StreamEnded() {
			return fmt.Errorf("the server ended HTTP/2 stream %d", f.StreamID)
		}
		complete, err := m.take(f.Data())
		for range complete {
			s.events <- event{m.watch, now}
		}
		return err
	case *http2.MetaHeadersFrame:
		if status := f.PseudoValue("status"); status != "200" {
			return fmt.Errorf("HTTP/2 stream %d is answered with %s", f.StreamID, status)
		}
		s.opened <- struct{}{}
	case *http2.SettingsFrame:
		if !f.IsAck() {
			return s.framer.WriteSettingsAck()
		}
	case *http2.PingFrame:
		if !f.IsAck() {
			return s.framer.WritePing(true, f.Data)
		}
	case *http2.GoAwayFrame:
		return fmt.Errorf("the server wants the connection closed: %v %s", f.ErrCode, f.DebugData())
	case *http2.RSTStreamFrame:
		return fmt.Errorf("the server broke off HTTP/2 stream %d: %v", f.StreamID, f.ErrCode)
	}
	return nil
}

// close closes the connection with all its watches. It returns the error that had ended it before.
func (s *stream) close() error {
	s.closing.Store(true)
	_ = s.conn.Close()
	<-s.done
	return s.err
}
