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

package security

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/http"
	"strings"
	"testing"
	"time"
)

const trustBundles = "/apis/certificates.k8s.io/v1/clustertrustbundles"

// TrustBundles plays attacks on the trust bundles of a standalone server, whose readers trust what is in them.
func TrustBundles(t *testing.T, env Env) {
	t.Helper()
	admin := newClient(t, env.Admin)
	people := map[string]person{
		"a user":                      {"attack-user", nil},
		"a host":                      {"system:host:attack-bundle", []string{"system:hosts"}},
		"a writer without signers":    {"attack-bundle-writer", nil},
		"a writer of another signer":  {"attack-bundle-other", nil},
		"a signer that may not write": {"attack-bundle-signer", nil},
		"a service account":           {"attack-bundle-account", []string{"system:serviceaccounts"}},
		"an administrator":            {"attack-administrator", []string{"system:masters"}},
	}
	const write = `{"apiGroups":["certificates.k8s.io"],"resources":["clustertrustbundles"],"verbs":["*"]}`
	for user, rules := range map[string]string{
		"attack-bundle-writer": write + `,{"apiGroups":["certificates.k8s.io"],"resources":["signers"],"verbs":["sign","approve"]}`,
		"attack-bundle-other":  write + `,{"apiGroups":["certificates.k8s.io"],"resources":["signers"],"resourceNames":["example.com/other","com/*"],"verbs":["attest"]}`,
		"attack-bundle-signer": `{"apiGroups":["certificates.k8s.io"],"resources":["clustertrustbundles"],"verbs":["get"]},{"apiGroups":["certificates.k8s.io"],"resources":["signers"],"verbs":["attest"]}`,
	} {
		admin.apply(t, rbac+"/clusterroles/"+user, fmt.Sprintf(`{"apiVersion":"rbac.authorization.k8s.io/v1","kind":"ClusterRole","metadata":{"name":%q},"rules":[%s]}`, user, rules))
		admin.apply(t, rbac+"/clusterrolebindings/"+user, fmt.Sprintf(`{"apiVersion":"rbac.authorization.k8s.io/v1","kind":"ClusterRoleBinding","metadata":{"name":%q},"roleRef":{"apiGroup":"rbac.authorization.k8s.io","kind":"ClusterRole","name":%q},"subjects":[{"apiGroup":"rbac.authorization.k8s.io","kind":"User","name":%q}]}`, user, user, user))
	}
	anchor := newAnchor(t)
	admin.must(t, http.MethodPost, trustBundles, "", trustBundle("example.com:signer:attack", "example.com/signer", newAnchor(t)))
	admin.must(t, http.MethodPost, trustBundles, "", trustBundle("attack-unsigned", "", newAnchor(t)))
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	// Allowed requests first, so that the refusals below do not come from missing rights.
	for _, p := range people {
		if strings.HasPrefix(p.user, "attack-bundle-") {
			newClient(t, env.As(p.user, p.groups...)).awaitCode(ctx, t, attack{path: trustBundles + "/example.com:signer:attack"}, http.StatusOK)
		}
	}
	rows := append(attestRows(anchor), anchorRows(anchor)...)
	play(t, env, people, rows, []string{trustBundles, hosts, rbac + "/clusterroles", rbac + "/clusterrolebindings"})
}

func newAnchor(t *testing.T) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "attack"}, IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

func trustBundle(name, signer, text string) string {
	return fmt.Sprintf(`{"apiVersion":"certificates.k8s.io/v1","kind":"ClusterTrustBundle","metadata":{"name":%q},"spec":{"signerName":%q,"trustBundle":%q}}`, name, signer, text)
}

// attestRows are attacks of users without the rights.
func attestRows(anchor string) []attack {
	const forbidden, invalid, created = http.StatusForbidden, http.StatusUnprocessableEntity, http.StatusCreated
	const stored, attest = trustBundles + "/example.com:signer:attack", "not permitted to attest"
	create := trustBundle("example.com:signer:new", "example.com/signer", anchor)
	other := trustBundle("example.com:other:new", "example.com/other", anchor)
	change := fmt.Sprintf(`{"spec":{"trustBundle":%q}}`, anchor)
	rows := []attack{
		{name: "A writer of another signer may write that one", as: "a writer of another signer", method: http.MethodPost, path: trustBundles + "?dryRun=All", body: other, code: created, says: "example.com/other"},
		{name: "A writer without signers may write a bundle without one", as: "a writer without signers", method: http.MethodPost, path: trustBundles + "?dryRun=All", body: trustBundle("attack-new", "", anchor), code: created, says: "attack-new"},
		{name: "A writer without signers takes the prefix of a signer without naming it", as: "a writer without signers", method: http.MethodPost, path: trustBundles, body: trustBundle("example.com:signer:new", "", anchor), code: invalid, says: "metadata.name"},
		{name: "A writer of another signer takes the prefix of a signer", as: "a writer of another signer", method: http.MethodPost, path: trustBundles, body: trustBundle("example.com:signer:new", "example.com/other", anchor), code: invalid, says: "metadata.name"},
		{name: "A writer of another signer moves a bundle to it", as: "a writer of another signer", method: http.MethodPatch, path: stored, body: `{"spec":{"signerName":"example.com/other"}}`, code: invalid, says: "spec.signerName"},
		{name: "A writer without signers removes the signer", as: "a writer without signers", method: http.MethodPatch, path: stored, body: `{"spec":{"signerName":null}}`, code: invalid, says: "spec.signerName"},
	}
	for _, who := range []string{"a writer without signers", "a writer of another signer"} {
		rows = append(rows,
			attack{name: who + " publishes anchors of a signer", as: who, method: http.MethodPost, path: trustBundles, body: create, code: forbidden, says: attest},
			attack{name: who + " publishes anchors by apply", as: who, method: http.MethodPatch, path: trustBundles + "/example.com:signer:new?fieldManager=x", contentType: "application/apply-patch+yaml", body: create, code: forbidden, says: attest},
			attack{name: who + " replaces the anchors of a signer", as: who, method: http.MethodPatch, path: stored, body: change, code: forbidden, says: attest},
			attack{name: who + " labels a bundle, so that other readers select it", as: who, method: http.MethodPatch, path: stored, body: `{"metadata":{"labels":{"a":"b"}}}`, code: forbidden, says: attest},
		)
	}
	for _, who := range []string{"a user", "a host", "a signer that may not write", "a service account"} {
		rows = append(rows,
			attack{name: who + " creates a bundle", as: who, method: http.MethodPost, path: trustBundles, body: create, code: forbidden},
			attack{name: who + " changes a bundle without a signer", as: who, method: http.MethodPatch, path: trustBundles + "/attack-unsigned", body: change, code: forbidden},
			attack{name: who + " deletes all bundles", as: who, method: http.MethodDelete, path: trustBundles, code: forbidden},
		)
	}
	return append(rows, attack{name: "A user reads what others trust", as: "a user", path: trustBundles, code: forbidden})
}

// anchorRows are contents that the server refuses from every user.
func anchorRows(anchor string) []attack {
	var rows []attack
	for what, text := range map[string]string{
		"a private key":   anchor + string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: []byte("secret")})),
		"two megabytes":   anchor + strings.Repeat("x", 2_000_000),
		"nothing":         "",
		"an anchor twice": anchor + anchor,
	} {
		rows = append(rows, attack{
			name: "An administrator stores " + what, as: "an administrator", method: http.MethodPost, path: trustBundles,
			body: trustBundle("attack-new", "", text), code: http.StatusUnprocessableEntity, says: "spec.trustBundle",
		})
	}
	return rows
}
