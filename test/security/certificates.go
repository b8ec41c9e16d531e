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
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

const (
	requests      = "/apis/certificates.k8s.io/v1/certificatesigningrequests"
	clientSigner  = "kubernetes.io/kube-apiserver-client"
	servingSigner = "gatehouse.dev/host-serving"
)

// Certificates plays attacks on certificate signing requests of a standalone server.
func Certificates(t *testing.T, env Env) {
	t.Helper()
	certificate := prepareRequests(t, env)
	play(t, env, requestPeople(), requestRows(t, certificate), []string{requests, hosts, rbac + "/clusterroles", rbac + "/clusterrolebindings"})
}

func requestPeople() map[string]person {
	return map[string]person{
		"a requester":                  {"attack-requester", nil},
		"an approver of no signer":     {"attack-approver", nil},
		"an approver of other signers": {"attack-other-approver", nil},
		"a writer of statuses":         {"attack-status-writer", nil},
		"a writer of requests":         {"attack-request-writer", nil},
		"a host":                       {"system:host:attack-cert-1", []string{"system:hosts"}},
		"an administrator":             {"attack-administrator", []string{"system:masters"}},
	}
}

// prepareRequests creates the roles and the requests of the rows, and returns a certificate that the server
// has signed.
func prepareRequests(t *testing.T, env Env) string {
	t.Helper()
	admin := newClient(t, env.Admin)
	for user, rules := range map[string]string{
		"attack-requester":      `{"apiGroups":["certificates.k8s.io"],"resources":["certificatesigningrequests"],"verbs":["create","get"]}`,
		"attack-approver":       `{"apiGroups":["certificates.k8s.io"],"resources":["certificatesigningrequests","certificatesigningrequests/approval"],"verbs":["get","update","patch"]}`,
		"attack-other-approver": `{"apiGroups":["certificates.k8s.io"],"resources":["certificatesigningrequests","certificatesigningrequests/approval"],"verbs":["get","update","patch"]},{"apiGroups":["certificates.k8s.io"],"resources":["signers"],"resourceNames":["example.com/*"],"verbs":["approve","sign"]}`,
		"attack-status-writer":  `{"apiGroups":["certificates.k8s.io"],"resources":["certificatesigningrequests","certificatesigningrequests/status"],"verbs":["get","update","patch"]},{"apiGroups":["certificates.k8s.io"],"resources":["signers"],"verbs":["approve"]}`,
		"attack-request-writer": `{"apiGroups":["certificates.k8s.io"],"resources":["certificatesigningrequests"],"verbs":["get","update","patch"]}`,
	} {
		admin.apply(t, rbac+"/clusterroles/"+user, fmt.Sprintf(`{"apiVersion":"rbac.authorization.k8s.io/v1","kind":"ClusterRole","metadata":{"name":%q},"rules":[%s]}`, user, rules))
		admin.apply(t, rbac+"/clusterrolebindings/"+user, fmt.Sprintf(`{"apiVersion":"rbac.authorization.k8s.io/v1","kind":"ClusterRoleBinding","metadata":{"name":%q},"roleRef":{"apiGroup":"rbac.authorization.k8s.io","kind":"ClusterRole","name":%q},"subjects":[{"apiGroup":"rbac.authorization.k8s.io","kind":"User","name":%q}]}`, user, user, user))
	}
	admin.must(t, http.MethodPost, hosts, "", `{"apiVersion":"fleet.gatehouse.dev/v1alpha1","kind":"Host","metadata":{"name":"attack-cert-1"}}`)
	admin.must(t, http.MethodPost, requests, "", signingRequest(t, "attack-pending", clientSigner, "client auth", pkix.Name{CommonName: "attack-guest"}))
	admin.must(t, http.MethodPost, requests, "", signingRequest(t, "attack-approved", "example.com/none", "client auth", pkix.Name{CommonName: "attack-guest"}))
	admin.must(t, http.MethodPost, requests, "", signingRequest(t, "attack-issued", clientSigner, "client auth", pkix.Name{CommonName: "attack-guest"}))
	for _, name := range []string{"attack-approved", "attack-issued"} {
		admin.must(t, http.MethodPatch, requests+"/"+name+"/approval", "", approved)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	// Allowed requests first, so that the refusals below do not come from missing rights.
	for user := range requestPeople() {
		if p := requestPeople()[user]; len(p.groups) == 0 {
			newClient(t, env.As(p.user)).awaitCode(ctx, t, attack{path: requests + "/attack-pending"}, http.StatusOK)
		}
	}
	for {
		answer := string(admin.must(t, http.MethodGet, requests+"/attack-issued", "", ""))
		if _, rest, found := strings.Cut(answer, `"certificate":"`); found {
			certificate, _, _ := strings.Cut(rest, `"`)
			return certificate
		}
		if ctx.Err() != nil {
			t.Fatalf("no certificate is issued: %s", answer)
		}
	}
}

const approved = `{"status":{"conditions":[{"type":"Approved","status":"True","reason":"Attack"}]}}`

// signingRequest returns a valid request for a subject.
func signingRequest(t *testing.T, name, signer, usage string, subject pkix.Name, more ...string) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: subject, DNSNames: []string{"attack-cert-1"}}, key)
	if err != nil {
		t.Fatal(err)
	}
	encoded := base64.StdEncoding.EncodeToString(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}))
	return fmt.Sprintf(`{"apiVersion":"certificates.k8s.io/v1","kind":"CertificateSigningRequest","metadata":{"name":%q},"spec":{"signerName":%q,"usages":[%q],"request":%q%s}}`,
		name, signer, usage, encoded, strings.Join(more, ""))
}

// requestRows returns the attacks. certificate is one that the server has signed, in base64.
func requestRows(t *testing.T, certificate string) []attack {
	t.Helper()
	const forbidden, invalid = http.StatusForbidden, http.StatusUnprocessableEntity
	issue := fmt.Sprintf(`{"status":{"certificate":%q}}`, certificate)
	create := func(subject pkix.Name, more ...string) string {
		return signingRequest(t, "attack-new", clientSigner, "client auth", subject, more...)
	}
	rows := []attack{
		{name: "A requester signs itself into the administrators", as: "a requester", method: http.MethodPost, path: requests, body: create(pkix.Name{CommonName: "a", Organization: []string{"system:masters"}}), code: forbidden, says: "system:masters"},
		{name: "An administrator signs another administrator", as: "an administrator", method: http.MethodPost, path: requests, body: create(pkix.Name{CommonName: "a", Organization: []string{"team", "system:masters"}}), code: forbidden, says: "system:masters"},
		{name: "A requester takes the name of a controller", as: "a requester", method: http.MethodPost, path: requests, body: create(pkix.Name{CommonName: "system:controller:namespace-controller"}), code: forbidden, says: "reserved"},
		{name: "A requester takes the name of a service account", as: "a requester", method: http.MethodPost, path: requests, body: create(pkix.Name{CommonName: "system:serviceaccount:kube-system:default", Organization: []string{"system:serviceaccounts"}}), code: forbidden, says: "reserved"},
		{name: "A requester takes the name of the server", as: "a requester", method: http.MethodPost, path: requests, body: create(pkix.Name{CommonName: "system:apiserver"}), code: forbidden, says: "reserved"},
		{name: "A requester joins the hosts under its own name", as: "a requester", method: http.MethodPost, path: requests, body: create(pkix.Name{CommonName: "attack-requester", Organization: []string{"system:hosts"}}), code: forbidden, says: "reserved"},
		{name: "A requester is a host and more", as: "a requester", method: http.MethodPost, path: requests, body: create(pkix.Name{CommonName: "system:host:attack-cert-1", Organization: []string{"system:hosts", "system:authenticated"}}), code: forbidden, says: "reserved"},
		{name: "A requester sends a request of a megabyte", as: "a requester", method: http.MethodPost, path: requests, body: fmt.Sprintf(`{"apiVersion":"certificates.k8s.io/v1","kind":"CertificateSigningRequest","metadata":{"name":"attack-new"},"spec":{"signerName":%q,"usages":["client auth"],"request":%q}}`, clientSigner, strings.Repeat("QUFB", 250_000)), code: invalid, says: "at most 65536 bytes"},
		{name: "A requester forges the user in a request", as: "a requester", method: http.MethodPost, path: requests + "?dryRun=All", body: create(pkix.Name{CommonName: "a"}, `,"username":"gatehouse-admin","groups":["system:masters"],"uid":"0"`), code: http.StatusCreated, says: `"username":"attack-requester"`},
		{name: "A requester approves in the request", as: "a requester", method: http.MethodPost, path: requests + "?dryRun=All", body: strings.TrimSuffix(create(pkix.Name{CommonName: "a"}), "}") + `,` + strings.TrimPrefix(approved, "{"), code: http.StatusCreated, says: `"status":{}`},
		{name: "A requester approves a request", as: "a requester", method: http.MethodPatch, path: requests + "/attack-pending/approval", body: approved, code: forbidden, says: "cannot patch"},
		{name: "An approver approves without the right for the signer", as: "an approver of no signer", method: http.MethodPatch, path: requests + "/attack-pending/approval", body: approved, code: forbidden, says: "not permitted to approve"},
		{name: "An approver denies without the right for the signer", as: "an approver of no signer", method: http.MethodPatch, path: requests + "/attack-pending/approval", body: strings.Replace(approved, "Approved", "Denied", 1), code: forbidden, says: "not permitted to approve"},
		{name: "An approver of other signers approves", as: "an approver of other signers", method: http.MethodPatch, path: requests + "/attack-pending/approval", body: approved, code: forbidden, says: "not permitted to approve"},
		{name: "An approver of other signers names another signer", as: "an approver of other signers", method: http.MethodPatch, path: requests + "/attack-pending/approval", body: `{"spec":{"signerName":"example.com/none"},` + strings.TrimPrefix(approved, "{"), code: forbidden, says: "not permitted to approve"},
		{name: "An approver takes the approval back", as: "an administrator", method: http.MethodPatch, path: requests + "/attack-approved/approval", body: `{"status":{"conditions":[]}}`, code: invalid, says: "cannot be removed"},
		{name: "An approver writes a certificate", as: "an administrator", method: http.MethodPatch, path: requests + "/attack-approved/approval", body: issue, code: http.StatusOK, says: `"type":"Approved"`},
		{name: "A writer of statuses writes a certificate", as: "a writer of statuses", method: http.MethodPatch, path: requests + "/attack-approved/status", body: issue, code: forbidden, says: "not permitted to sign"},
		{name: "A writer of statuses lets a request fail", as: "a writer of statuses", method: http.MethodPatch, path: requests + "/attack-pending/status", body: strings.Replace(approved, "Approved", "Failed", 1), code: forbidden, says: "not permitted to sign"},
		{name: "A writer of statuses approves", as: "a writer of statuses", method: http.MethodPatch, path: requests + "/attack-pending/status", body: approved, code: invalid, says: "approval only"},
		{name: "An administrator approves at the status", as: "an administrator", method: http.MethodPatch, path: requests + "/attack-pending/status", body: approved, code: invalid, says: "approval only"},
		{name: "An administrator replaces a certificate", as: "an administrator", method: http.MethodPatch, path: requests + "/attack-issued/status", body: `{"status":{"certificate":null}}`, code: invalid, says: "cannot be changed"},
	}
	return append(append(rows, changedRequests()...), hostRequests(t)...)
}

// changedRequests returns changes of a request after its approval, which are dropped.
func changedRequests() []attack {
	var rows []attack
	for what, body := range map[string]string{
		"the signer":    `{"spec":{"signerName":"kubernetes.io/kube-apiserver-client"}}`,
		"the user":      `{"spec":{"username":"gatehouse-admin","groups":["system:masters"]}}`,
		"the usages":    `{"spec":{"usages":["any"]}}`,
		"the request":   `{"spec":{"request":"QUFB"}}`,
		"the lifetime":  `{"spec":{"expirationSeconds":2000000000}}`,
		"the condition": `{"status":{"conditions":[{"type":"Approved","status":"True"},{"type":"Failed","status":"True"}]}}`,
	} {
		rows = append(rows, attack{
			name: "A writer of requests changes " + what + " of an approved one", as: "a writer of requests", method: http.MethodPatch,
			path: requests + "/attack-approved", body: body, code: http.StatusOK, says: `"signerName":"example.com/none"`,
		})
	}
	return rows
}

// hostRequests returns attacks of a host.
func hostRequests(t *testing.T) []attack {
	t.Helper()
	const forbidden = http.StatusForbidden
	self := pkix.Name{CommonName: "system:host:attack-cert-1", Organization: []string{"system:hosts"}}
	other := pkix.Name{CommonName: "system:host:attack-cert-2", Organization: []string{"system:hosts"}}
	const own = "system:host:attack-cert-1:a"
	rows := []attack{
		{name: "A host requests a certificate of another host", method: http.MethodPost, path: requests, body: signingRequest(t, own, servingSigner, "server auth", other), code: forbidden, says: "only the agent of host"},
		{name: "A host requests a certificate of an administrator", method: http.MethodPost, path: requests, body: signingRequest(t, own, servingSigner, "server auth", pkix.Name{CommonName: "a", Organization: []string{"system:masters"}}), code: forbidden, says: "spec.request"},
		{name: "A host requests the client certificate of another host", method: http.MethodPost, path: requests, body: signingRequest(t, own, clientSigner, "client auth", other), code: forbidden, says: "may request its own next certificate"},
		{name: "A host requests the client certificate of an administrator", method: http.MethodPost, path: requests, body: signingRequest(t, own, clientSigner, "client auth", pkix.Name{CommonName: "a", Organization: []string{"system:masters"}}), code: forbidden, says: "spec.request"},
		{name: "A host requests its next client certificate with a DNS name", method: http.MethodPost, path: requests, body: signingRequest(t, own, clientSigner, "client auth", self), code: forbidden, says: "no alternative names"},
		{name: "A host requests a certificate of another signer", method: http.MethodPost, path: requests, body: signingRequest(t, own, "example.com/clients", "client auth", self), code: forbidden, says: "spec.signerName"},
		{name: "A host requests a serving certificate for use as a client", method: http.MethodPost, path: requests, body: signingRequest(t, own, servingSigner, "client auth", self), code: forbidden, says: "client auth"},
		{name: "A host requests under the name of another host", method: http.MethodPost, path: requests, body: signingRequest(t, "system:host:attack-cert-10:a", servingSigner, "server auth", self), code: forbidden, says: "metadata.name"},
		{name: "A host creates a request by apply", method: http.MethodPatch, path: requests + "/" + own + "?fieldManager=x", contentType: "application/apply-patch+yaml", body: signingRequest(t, own, servingSigner, "server auth", self), code: forbidden},
		{name: "A host reads the request of a user", path: requests + "/attack-issued", code: forbidden},
		{name: "A host lists requests", path: requests, code: forbidden},
		{name: "A host watches requests of its signer", path: requests + "?watch=1&fieldSelector=spec.signerName%3Dgatehouse.dev/host-serving", code: forbidden},
		{name: "A host approves a request", method: http.MethodPatch, path: requests + "/attack-pending/approval", body: approved, code: forbidden},
		{name: "A host signs a request", method: http.MethodPatch, path: requests + "/attack-pending/status", body: `{"status":{"certificate":"QUFB"}}`, code: forbidden},
		{name: "A host deletes a request", method: http.MethodDelete, path: requests + "/attack-pending", code: forbidden},
	}
	for i := range rows {
		rows[i].as = "a host"
	}
	return rows
}
