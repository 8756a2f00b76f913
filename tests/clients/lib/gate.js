// The gate that a script is run against, and who its users are: what the end-to-end tests put into the environment.

import { neon, neonConfig } from '@neondatabase/serverless';

function given(name) {
  const value = process.env[name];
  if (!value) throw new Error(`${name} is not set: these scripts are run by the tests of postern-e2e`);
  return value;
}

/** The endpoint of the Neon protocol. */
export const endpoint = given('POSTERN_SQL_URL');
/** Names the role and the database. */
export const connectionString = given('POSTERN_CONNECTION');
/** Tokens: alice is of the tenant acme, bob of globex. */
export const alice = given('POSTERN_ALICE');
export const bob = given('POSTERN_BOB');
/** One that has ended. */
export const expired = given('POSTERN_EXPIRED');

neonConfig.fetchEndpoint = endpoint;

/** The driver as one user has it. */
export function as(authToken, options = {}) {
  return neon(connectionString, { authToken, ...options });
}

/** A request by hand, for what drivers do not send. */
export async function post(body, headers = {}) {
  const response = await fetch(endpoint, {
    method: 'POST',
    headers: { 'Neon-Connection-String': connectionString, Authorization: `Bearer ${alice}`, ...headers },
    body: typeof body === 'string' ? body : JSON.stringify(body),
  });
  return { status: response.status, headers: response.headers, body: await response.json() };
}

/** Fits `assert.rejects`: an error of the driver with this SQLSTATE. */
export function sqlstate(code) {
  return (error) => {
    // Drizzle puts the driver's error inside its own.
    const found = error.name === 'NeonDbError' ? error : error.cause;
    if (found?.name === 'NeonDbError' && found.code === code) return true;
    throw new Error(`expected SQLSTATE ${code}, got ${found?.code}: ${error.stack}`);
  };
}
