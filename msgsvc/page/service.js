// What goes to the service: calls with the token and strict answers, polling, and the sending of drafts.
const { messages, accounts, session, idle } = document.documentElement.dataset;

// Embedded: the accounts and the login are the host's.
export const embedded = !accounts;
export const idleMilliseconds = idle * 1000;

// The parts of the page hear of each other by events on the window, with a detail: ended (the reason), logout (whether
// everywhere), mustchange, pollnow, draft (its partner), sent ({partner, message}), marking and then read (the same mark,
// with the partner), deleted (the partner), blocked ({username, isBlocked}).
export const emit = (type, detail) => dispatchEvent(new CustomEvent(type, { detail }));

// What this tab keeps: gives the value, or sets it (null removes it). Without storage nothing outlives a reload.
export function kept(key, value) {
  try {
    if (value === undefined) return sessionStorage.getItem(key);
    if (value === null) sessionStorage.removeItem(key);
    else sessionStorage.setItem(key, value);
    return true;
  } catch {
    return null;
  }
}

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
  usedAt = Date.now();
  stop.abort();
  stop = new AbortController();
}

const refusal = (status, code, sentence, retryAt) => Object.assign(new Error(sentence), { status, code, retryAt, isAway: !status || status >= 500 });

// An address with names that may hold any character.
export const path = (strings, ...values) => String.raw({ raw: strings }, ...values.map(encodeURIComponent));

const address = (to) => (to === '/session' ? session : (/^\/(auth|users)\b/.test(to) ? accounts : messages) + to);

// Gives the JSON of the answer with its `etag`, or null for 204 and 304. Throws {status, code, message, retryAt, isAway},
// with status 0 for no answer; isAway also for what the service could not do now. A call that a logout overtakes never settles, so that nothing is shown after it.
export async function call(method, to, { body, key, etag, background, keepalive } = {}) {
  const { signal } = keepalive ? new AbortController() : stop;
  // Django's, which a site of its kind demands of every changing call.
  const [, csrf] = (embedded && /\bcsrftoken=([^;]+)/.exec(document.cookie)) || [];
  const headers = Object.entries({
    Authorization: token && `Bearer ${token}`, 'Content-Type': body && 'application/json', 'Idempotency-Key': key, 'If-None-Match': etag,
    'Msgsvc-Background': background && 1, 'X-CSRFToken': csrf,
  }).filter(([, value]) => value);
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
  } catch { /* No answer, or none of the service. */ }
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
  const isOver = (token || embedded) && (status === 401 || code === 'account_suspended');
  if (isOver || code === 'password_change_required') {
    emit(isOver ? 'ended' : 'mustchange', code);
    return new Promise(() => {});
  }
  const wait = Number(answer.headers.get('Retry-After'));
  throw refusal(status, code, error, wait && Date.now() + wait * 1000);
}

// Polling: every 15 seconds while the page is visible, never while it is hidden, at once on return, slower on errors.

const INTERVAL = 15_000;
const LONGEST = 4 * 60_000;

let timer = 0;
let work = null;
let report;
let failures;
let running;
let again;

// `ask` throws what went wrong; `told` hears of each time: the error or null, and when the next one is.
export function startPolling(ask, told) {
  [work, report, failures, running] = [ask, told, 0, false];
  schedule(INTERVAL);
}

export function stopPolling() {
  work = null;
  clearTimeout(timer);
}

// A poll that is under way may not see what the caller knows of: another one follows it.
export async function poll() {
  clearTimeout(timer);
  again = running;
  if (!work || running || document.hidden) return;
  const mine = work;
  let error = null;
  running = true;
  try {
    await work();
    failures = 0;
  } catch (refusal) {
    error = refusal;
    failures += 1;
  }
  if (mine !== work) return;
  running = false;
  if (again && !error) return poll();
  const wait = Math.max(Math.min(INTERVAL * 2 ** Math.max(0, failures - 1), LONGEST), (error?.retryAt || 0) - Date.now());
  schedule(wait);
  report(error, Date.now() + wait);
}

function schedule(wait) {
  clearTimeout(timer);
  if (work) timer = setTimeout(poll, wait);
}

document.addEventListener('visibilitychange', poll);
addEventListener('online', poll);

// Drafts, which one person has in this tab for each partner, and sending them: one attempt after another with the same
// Idempotency-Key until the outcome is known, whatever pane is open.

const DRAFTS = 'msgsvc.drafts';
const FIRST_RETRY = 2000;
const LONGEST_RETRY = 60_000;

let owner = null;
let drafts = new Map();
let picked = null;
const jobs = new Map();

// From now on the drafts of this person; those of another person are wiped.
export function ownDrafts(username) {
  const stored = JSON.parse(kept(DRAFTS));
  if (stored?.owner === username) [drafts, picked] = [new Map(stored.drafts), stored.picked];
  else wipeDrafts();
  owner = username;
}

// The session has ended: all attempts end too, and the drafts wait for their owner.
export function leaveDrafts() {
  for (const { timer } of jobs.values()) clearTimeout(timer);
  jobs.clear();
  [owner, drafts, picked] = [null, new Map(), null];
}

export function wipeDrafts() {
  leaveDrafts();
  kept(DRAFTS, null);
}

const store = () => owner !== null && kept(DRAFTS, JSON.stringify({ owner, drafts: [...drafts], picked }));

// {subject, content} and, once it was sent: `key` for just this text, `pending` while the outcome is not known, `after`,
// the newest message that was there before.
export const readDraft = (partner) => drafts.get(partner) ?? { subject: '', content: '' };

// Says whether the draft would survive a reload.
export function writeDraft(partner, draft) {
  if (draft.content || draft.subject) drafts.set(partner, draft);
  else drafts.delete(partner);
  return store();
}

export const forgetDraft = (partner) => writeDraft(partner, {});

// Who was chosen for a new message, {username, role} or null.
export const chosenPerson = () => picked;
export function choosePerson(person) {
  picked = person;
  store();
}

// How far the text for a partner is: phase '', sending, unknown, waiting (until `at`) or refused (`refusal`).
export const sending = (partner) => jobs.get(partner) ?? { phase: '' };

function setJob(partner, job) {
  clearTimeout(sending(partner).timer);
  if (job) jobs.set(partner, job);
  else jobs.delete(partner);
  emit('draft', partner);
}

// randomUUID needs a secure context, which a clinic's own network may not be.
const newKey = () => crypto.getRandomValues(new Uint32Array(4)).join('-');

export function sendDraft(partner, newest) {
  const draft = readDraft(partner);
  writeDraft(partner, { key: newKey(), after: newest, ...draft, pending: true });
  attempt(partner, 0);
}

// Goes on with what had no answer before a reload or a login.
export function resumeSending() {
  for (const [partner, { pending }] of drafts) if (pending) attempt(partner, 1);
}

// The text goes back to its writer: no further attempt.
export function stopSending(partner) {
  writeDraft(partner, { ...readDraft(partner), pending: false });
  setJob(partner, null);
}

async function attempt(partner, tries) {
  const { key, subject, content } = readDraft(partner);
  const job = { phase: tries ? 'unknown' : 'sending' };
  setJob(partner, job);
  try {
    if (!navigator.onLine && !tries) throw refusal(503);
    const body = { recipient: partner, content, ...(subject && { subject }) };
    const { message_id: id, sent_at: at } = await call('POST', '/send', { body, key, background: tries > 0 });
    if (readDraft(partner).key !== key) return;
    forgetDraft(partner);
    setJob(partner, null);
    emit('sent', { partner, message: { id, content, subject: subject || null, is_read: false, sent_at: at } });
  } catch (refusal) {
    if (jobs.get(partner) === job) refuse(partner, tries, refusal);
  }
}

function refuse(partner, tries, refusal) {
  const { status, retryAt } = refusal;
  const again = (phase, wait) => {
    const run = () => attempt(partner, tries + 1);
    setJob(partner, { phase, at: Date.now() + wait, run, timer: setTimeout(run, wait) });
  };
  const announced = Math.max(1000, (retryAt || 0) - Date.now());
  if (status === 429) again('waiting', announced);
  // After an attempt without an answer, a refusal for now does not tell what became of that one.
  else if (!status || (status >= 500 && tries)) again('unknown', Math.max(announced, Math.min(FIRST_RETRY * 2 ** tries, LONGEST_RETRY)));
  else {
    writeDraft(partner, { ...readDraft(partner), pending: false });
    setJob(partner, { phase: 'refused', refusal });
  }
}

addEventListener('online', () => {
  for (const { phase, run } of jobs.values()) if (phase === 'unknown') run?.();
});
