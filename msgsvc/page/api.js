// Calls to the service: the token, strict answers, and what went wrong in a form that the panes can put into words.
const { messages, accounts, session, idle } = document.documentElement.dataset;

// Embedded: the accounts and the login are the host's.
export const embedded = !accounts;
export const idleMilliseconds = idle * 1000;

// `ended` (detail: the reason) and `mustchange`.
export const events = new EventTarget();
export const emit = (target, name, detail) => target.dispatchEvent(new CustomEvent(name, { detail }));

const ANSWER_MILLISECONDS = 20_000;

let token = '';
let stop = new AbortController();
let clockOffset = 0;
let usedAt = 0;

// When the session was last prolonged, and what a time of the service is by our clock.
export const lastUse = () => usedAt;
export const localTime = (time) => Date.parse(time) - clockOffset;

// From now on calls carry this token; what is under way for the one before never comes back.
export function actAs(newToken) {
  token = newToken;
  usedAt = 0;
  stop.abort();
  stop = new AbortController();
}

const refusal = (status, code, sentence, retryAt) => Object.assign(new Error(sentence), { status, code, retryAt });

// An address with names that may hold any character.
export const path = (strings, ...values) => String.raw({ raw: strings }, ...values.map(encodeURIComponent));

const address = (to) => (to === '/session' ? session : (/^\/(auth|users)\b/.test(to) ? accounts : messages) + to);

// Gives the JSON of the answer with its `etag`, or null for 204 and 304. Throws {status, code, message, retryAt}, with
// status 0 for no answer. A call that a logout overtakes never settles, so that nothing is shown after it.
export async function call(method, to, { body, key, etag, background, keepalive } = {}) {
  const { signal } = keepalive ? new AbortController() : stop;
  const headers = {
    ...(token && { Authorization: `Bearer ${token}` }), ...(body && { 'Content-Type': 'application/json' }),
    ...(key && { 'Idempotency-Key': key }), ...(etag && { 'If-None-Match': etag }), ...(background && { 'Msgsvc-Background': '1' }),
  };
  let answer;
  let json = null;
  try {
    answer = await fetch(address(to), {
      method, headers, keepalive, body: body && JSON.stringify(body), cache: 'no-store', redirect: 'manual',
      signal: AbortSignal.any([signal, AbortSignal.timeout(ANSWER_MILLISECONDS)]),
    });
    // A host sends those who are logged out to its login page.
    if (answer.type === 'opaqueredirect') json = { code: 'unauthorized' };
    else if (answer.status !== 204 && answer.status !== 304) json = await answer.json();
  } catch { /* No answer, or not the service's. */ }
  if (signal.aborted) return new Promise(() => {});
  const isRight = answer?.ok ? json || answer.status === 204 : answer?.status === 304;
  if (!isRight && !json?.code) throw refusal(0, 'no_answer', 'The service did not answer');
  return take(answer, json, isRight, background);
}

function take(answer, json, isRight, background) {
  const offset = Date.parse(answer.headers.get('Date')) - Date.now();
  clockOffset = Math.abs(offset) > 2000 ? offset : 0;
  // The service moves the idle limit at most once in a thirtieth of it.
  if (!background && Date.now() - usedAt >= idleMilliseconds / 30) usedAt = Date.now();
  if (isRight) {
    if (json) json.etag = answer.headers.get('ETag');
    return json;
  }
  const { code, error } = json;
  const status = answer.status || 401;
  if ((token || embedded) && (status === 401 || code === 'account_suspended')) {
    emit(events, 'ended', code);
    return new Promise(() => {});
  }
  if (code === 'password_change_required') emit(events, 'mustchange');
  const wait = Number(answer.headers.get('Retry-After'));
  throw refusal(status, code, error, wait && Date.now() + wait * 1000);
}
