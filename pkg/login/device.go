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

package login

import (
	"context"
	"fmt"
	"io"
	"net/url"

	"golang.org/x/oauth2"
)

// deviceCode runs the device flow: it has the user enter a code on another device.
func (p *provider) deviceCode(ctx context.Context, notes io.Writer) (*entry, error) {
	o := p.options
	if p.metadata.DeviceURL == "" {
		return nil, fmt.Errorf("--device: %s does not support the device flow: leave the flag out, and use --no-browser on a machine without a browser", o.Issuer)
	}
	var options []oauth2.AuthCodeOption
	if p.oauth.ClientSecret != "" {
		// The library does not authenticate the client here; RFC 8628, 3.1 requires it of clients with a secret.
		options = append(options, oauth2.SetAuthURLParam("client_secret", p.oauth.ClientSecret))
	}
	device, err := p.oauth.DeviceAuth(p.context(ctx), options...)
	if err != nil {
		return nil, p.refused(ctx, deviceFlow, err)
	}
	if u, err := url.Parse(device.VerificationURI); err != nil || u.Scheme != "https" {
		return nil, fmt.Errorf("--issuer-url=%s: the page for the code is %q, and must be an https URL: correct the provider", o.Issuer, printable(device.VerificationURI))
	}
	fmt.Fprintf(notes, "To log in at %s, open %s on any device and enter the code %s\n", o.Issuer, printable(device.VerificationURI), printable(device.UserCode))
	token, err := p.oauth.DeviceAccessToken(p.context(ctx), device)
	if err != nil {
		return nil, p.refused(ctx, deviceFlow, err)
	}
	return p.tokens(ctx, token, "")
}
