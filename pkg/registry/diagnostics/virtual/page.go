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

package virtual

import (
	"encoding/base64"
	"encoding/json"
	"strconv"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metainternalversion "k8s.io/apimachinery/pkg/apis/meta/internalversion"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/storage"
)

// page is a part of a list.
type page struct {
	// Version is that of the whole list; 0 for the present one.
	Version uint64 `json:"v"`
	// After is the order of the last object of the previous page.
	After uint64 `json:"a"`
	// atLeast and exactly are the versions that the client named; 0 for none.
	atLeast, exactly uint64
}

func (p page) token() string {
	content, _ := json.Marshal(p) // two numbers
	return base64.RawURLEncoding.EncodeToString(content)
}

// pageOf returns the page that a client requests.
func pageOf(options *metainternalversion.ListOptions) (page, error) {
	var p page
	if options == nil {
		return p, nil
	}
	if options.Continue != "" {
		content, err := base64.RawURLEncoding.DecodeString(options.Continue)
		if err == nil {
			err = json.Unmarshal(content, &p)
		}
		if err != nil || p.Version == 0 {
			return page{}, apierrors.NewBadRequest("continue: the token is none that this server has issued: list from the beginning")
		}
		return p, nil
	}
	version, err := parseVersion(options.ResourceVersion)
	if err != nil {
		return page{}, err
	}
	p.atLeast = version
	if options.ResourceVersionMatch == metav1.ResourceVersionMatchExact {
		p.exactly = version
	}
	return p, nil
}

// includes reports whether an object that was added in a version belongs to this page or to a later one.
func (p page) includes(order uint64) bool {
	return order > p.After && (p.Version == 0 || order <= p.Version)
}

// check returns an error if the list of the page is not known any more.
func (p page) check(version, gone uint64, expired func() error) error {
	switch {
	case p.atLeast > version:
		return storage.NewTooLargeResourceVersionError(p.atLeast, version, 1)
	case p.exactly != 0 && p.exactly != version, p.Version != 0 && (p.After < gone || p.Version > version):
		return expired()
	}
	return nil
}

// parseVersion returns a resource version; 0 for an empty one.
func parseVersion(text string) (uint64, error) {
	if text == "" {
		return 0, nil
	}
	version, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return 0, apierrors.NewBadRequest("resourceVersion: " + strconv.Quote(text) + " is no number: use one that a list has returned")
	}
	return version, nil
}
