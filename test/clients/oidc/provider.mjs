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

// An OpenID Connect provider for oidc_test.go. $ISSUER is its URL, $TLS_KEY and $TLS_CERT are files. Every name and
// password is accepted, and each user is in the group "developers".

import { readFileSync } from 'node:fs';
import https from 'node:https';
import Provider from 'oidc-provider';

const issuer = process.env.ISSUER;
const provider = new Provider(issuer, {
  clients: [{
    client_id: 'gatehouse',
    application_type: 'native', // a redirect to the loopback interface with any port (RFC 8252)
    token_endpoint_auth_method: 'none',
    redirect_uris: ['http://127.0.0.1/callback'],
    grant_types: ['authorization_code', 'refresh_token', 'urn:ietf:params:oauth:grant-type:device_code'],
    response_types: ['code'],
  }],
  claims: { openid: ['sub'], groups: ['groups'] },
  conformIdTokenClaims: false, // claims of scopes are in the ID token, which is all that the server gets
  findAccount: (_, id) => ({ accountId: id, claims: () => ({ sub: id, groups: ['developers'] }) }),
  features: { deviceFlow: { enabled: true }, devInteractions: { enabled: true } },
  cookies: { keys: ['of-this-test'] },
});
provider.on('server_error', (_, error) => console.error(error));

const server = https.createServer({ key: readFileSync(process.env.TLS_KEY), cert: readFileSync(process.env.TLS_CERT) }, provider.callback());
server.listen(new URL(issuer).port, '127.0.0.1', () => console.log('listening'));
