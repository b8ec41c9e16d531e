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

package authentication

import (
	cryptox509 "crypto/x509"
	"fmt"
	"slices"

	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/request/x509"
	"k8s.io/apiserver/pkg/authentication/user"
)

// userOfCertificate reads the user from a verified client certificate: name = CN, groups = O. It
// refuses the user and the group of unauthenticated requests. The library accepts the common name
// system:anonymous and then omits the group system:authenticated, so the user would be neither
// authenticated nor anonymous: reviews show no name, and flow control and roles see no group.
var userOfCertificate = x509.UserConversionFunc(func(chain []*cryptox509.Certificate) (*authenticator.Response, bool, error) {
	response, ok, err := x509.CommonNameUserConversion(chain)
	if err != nil || !ok {
		return response, ok, err
	}
	if err := refuseUnauthenticated(response.User); err != nil {
		return nil, false, fmt.Errorf("the client certificate %w", err)
	}
	return response, true, nil
})

func refuseUnauthenticated(u user.Info) error {
	if u.GetName() == user.Anonymous {
		return fmt.Errorf("names the user %s, which is reserved for requests without credentials: use another name", user.Anonymous)
	}
	if slices.Contains(u.GetGroups(), user.AllUnauthenticated) {
		return fmt.Errorf("names the group %s, which is reserved for requests without credentials: use no such group", user.AllUnauthenticated)
	}
	return nil
}
