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
	"fmt"
	"io"

	"github.com/gatehouse-dev/gatehouse/pkg/browser"
)

// show prints the link and opens it in a browser, if there is one. The link has no secret.
func (o *Options) show(link string, notes io.Writer) {
	program := browser.Program()
	if o.NoBrowser || program == "" {
		fmt.Fprintf(notes, "To log in at %s, open %s in a browser of this machine\n", o.Issuer, link)
		return
	}
	fmt.Fprintf(notes, "To log in at %s, your browser opens; if it does not, open %s\n", o.Issuer, link)
	browser.Open(program, link, notes)
}
