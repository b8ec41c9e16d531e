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

package kubectl

import "strings"

// trustBundles publishes the authority of the server as the trust bundle of a signer.
func trustBundles(s *scene) {
	authority := s.kubectl("get configmap kube-root-ca.crt -n $ID -o", `jsonpath={.data.ca\.crt}`)
	authority.succeeds()
	const begin = `
apiVersion: certificates.k8s.io/v1
kind: ClusterTrustBundle
metadata: {name: "example.com:$ID:anchors", labels: {scene: $ID}}
spec:
  signerName: example.com/$ID
  trustBundle: |
    `
	anchors := strings.ReplaceAll(strings.TrimSpace(authority.stdout), "\n", "\n    ")
	s.pipe(begin+anchors, "apply -f -").prints("clustertrustbundle.certificates.k8s.io/example.com:$ID:anchors created")
	s.pipe(begin+anchors, "apply -f -").prints("clustertrustbundle.certificates.k8s.io/example.com:$ID:anchors unchanged")
	s.kubectl("get clustertrustbundles --field-selector spec.signerName=example.com/$ID").table("NAME | SIGNERNAME", "example.com:$ID:anchors | example.com/$ID")
	s.kubectl("describe clustertrustbundle example.com:$ID:anchors").shows("Name:", "example.com:$ID:anchors", "Signer Name:", "example.com/$ID", "Trust Bundle:", "-----BEGIN CERTIFICATE-----")
	s.kubectl("explain clustertrustbundle.spec.trustBundle").shows("FIELD: trustBundle", "PEM")
	s.kubectl("patch clustertrustbundle example.com:$ID:anchors --type=merge -p", `{"spec":{"signerName":"example.com/other"}}`).complains("spec.signerName: Invalid value", "cannot be changed: create another bundle")
	s.pipe(begin+"x", "apply -f -").complains("spec.trustBundle: Invalid value", "must have at least one PEM block of the type CERTIFICATE")
	s.pipe(strings.Replace(begin+anchors, "example.com:$ID:anchors", "$ID", 1), "create -f -").complains("metadata.name: Invalid value", "the name of a bundle of signer example.com/$ID begins with example.com:$ID:")
	s.kubectl("delete clustertrustbundle -l scene=$ID").warns("Warning: deleting cluster-scoped resources, not scoped to the provided namespace", `clustertrustbundle.certificates.k8s.io "example.com:$ID:anchors" deleted`)
}
