// Calls to the service: the token, strict answers, and what went wrong in a form that the panes can put into words.
const root = document.documentElement.dataset;

/** Embedded: the accounts and the login are the host's. */
export const embedded = !root.accounts;
export const idleSeconds = Number(root.idle);

/** What happens to the session: `ended` with a reason, `mustchange`. */
export const events = new EventTarget();

const ANSWER_MILLISECONDS = 20_000;

let token = '';
let stop = new AbortController();
let clockOffset = 0;
let usedAt = 0;

/** The service's own time, in milliseconds. */
export const now = () => Date.now() + clockOffset;

/** When the session was last prolonged. The service moves its limit at most once in a thirtieth of it, and so do we. */
export const lastUse = () => usedAt;

/** From now on the calls of this token; what is still under way for the one before never comes back. */
export function actAs(newToken) {
  token = newToken;
  usedAt = 0;
  stop.abort();
  stop = new AbortController();
}

/** An answer other than success. Status 0: no answer, or one that is not the service's. */
export class Refusal extends Error {
  constructor(status, code, sentence, retryAt) {
    super(sentence);
    Object.assign(this, { status, code, retryAt });
  }
}

const base = (path) => (/^\/(auth|users)\b/.test(path) ? root.accounts : root.messages) + path;

/** The address of a call, for names that may hold any character. */
export const path = (strings, ...values) => String.raw({ raw: strings }, ...values.map(encodeURIComponent));

/**
 * Makes a call. Gives the JSON of the answer with `etag` beside it, or null for 204 and 304.
 * Raises Refusal. A call that a logout overtakes never settles, so that nothing is shown after it; one that is kept
 * alive (the logout itself) goes on.
 */
export async function call(method, address, { body, key, etag, background = false, keepalive = false } = {}) {
  const { signal } = keepalive ? new AbortController() : stop;
  const headers = { Accept: 'application/json' };
  if (token) headers.Authorization = `Bearer ${token}`;
  if (body) headers['Content-Type'] = 'application/json';
  if (key) headers['Idempotency-Key'] = key;
  if (etag) headers['If-None-Match'] = etag;
  if (background) headers['Msgsvc-Background'] = '1';
  let response;
  let json = null;
  try {
    response = await fetch(address === '/session' ? root.session : base(address), {
      method, headers, keepalive, body: body && JSON.stringify(body), cache: 'no-store', redirect: 'manual',
      signal: AbortSignal.any([signal, AbortSignal.timeout(ANSWER_MILLISECONDS)]),
    });
    if (response.type === 'opaqueredirect') json = { code: 'unauthorized' };
    else if (response.status !== 204 && response.status !== 304) json = await response.json();
  } catch {
    if (signal.aborted) return new Promise(() => {});
    throw new Refusal(0, 'no_answer', 'The service did not answer');
  }
  if (signal.aborted) return new Promise(() => {});
  return take(response, json, background, Boolean(headers.Authorization) || embedded);
}

function take(response, json, background, hasSession) {
  const date = Date.parse(response.headers.get('Date'));
  if (date) clockOffset = Math.abs(date - Date.now()) < 2000 ? 0 : date - Date.now();
  const ok = response.ok || response.status === 304;
  if (ok || json?.code) {
    if (!background && response.status !== 401 && now() - usedAt >= idleSeconds * 1000 / 30) usedAt = now();
  }
  if (ok) {
    if (json) json.etag = response.headers.get('ETag');
    return json;
  }
  if (!json?.code) throw new Refusal(0, 'no_answer', 'Not an answer of the service');
  const status = response.status || 401;
  const wait = Number(response.headers.get('Retry-After'));
  if (hasSession && (status === 401 || json.code === 'account_suspended')) {
    events.dispatchEvent(new CustomEvent('ended', { detail: json.code }));
    return new Promise(() => {});
  }
  if (json.code === 'password_change_required') events.dispatchEvent(new Event('mustchange'));
  throw new Refusal(status, json.code, json.error, wait ? Date.now() + wait * 1000 : null);
}
