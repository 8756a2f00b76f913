// An OpenID provider (oidc-provider) on a loopback address, for the tests of authentication.
//
// Each line of standard input is a list of names: the signing keys from then on, the first of which signs. A key is made
// when its name comes for the first time. Each is answered on standard output, once the provider uses them, by a line of
// JSON: the issuer, and the ids of the keys it publishes.
//
// Clients are the users: alice of acme, bob of globex. The grant is client credentials; the resource decides whether tokens
// are JWTs (urn:postern:jwt) or opaque (urn:postern:opaque).

import { generateKeyPairSync } from 'node:crypto';
import { createServer } from 'node:http';
import { createInterface } from 'node:readline';

import Provider from 'oidc-provider';

// What the provider has to say is not an answer.
console.info = console.error;

const tenants = { alice: 'acme', bob: 'globex' };
const keys = new Map();
let handle;

function key(name) {
  if (!keys.has(name)) {
    const { privateKey } = name.startsWith('rsa')
      ? generateKeyPairSync('rsa', { modulusLength: 2048 })
      : generateKeyPairSync('ec', { namedCurve: 'P-256' });
    keys.set(name, { ...privateKey.export({ format: 'jwk' }), kid: name, use: 'sig' });
  }
  return keys.get(name);
}

function provider(issuer, names) {
  const alg = names[0].startsWith('rsa') ? 'RS256' : 'ES256';
  const clients = Object.keys(tenants).map((client_id) => ({
    client_id,
    client_secret: `secret of ${client_id}`,
    grant_types: ['client_credentials'],
    token_endpoint_auth_method: 'client_secret_post',
    redirect_uris: [],
    response_types: [],
  }));
  // Asks about opaque tokens.
  clients.push({ ...clients[0], client_id: 'gate', client_secret: 'secret of gate', token_endpoint_auth_method: 'client_secret_basic' });
  return new Provider(issuer, {
    clients,
    clientDefaults: { id_token_signed_response_alg: alg },
    jwks: { keys: names.map(key) },
    features: {
      devInteractions: { enabled: false },
      clientCredentials: { enabled: true },
      introspection: { enabled: true, allowedPolicy: async (ctx, client) => client.clientId === 'gate' },
      revocation: { enabled: true },
      resourceIndicators: {
        enabled: true,
        getResourceServerInfo: async (ctx, resource) => ({
          scope: '',
          audience: 'postern',
          accessTokenTTL: 600,
          ...(resource.endsWith(':jwt')
            ? { accessTokenFormat: 'jwt', jwt: { sign: { alg, kid: names[0] } } }
            : { accessTokenFormat: 'opaque' }),
        }),
      },
    },
    // The subject of a client's own token is the client.
    extraTokenClaims: async (ctx, token) => ({ role: 'app_user', tenant: tenants[token.clientId] }),
  });
}

const server = createServer((request, response) => handle(request, response));
server.listen(0, '127.0.0.1', async () => {
  const issuer = `http://127.0.0.1:${server.address().port}`;
  for await (const line of createInterface({ input: process.stdin })) {
    const names = line.split(' ');
    handle = provider(issuer, names).callback();
    console.log(JSON.stringify({ issuer, keys: names }));
  }
  server.close();
  server.closeAllConnections();
});
