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

package onserver

import (
	"context"
	"fmt"
	"net"
	"net/netip"

	"github.com/spf13/pflag"
)

// Options are the flags of the page.
type Options struct {
	// Listen is the address and port of the page; empty for no page.
	Listen string
}

const listenFlag = "ui-listen"

// AddFlags adds the flags to a set.
func (o *Options) AddFlags(fs *pflag.FlagSet) {
	fs.StringVar(&o.Listen, listenFlag, o.Listen, "Address and port at which browsers get the page, such as 127.0.0.1:6444; port 0 selects a free port. \"kubectl gatehouse ui --on-server\" prints one-time links to it. It has the serving certificate of the API. Where empty, the server has no page, and \"kubectl gatehouse ui\" serves it on the user's machine.")
}

// Validate returns an error if the address is invalid.
func (o *Options) Validate() []error {
	if o.Listen == "" {
		return nil
	}
	if _, err := netip.ParseAddrPort(o.Listen); err != nil {
		return []error{fmt.Errorf("--%s=%q is no IP address with a port: write it as 127.0.0.1:6444, or 0.0.0.0:6444 for other machines", listenFlag, o.Listen)}
	}
	return nil
}

// listen opens the port.
func (o *Options) listen() (net.Listener, error) {
	listener, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", o.Listen)
	if err != nil {
		return nil, fmt.Errorf("--%s: cannot listen on %s: %w; choose another address or port", listenFlag, o.Listen, err)
	}
	return listener, nil
}
