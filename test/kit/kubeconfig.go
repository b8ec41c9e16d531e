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

package kit

import (
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"net/http/httptest"
)

// ServiceKubeconfig returns the kubeconfig of a service that a server calls, such as a webhook of tokens, with the
// service's own certificate as authority.
func ServiceKubeconfig(service *httptest.Server) string {
	authority := ""
	if certificate := service.Certificate(); certificate != nil {
		encoded := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate.Raw})
		authority = ", certificate-authority-data: " + base64.StdEncoding.EncodeToString(encoded)
	}
	return fmt.Sprintf("apiVersion: v1\nkind: Config\nclusters: [{name: service, cluster: {server: %q%s}}]\nusers: [{name: caller}]\n"+
		"contexts: [{name: service, context: {cluster: service, user: caller}}]\ncurrent-context: service\n", service.URL, authority)
}
